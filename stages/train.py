"""One round of mutual mean-teaching: both students learn from the pseudo labels and from each other's mean teacher.

Reads the peers of the round's start and the round's clusters; writes models/<round>/ and the losses of every iteration.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import trange

from stages.reid.augment import training_views
from stages.reid.checkpoint import peer_path, read_iterations, read_network, write_peer
from stages.reid.datasets import read_cameras
from stages.reid.device import deterministic_device
from stages.reid.errors import InputError, run
from stages.reid.losses import mutual_loss
from stages.reid.network import ReidNetwork
from stages.reid.params import read_params, round_number
from stages.reid.pseudo_labels import read_pseudo_labels
from stages.reid.sampler import identity_batches
from stages.reid.store import read_array, write_text
from stages.reid.streams import integer_seed, numpy_stream
from stages.reid.teacher import update_teacher

TARGET = Path("data/packed/target")
MODELS = Path("models")
ROUNDS = Path("data/rounds")
LOSSES = Path("metrics/losses")
COLUMNS = ("total", "hard_ce", "soft_ce", "hard_tri", "soft_tri")


def main() -> None:
    """``--round r02 --start r01``: from the peers of the start to those of the round."""
    parser = argparse.ArgumentParser(description="One round of mutual mean-teaching.")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params = read_params()
    device = deterministic_device()
    number = round_number(args.round)

    files, camids = read_cameras(TARGET / "train.csv")
    labels = read_pseudo_labels(ROUNDS / args.round / "pseudo_labels.csv", files)
    rng = numpy_stream(params.seed, "target batches", number)
    view_streams = [numpy_stream(params.seed, f"views of peer {seed}", number) for seed in params.seeds]
    batches = peer_views(
        identity_rows(labels, camids, params.batch_size, params.instances, rng),
        view_streams,
        padding=params.padding,
        erase_probability=params.erase_probability,
    )

    torch.manual_seed(integer_seed(params.seed, "dropout", number))
    build = partial(
        ReidNetwork,
        params.backbone,
        stem_relu=params.stem_relu,
        dropout=params.dropout,
        precision=params.precision,
    )
    start = [peer_path(MODELS / args.start, seed) for seed in params.seeds]
    done = common_iterations(start)
    centroids = torch.from_numpy(np.array(read_array(ROUNDS / args.round / "centroids.npy"))).to(device)
    students = [for_training(read_network(path, "student", build), centroids) for path in start]
    # without soft losses and with alpha 0 a teacher is its student, whose forward need not be repeated
    teaching = params.alpha > 0 or params.soft_ce_weight > 0 or params.soft_tri_weight > 0
    teachers = [for_training(read_network(path, "teacher", build), centroids) for path in start] if teaching else None
    trained = [p for student in students for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=params.lr, weight_decay=params.weight_decay, fused=True)

    history: list[Tensor] = []
    for iteration in (bar := trange(params.iterations, desc=f"{args.round}: training", unit="it")):
        rows, views = next(batches)
        loss = step(
            students,
            teachers,
            [view.to(device) for view in views],
            torch.from_numpy(labels[rows]).to(device),
            optimizer,
            soft_ce_weight=params.soft_ce_weight,
            soft_tri_weight=params.soft_tri_weight,
            label_smoothing=params.label_smoothing,
        )
        for teacher, student in zip(teachers or (), students, strict=teaching):
            update_teacher(teacher, student, done + iteration, params.alpha)
        history.append(loss)
        if iteration % 20 == 0 or iteration + 1 == params.iterations:  # now and then: a GPU is waited for here
            check_finite(history, args.round, params.lr)
            bar.set_postfix(loss=f"{float(loss[0]):.3f}")
    for seed, student, teacher in zip(params.seeds, students, teachers or students, strict=True):
        write_peer(peer_path(MODELS / args.round, seed), student, teacher, done + params.iterations)
    write_losses(LOSSES / f"{args.round}.csv", torch.stack(history).cpu().numpy(), done)


def identity_rows(
    labels: np.ndarray, camids: np.ndarray, batch_size: int, instances: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Endless (B,) rows of the images that have a pseudo label, drawn by pseudo identity; outliers (-1) never."""
    inliers = np.flatnonzero(labels >= 0)
    for chosen in identity_batches(labels[inliers], camids[inliers], batch_size, instances, rng):
        yield inliers[chosen]


