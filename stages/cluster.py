"""Cluster a round's features into pseudo labels and centroids.

Reads data/rounds/<round>/features.npy and what models/<start> hands on: DBSCAN keeps the eps of the first round.
Writes pseudo_labels.csv, centroids.npy and clustering.json there.
Example: python -m stages.cluster --round r02 --start r01
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.cluster")

import numpy as np

from mutual.base.errors import run
from mutual.base.params import read_params, round_number
from mutual.base.store import read_array, write_array, write_json
from mutual.clusters.clustering import cluster
from mutual.clusters.pseudo_labels import cluster_sizes, write_pseudo_labels
from mutual.images.index import read_cameras
from mutual.learning.handover import read_handover
from mutual.machine.device import deterministic_device
from mutual.machine.streams import numpy_stream
from stages import MODELS, PACKED, ROUNDS
from stages.door import arguments


def main() -> None:
    """``--round r02 --start r01``."""
    parser = arguments(__doc__, "stages.cluster")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params, device, folder = read_params(), deterministic_device(), ROUNDS / args.round
    files, _ = read_cameras(PACKED / "target/train.csv")
    features = read_array(folder / "features.npy", dtype=np.float32, shape=(len(files), None))
    found = cluster(
        np.array(features),
        read_array(folder / "source_features.npy", dtype=np.float32, shape=(None, features.shape[1])),
        read_handover(MODELS / args.start).eps,
        numpy_stream(params.peers.seed, "clustering", round_number(args.round)),
        device,
        **params.clustering.model_dump(),
    )
    sizes = cluster_sizes(found.labels.classes)
    told = "{clusters} clusters of {smallest} to {largest} images, {outliers} outliers".format_map(sizes)
    print(f"{args.round}: {len(files)} images: {told}")
    write_array(folder / "centroids.npy", found.centroids)
    write_json(folder / "clustering.json", sizes | found.figures)
    write_pseudo_labels(folder / "pseudo_labels.csv", files, found.labels)


if __name__ == "__main__":
    run(main)
