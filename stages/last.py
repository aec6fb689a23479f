"""What the last round's teachers make of the target, kept so that a page, a search or a statistic needs no network.

Reads models/<last round of rounds.yaml> and the target's images; writes data/retrieval/last/: each teacher's features
of the target's training, query and gallery images, and the pseudo labels that the training images would have next; and
adapted/peers/, the round's peers once more, under a name that does not depend on the number of rounds.
Example: python -m stages.last
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.last")

import shutil

from mutual.base.errors import run
from mutual.base.params import read_params, read_rounds, round_number
from mutual.base.store import folder_beside
from mutual.clusters.clustering import cluster
from mutual.clusters.pseudo_labels import cluster_sizes, write_pseudo_labels
from mutual.evaluation.features import mean_features, of_teachers
from mutual.evaluation.retrieval import write_features
from mutual.images.index import read_cameras, read_images
from mutual.learning.handover import read_handover
from mutual.machine.device import deterministic_device
from mutual.machine.streams import numpy_stream
from mutual.networks.peers import peer_path
from stages import ADAPTED, MODELS, PACKED, RETRIEVAL
from stages.door import arguments

SPLITS = ("train", "query", "gallery")


def main() -> None:
    """No arguments: the last round is the last to run."""
    arguments(__doc__, "stages.last").parse_args()
    params, device, last = read_params(), deterministic_device(), list(read_rounds())[-1]
    images = {split: read_images(PACKED / f"target/{split}.npy") for split in SPLITS}
    by_distance = params.clustering.source_distance_weight > 0 and params.clustering.clustering == "dbscan"
    images["source"] = read_images(PACKED / "source/train.npy")[: None if by_distance else 0]
    files, _ = read_cameras(PACKED / "target/train.csv")
    train, source = [], []
    with folder_beside(RETRIEVAL / "last") as folder:
        for seed, features in of_teachers(MODELS / last, params.peers.seeds, images, device):
            source.append(features.pop("source"))
            train.append(features["train"])
            write_features(folder, seed, features)
        found = cluster(
            mean_features(train),
            mean_features(source),
            read_handover(MODELS / last).eps,
            numpy_stream(params.peers.seed, "clustering", round_number(last) + 1),
            device,
            **params.clustering.model_dump(),
        )
        write_pseudo_labels(folder / "pseudo_labels.csv", files, found.labels)
    with folder_beside(ADAPTED / "peers") as folder:
        for seed in params.peers.seeds:
            shutil.copyfile(peer_path(MODELS / last, seed), peer_path(folder, seed))
    told = "{clusters} clusters, {outliers} outliers".format_map(cluster_sizes(found.labels.classes))
    print(f"after {last}: {told}")


if __name__ == "__main__":
    run(main)
