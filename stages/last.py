"""What the last round's teachers make of the target, kept so that a page, a search or a statistic needs no network.

Reads models/<last round of rounds.yaml> and the target's images; writes data/retrieval/last/: each teacher's features
of the target's training, query and gallery images; believed.npy, which of the classes that it learned each teacher
would give to a training image; the pseudo labels that these would have next, and what they tell of the network without
a label, in clustering.json; and adapted/peers/, the round's peers once more, under a name that does not depend on the
number of rounds. Where it was stopped or killed it goes on from what lies in .resume/. Several processes share it.
Example: python -m stages.last
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.last")

import shutil
from contextlib import nullcontext

import numpy as np

from mutual.base.errors import run
from mutual.base.params import read_params, read_rounds, round_number
from mutual.base.store import folder_beside, write_array, write_json
from mutual.clusters.alarms import alarms
from mutual.clusters.clustering import cluster_twice, takes_part
from mutual.clusters.given import labels_in_place
from mutual.clusters.label_free import agreement, label_free
from mutual.clusters.pseudo_labels import cluster_sizes, write_pseudo_labels
from mutual.evaluation.features import mean_features, of_teachers
from mutual.evaluation.retrieval import write_features
from mutual.images.index import read_cameras, read_images
from mutual.learning.handover import read_handover
from mutual.machine.checkpoints import Checkpoints
from mutual.machine.device import deterministic_device
from mutual.machine.making import made_of
from mutual.machine.ranks import join
from mutual.machine.streams import numpy_stream
from mutual.networks.peers import peer_path, read_classifier
from stages import ADAPTED, MODELS, PACKED, RETRIEVAL
from stages.door import arguments

SPLITS = ("train", "query", "gallery")


def main() -> str:
    """No arguments: the last round is the last to run."""
    arguments(__doc__, "stages.last").parse_args()
    params, device, last = read_params(), deterministic_device(), list(read_rounds())[-1]
    ranks = join(device)
    images = {split: read_images(PACKED / f"target/{split}.npy", may_be_empty=split != "train") for split in SPLITS}
    by_distance = params.clustering.source_distance_weight > 0 and params.clustering.clustering == "dbscan"
    images["source"] = read_images(PACKED / "source/train.npy", may_be_empty=True)[: None if by_distance else 0]
    files, camids = read_cameras(PACKED / "target/train.csv")
    before = read_handover(MODELS / last)
    learned = 0 if before.labels is None else int(before.labels.max()) + 1  # classes; those after them are the source's
    train, source, believed = [], [], []
    inputs = [MODELS / last, *(PACKED / f"target/{split}.npy" for split in SPLITS), PACKED / "source/train.npy"]
    made = made_of({"seeds": params.peers.seeds, "source": len(images["source"])}, inputs)
    kept = Checkpoints("last", made, params.running.checkpoint_seconds, device)
    outputs = f"{RETRIEVAL / 'last'} and {ADAPTED / 'peers'}"
    with folder_beside(RETRIEVAL / "last") if ranks.first else nullcontext() as folder:
        for seed, features in of_teachers(MODELS / last, params.peers.seeds, images, device, kept, ranks):
            source.append(features.pop("source"))
            train.append(features["train"])
            rows = read_classifier(peer_path(MODELS / last, seed), "teacher")[:learned]
            believed.append((features["train"] @ rows.T).argmax(1).astype(np.int32))
            if folder:
                write_features(folder, seed, features)
        seed, number, keys = params.peers.seed, round_number(last) + 1, params.clustering.model_dump()
        sets = mean_features(train), mean_features(source)
        given = labels_in_place(
            PACKED / "target/train.csv", params.clustering.clustering, params.wrong.label_noise, seed
        )
        streams = numpy_stream(seed, "clustering", number), numpy_stream(seed, "clustering again", number)
        if takes_part(params.clustering.clustering, ranks):
            found, again = cluster_twice(*sets, given, before.eps, streams, device, keys, ranks)
        if not folder:
            ranks.end()
            kept.done()
            return outputs
        labels = found.labels.classes
        judged = agreement(train, device) | label_free(sets[0], labels, again, camids, before.labels)
        sizes = cluster_sizes(labels)
        write_array(folder / "believed.npy", np.stack(believed))
        write_json(folder / "clustering.json", sizes | found.figures | {"label_free": judged})
        write_pseudo_labels(folder / "pseudo_labels.csv", files, found.labels)
    with folder_beside(ADAPTED / "peers") as folder:
        for seed in params.peers.seeds:
            shutil.copyfile(peer_path(MODELS / last, seed), peer_path(folder, seed))
    ranks.end()
    kept.done()
    print("after {last}: {clusters} clusters, {outliers} outliers".format_map({"last": last} | sizes))
    for line in alarms(labels, judged):
        print(f"warning: after {last}: {line}")
    return outputs


if __name__ == "__main__":
    run(main)
