"""One round of adaptation: the students learn from the pseudo labels as the refinery says.

Reads the peers of the round's start and the round's clusters; writes models/<round>/, what the next round starts from,
and metrics/losses/<round>.csv. Example: python -m stages.train --round r02 --start r01
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.train")

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam
from tqdm import tqdm

from mutual.base.errors import InputError, run
from mutual.base.params import read_params, round_number
from mutual.base.store import ask_room, read_array
from mutual.clusters.pseudo_labels import PseudoLabels, cluster_means, read_figures, read_pseudo_labels
from mutual.images.index import read_cameras, read_images, read_split, relabel
from mutual.learning.adaptation import Round, adapt, check_finite, for_training, shares_of_lr, terms_of, write_losses
from mutual.learning.batches import Cut, Streams, TrainingSet, labelled_batches
from mutual.learning.handover import Handover, read_handover, write_handover
from mutual.machine.device import deterministic_device
from mutual.machine.streams import integer_seed
from mutual.networks.peers import continued, iterations_of, peer_path, read_network, write_peer
from mutual.refineries.contract import find_refinery
from stages.door import arguments
from stages.places import LOSSES, MODELS, PACKED, ROUNDS

CHECKED = 20  # iterations between two looks at the losses: a GPU is waited for there


def main() -> None:
    """``--round r02 --start r01``: from the peers of the start to those of the round."""
    parser = arguments(__doc__, "stages.train")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params, device, number = read_params(), deterministic_device(), round_number(args.round)
    adaptation, batches, seeds = params.adaptation, params.batches, params.peers.seeds
    method = find_refinery(adaptation.refinery)
    refinery = method(**params.values(method.keys))
    handed = read_handover(MODELS / args.start)
    refinery.load_state(handed.state)

    clusters, target = ROUNDS / args.round, PACKED / "target"
    centroids = np.array(read_array(clusters / "centroids.npy", dtype=np.float32, shape=(None, None), finite=True))
    files, camids = read_cameras(target / "train.csv")
    images = read_images(target / "train.npy", len(files))
    labels = read_pseudo_labels(clusters / "pseudo_labels.csv", files)
    figures = read_figures(clusters / "clustering.json")
    if not len(centroids) == figures["clusters"] == labels.classes.max() + 1:
        raise InputError(f"{clusters}: centroids, clustering.json and pseudo_labels.csv are not of one clustering")
    streams = Streams(params.peers.seed, number)
    cut = Cut(batches.batch_size, batches.instances, batches.padding, device, batches.flip)
    of_target = TrainingSet(images, labels, camids)
    views = [f"views of peer {seed}" for seed in seeds]
    erased = cut.erasing(adaptation.erase_probability)
    batch_at, source_at = labelled_batches(of_target, streams, "target batches", views, erased), None
    classes = centroids
    if adaptation.source_weight > 0:
        source_images, index = read_split(PACKED / "source", "train")
        of_source = TrainingSet(source_images, PseudoLabels(relabel(index.pid)), index.camid)
        shape = (len(index), centroids.shape[1])
        source_features = read_array(clusters / "source_features.npy", dtype=np.float32, shape=shape, finite=True)
        classes = np.concatenate([centroids, cluster_means(source_features, of_source.labels.classes)])
        source_at = labelled_batches(of_source, streams, "source batches", [f"source {view}" for view in views], cut)

    ready = partial(
        for_training, classes=torch.from_numpy(classes).to(device), groups=batches.bn_groups, dsbn=adaptation.dsbn
    )
    start = [peer_path(MODELS / args.start, seed) for seed in seeds]
    done = iterations_of(start)
    ask_room(MODELS / args.round, 2 * sum(path.stat().st_size for path in start))  # there, and in DVC's cache
    students = [ready(read_network(path, "student")) for path in start]
    teachers = [ready(read_network(path, "teacher")) for path in start] if refinery.teaching else None
    rates = shares_of_lr(students, adaptation.lr, adaptation.backbone_lr_scale)
    optimizer = Adam(rates, weight_decay=params.penalties.weight_decay, fused=True)
    smoothing, weight = params.penalties.label_smoothing, adaptation.source_weight
    within = Round(number, adaptation.iterations, done, len(centroids), smoothing, weight)
    dropout = partial(integer_seed, params.peers.seed, "dropout", number)

    history: list[Tensor] = []
    steps = adapt(refinery, students, teachers, batch_at, source_at, optimizer, within, dropout)
    for losses in (bar := tqdm(steps, total=adaptation.iterations, desc=f"{args.round}: training", unit="it")):
        history.append(losses)
        if len(history) % CHECKED == 1 or len(history) == adaptation.iterations:
            check_finite(history, args.round, adaptation.lr)
            bar.set_postfix(loss=f"{float(losses[0]):.3f}")
    made_by = {
        **params.values(method.keys),
        **batches.model_dump(),
        **adaptation.model_dump(),
        **params.penalties.model_dump(),
    }
    for path, seed, student, teacher in zip(start, seeds, students, teachers or students, strict=True):
        peer = continued(path, len(classes), images.shape[1:3], adaptation.iterations, made_by)
        write_peer(peer_path(MODELS / args.round, seed), student, teacher, peer)
    eps = figures.get("eps")
    write_handover(MODELS / args.round, Handover(eps, refinery.state()))
    columns = terms_of(refinery, adaptation.source_weight)
    write_losses(LOSSES / f"{args.round}.csv", columns, torch.stack(history).cpu().numpy(), done)


if __name__ == "__main__":
    run(main)