def peer_views(
    batches: Iterator[np.ndarray],
    view_streams: Sequence[np.random.Generator],
    *,
    padding: int,
    erase_probability: float,
) -> Iterator[tuple[np.ndarray, list[Tensor]]]:
    """Endless (B,) rows of target images and their views: one (B, 3, H, W) batch for each peer's stream."""
    images = read_array(TARGET / "train.npy")
    for rows in batches:
        batch = images[rows]
        yield (
            rows,
            [training_views(batch, rng, padding=padding, erase_probability=erase_probability) for rng in view_streams],
        )


def common_iterations(start: Sequence[Path]) -> int:
    """Iterations of adaptation that all peers of the start have behind them."""
    done = read_iterations(start[0])
    for path in start[1:]:
        if read_iterations(path) != done:
            raise InputError(f"{path}: {read_iterations(path)} iterations done, expected {done} as {start[0].name} has")
    return done


def for_training(network: ReidNetwork, centroids: Tensor) -> ReidNetwork:
    """The network on the centroids' device in training mode, its classes the (C, D) centroids.

    Teachers train too: they normalise with their own batches and move their own running statistics.
    """
    network.to(centroids.device)
    network.set_classifier(centroids)
    return network.train().to(memory_format=torch.channels_last)


def step(
    students: Sequence[ReidNetwork],
    teachers: Sequence[ReidNetwork] | None,
    views: Sequence[Tensor],
    targets: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    soft_ce_weight: float,
    soft_tri_weight: float,
    label_smoothing: float,
) -> Tensor:
    """One optimiser step of all students on ``views``, one (B, 3, H, W) batch for each peer, and (B,) ``targets``.

    Returns the (5,) losses in the order of :data:`COLUMNS`, NaN for those that are not computed.
    """
    outputs = [student(view) for student, view in zip(students, views, strict=True)]
    taught = None
    if teachers is not None:
        with torch.no_grad():
            taught = [teacher(view) for teacher, view in zip(teachers, views, strict=True)]
    loss = mutual_loss(
        outputs,
        taught,
        targets,
        soft_ce_weight=soft_ce_weight,
        soft_tri_weight=soft_tri_weight,
        label_smoothing=label_smoothing,
    )
    optimizer.zero_grad()
    loss.total.backward()
    optimizer.step()
    absent = loss.total.new_tensor(torch.nan)
    terms = (loss.total, loss.hard_ce, loss.soft_ce, loss.hard_tri, loss.soft_tri)
    return torch.stack([absent if term is None else term.detach() for term in terms])


def check_finite(history: Sequence[Tensor], name: str, lr: float) -> None:
    """Raise :class:`InputError` when a total among the (5,) losses is not finite: such networks are not written."""
    broken = torch.nonzero(~torch.isfinite(torch.stack([losses[0] for losses in history])))
    if len(broken):
        raise InputError(
            f"{name}: the loss is not finite from iteration {int(broken[0]) + 1}: expected a lower lr than {lr}"
        )


def write_losses(path: Path, losses: np.ndarray, done: int) -> None:
    """The (T, 5) losses, one line an iteration, counted over all rounds; losses not computed are left empty."""
    lines = [",".join(["iteration", *COLUMNS])]
    for i, row in enumerate(losses, start=done + 1):
        lines.append(",".join([str(i), *("" if np.isnan(value) else f"{value:.6f}" for value in row)]))
    write_text(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run(main)
