"""Cluster a round's features into pseudo labels and centroids, and say what these are worth without a label.

Reads features.npy and agreement.json of data/rounds/<round>, and what models/<start> hands on: DBSCAN keeps the eps of
the first round, and labels are compared with those before. Writes pseudo_labels.csv, centroids.npy and clustering.json
there; warns of what goes wrong unseen. Example: python -m stages.cluster --round r02 --after r01
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.cluster")

import numpy as np

from mutual.base.errors import run
from mutual.base.params import read_params, round_number
from mutual.base.store import read_array, read_json, write_array, write_json
from mutual.clusters.alarms import alarms
from mutual.clusters.clustering import cluster_twice, takes_part
from mutual.clusters.given import labels_in_place
from mutual.clusters.label_free import label_free
from mutual.clusters.pseudo_labels import cluster_sizes, write_pseudo_labels
from mutual.images.index import read_cameras
from mutual.learning.handover import read_handover
from mutual.machine.device import deterministic_device
from mutual.machine.ranks import join
from mutual.machine.streams import numpy_stream
from stages import MODELS, PACKED, ROUNDS
from stages.door import AFTER, arguments


def main() -> str:
    """``--round r02 --after r01``."""
    parser = arguments(__doc__, "stages.cluster")
    parser.add_argument("--round", required=True)
    parser.add_argument("--after", "--start", required=True, dest="start", help=AFTER)
    args = parser.parse_args()
    params, device, folder = read_params(), deterministic_device(), ROUNDS / args.round
    ranks = join(device)
    seed, number, keys = params.peers.seed, round_number(args.round), params.clustering.model_dump()
    files, camids = read_cameras(PACKED / "target/train.csv")
    features = np.array(read_array(folder / "features.npy", dtype=np.float32, shape=(len(files), None)))
    source = read_array(folder / "source_features.npy", dtype=np.float32, shape=(None, features.shape[1]))
    before = read_handover(MODELS / args.start)
    given = labels_in_place(PACKED / "target/train.csv", params.clustering.clustering, params.wrong.label_noise, seed)
    streams = numpy_stream(seed, "clustering", number), numpy_stream(seed, "clustering again", number)
    if takes_part(params.clustering.clustering, ranks):
        found, again = cluster_twice(features, source, given, before.eps, streams, device, keys, ranks)
    if not ranks.first:
        ranks.end()
        return str(folder / "pseudo_labels.csv")
    judged = read_json(folder / "agreement.json", dict[str, float])
    judged |= label_free(features, found.labels.classes, again, camids, before.labels)
    sizes = cluster_sizes(found.labels.classes)
    told = "{clusters} clusters of {smallest} to {largest} images, {outliers} outliers".format_map(sizes)
    print(f"{args.round}: {len(files)} images: {told}")
    write_array(folder / "centroids.npy", found.centroids)
    for line in alarms(found.labels.classes, judged):
        print(f"warning: {args.round}: {line}")
    write_json(folder / "clustering.json", sizes | found.figures | {"label_free": judged})
    write_pseudo_labels(folder / "pseudo_labels.csv", files, found.labels)
    ranks.end()
    return str(folder / "pseudo_labels.csv")


if __name__ == "__main__":
    run(main)
