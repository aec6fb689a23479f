"""One round of mutual mean-teaching: both students learn from the pseudo labels and from each other's mean teacher.

Reads the peers of the round's start and the round's clusters; writes models/<round>/ and the losses of every iteration.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import trange

from mutual.base.errors import InputError, run
from mutual.base.params import read_params, round_number
from mutual.base.store import read_array, read_json, write_json, write_text
from mutual.clusters.pseudo_labels import cluster_means, read_pseudo_labels
from mutual.images.index import read_cameras, read_index, relabel
from mutual.learning.adam import Adam
from mutual.learning.adaptation import TERMS, check_finite, for_training, shares_of_lr, step
from mutual.learning.batches import labelled_views
from mutual.learning.teacher import update_teacher
from mutual.machine.device import deterministic_device
from mutual.machine.streams import integer_seed, numpy_stream
from mutual.networks.peers import peer_path, read_iterations, read_network, write_peer
from mutual.networks.reid import ReidNetwork

SOURCE = Path("data/packed/source")
TARGET = Path("data/packed/target")
MODELS = Path("models")
ROUNDS = Path("data/rounds")
LOSSES = Path("metrics/losses")


def main() -> None:
    """``--round r02 --start r01``: from the peers of the start to those of the round."""
    parser = argparse.ArgumentParser(description="One round of mutual mean-teaching.")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params = read_params()
    device = deterministic_device()
    number, clusters = round_number(args.round), ROUNDS / args.round

    centroids = np.array(read_array(clusters / "centroids.npy"))
    files, camids = read_cameras(TARGET / "train.csv")
    draw = partial(
        labelled_views,
        batch_size=params.batch_size,
        instances=params.instances,
        padding=params.padding,
        device=device,
    )
    target = draw(
        read_array(TARGET / "train.npy"),
        read_pseudo_labels(clusters / "pseudo_labels.csv", files),
        camids,
        numpy_stream(params.seed, "target batches", number),
        [numpy_stream(params.seed, f"views of peer {seed}", number) for seed in params.seeds],
        erase_probability=params.erase_probability,
    )
    source, classes = None, centroids
    if params.source_weight > 0:
        index = read_index(SOURCE / "train.csv")
        labels = relabel(index.pid)
        classes = np.concatenate([centroids, cluster_means(read_array(clusters / "source_features.npy"), labels)])
        source = draw(
            read_array(SOURCE / "train.npy"),
            labels,
            index.camid,
            numpy_stream(params.seed, "source batches", number),
            [numpy_stream(params.seed, f"source views of peer {seed}", number) for seed in params.seeds],
        )

    torch.manual_seed(integer_seed(params.seed, "dropout", number))
    build = partial(
        ReidNetwork,
        params.backbone,
        stem_relu=params.stem_relu,
        pooling=params.pooling,
        dropout=params.dropout,
        precision=params.precision,
    )
    ready = partial(
        for_training, classes=torch.from_numpy(classes).to(device), groups=params.bn_groups, dsbn=params.dsbn
    )
    start = [peer_path(MODELS / args.start, seed) for seed in params.seeds]
    done = common_iterations(start)
    students = [ready(read_network(path, "student", build)) for path in start]
    # without soft losses and with alpha 0 a teacher is its student, whose forward need not be repeated
    teaching = params.alpha > 0 or params.soft_ce_weight > 0 or params.soft_tri_weight > 0
    teachers = [ready(read_network(path, "teacher", build)) for path in start] if teaching else None
    optimizer = Adam(shares_of_lr(students, params.backbone_lr_scale), params.lr, params.weight_decay)

    history: list[Tensor] = []
    for iteration in (bar := trange(params.iterations, desc=f"{args.round}: training", unit="it")):
        targets, views = next(target)
        of_source = None
        if source is not None:
            of_source, source_views = next(source)
            views = [torch.cat(both) for both in zip(views, source_views, strict=True)]
        loss = step(
            students,
            teachers,
            views,
            targets,
            optimizer,
            of_source,
            clusters=len(centroids),
            soft_ce_weight=params.soft_ce_weight,
            soft_tri_weight=params.soft_tri_weight,
            source_weight=params.source_weight,
            label_smoothing=params.label_smoothing,
        )
        if teachers is not None:
            for teacher, student in zip(teachers, students, strict=True):
                update_teacher(teacher, student, done + iteration, params.alpha)
        history.append(loss)
        if iteration % 20 == 0 or iteration + 1 == params.iterations:  # now and then: a GPU is waited for here
            check_finite(history, args.round, params.lr)
            bar.set_postfix(loss=f"{float(loss[0]):.3f}")
    for seed, student, teacher in zip(params.seeds, students, teachers or students, strict=True):
        write_peer(peer_path(MODELS / args.round, seed), student, teacher, done + params.iterations)
    clustering = read_json(clusters / "clustering.json")
    if "eps" in clustering:  # the next round keeps it
        write_json(MODELS / args.round / "eps.json", {"eps": clustering["eps"]})
    write_losses(LOSSES / f"{args.round}.csv", torch.stack(history).cpu().numpy(), done)


def common_iterations(start: Sequence[Path]) -> int:
    """Iterations of adaptation that all peers of the start have behind them."""
    done = read_iterations(start[0])
    for path in start[1:]:
        if read_iterations(path) != done:
            raise InputError(f"{path}: {read_iterations(path)} iterations done, expected {done} as {start[0].name} has")
    return done


def write_losses(path: Path, losses: np.ndarray, done: int) -> None:
    """The (T, 6) losses, one line an iteration, counted over all rounds; losses not computed are left empty."""
    lines = [",".join(["iteration", *TERMS])]
    for i, row in enumerate(losses, start=done + 1):
        lines.append(",".join([str(i), *("" if np.isnan(value) else f"{value:.6f}" for value in row)]))
    write_text(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run(main)
