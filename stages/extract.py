"""Features of the target's training images, mean over the teachers.

Reads models/<start> and the training images; writes data/rounds/<round>/features.npy. Where the source takes part in
the round, its training images' features too, source_features.npy, else none: (0, D).
Example: python -m stages.extract --round r02 --start r01
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.extract")

from mutual.base.errors import run
from mutual.base.params import read_params
from mutual.base.store import write_array
from mutual.evaluation.accuracy import mean_features
from mutual.evaluation.features import extract
from mutual.images.index import read_images
from mutual.machine.device import deterministic_device
from mutual.networks.peers import peer_path, read_network
from mutual.networks.reid import inference
from stages.door import arguments
from stages.places import MODELS, PACKED, ROUNDS


def main() -> None:
    """``--round r02 --start r01``: the teachers of the start give the features of the round."""
    parser = arguments(__doc__, "stages.extract")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params, device = read_params(), deterministic_device()
    by_distance = params.clustering.source_distance_weight > 0 and params.clustering.clustering == "dbscan"
    target, source = read_images(PACKED / "target/train.npy"), read_images(PACKED / "source/train.npy")
    if not by_distance and params.adaptation.source_weight == 0:
        source = source[:0]
    features, source_features = [], []
    for seed in params.peers.seeds:
        teacher = inference(read_network(peer_path(MODELS / args.start, seed), "teacher").to(device))
        features.append(extract(teacher, target, device, f"{args.round}: features of peer {seed}"))
        source_features.append(extract(teacher, source, device, f"{args.round}: source features of peer {seed}"))
    write_array(ROUNDS / args.round / "features.npy", mean_features(features))
    write_array(ROUNDS / args.round / "source_features.npy", mean_features(source_features))


if __name__ == "__main__":
    run(main)
