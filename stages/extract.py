"""Features of the target's training images, mean over the teachers.

Reads models/<start> and the training images; writes data/rounds/<round>/features.npy, and agreement.json, how far the
teachers agree on neighbours. Where the source takes part in the round, its training images' features too,
source_features.npy, else none: (0, D). Where it was stopped or killed it goes on from what lies in .resume/.
Example: python -m stages.extract --round r02 --after r01
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.extract")

from mutual.base.errors import run
from mutual.base.params import read_params
from mutual.base.store import write_array, write_json
from mutual.clusters.label_free import agreement
from mutual.evaluation.features import mean_features, of_teachers
from mutual.images.index import read_images
from mutual.machine.checkpoints import Checkpoints
from mutual.machine.device import deterministic_device
from mutual.machine.making import made_of
from mutual.machine.ranks import join
from stages import MODELS, PACKED, ROUNDS
from stages.door import AFTER, arguments


def main() -> str:
    """``--round r02 --after r01``: the teachers of the start give the features of the round."""
    parser = arguments(__doc__, "stages.extract")
    parser.add_argument("--round", required=True)
    parser.add_argument("--after", "--start", required=True, dest="start", help=AFTER)
    args = parser.parse_args()
    params, device = read_params(), deterministic_device()
    ranks = join(device)
    target = read_images(PACKED / "target/train.npy")
    source = read_images(PACKED / "source/train.npy", may_be_empty=True)
    by_distance = params.clustering.source_distance_weight > 0 and params.clustering.clustering == "dbscan"
    if not by_distance and params.adaptation.source_weight == 0:
        source = source[:0]
    images = {"target": target, "source": source}
    seeds = params.peers.seeds
    inputs = [MODELS / args.start, PACKED / "target/train.npy", PACKED / "source/train.npy"]
    made = made_of({"seeds": seeds, "source": len(source)}, inputs)
    kept = Checkpoints(f"extract-{args.round}", made, params.running.checkpoint_seconds, device)
    peers = [features for _, features in of_teachers(MODELS / args.start, seeds, images, device, kept, ranks)]
    if ranks.first:
        for name, file in (("target", "features.npy"), ("source", "source_features.npy")):
            write_array(ROUNDS / args.round / file, mean_features([features[name] for features in peers]))
        told = agreement([features["target"] for features in peers], device)
        write_json(ROUNDS / args.round / "agreement.json", told)
    ranks.end()
    kept.done()
    return str(ROUNDS / args.round / "features.npy")


if __name__ == "__main__":
    run(main)
