"""One round of mutual mean-teaching: both students learn from the pseudo labels and from each other's mean teacher.

Reads the peers of the round's start and the round's clusters; writes models/<round>/ and the losses of every iteration.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

from stages.reid.adam import Adam
from stages.reid.augment import training_views
from stages.reid.checkpoint import peer_path, read_iterations, read_network, write_peer
from stages.reid.datasets import read_cameras, read_index, relabel
from stages.reid.device import deterministic_device
from stages.reid.errors import InputError, run
from stages.reid.losses import hard_losses, mutual_loss
from stages.reid.network import ReidNetwork
from stages.reid.norms import in_parts
from stages.reid.params import read_params, round_number
from stages.reid.pseudo_labels import cluster_means, read_pseudo_labels
from stages.reid.sampler import identity_batches
from stages.reid.store import read_array, read_json, write_json, write_text
from stages.reid.streams import integer_seed, numpy_stream
from stages.reid.teacher import update_teacher

SOURCE = Path("data/packed/source")
TARGET = Path("data/packed/target")
MODELS = Path("models")
ROUNDS = Path("data/rounds")
LOSSES = Path("metrics/losses")
COLUMNS = ("total", "hard_ce", "soft_ce", "hard_tri", "soft_tri", "source")


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
    draw = partial(labelled_views, batch_size=params.batch_size, instances=params.instances, padding=params.padding)
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
            [view.to(device) for view in views],
            targets.to(device),
            optimizer,
            None if of_source is None else of_source.to(device),
            clusters=len(centroids),
            soft_ce_weight=params.soft_ce_weight,
            soft_tri_weight=params.soft_tri_weight,
            source_weight=params.source_weight,
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
    clustering = read_json(clusters / "clustering.json")
    if "eps" in clustering:  # the next round keeps it
        write_json(MODELS / args.round / "eps.json", {"eps": clustering["eps"]})
    write_losses(LOSSES / f"{args.round}.csv", torch.stack(history).cpu().numpy(), done)


def labelled_views(
    images: np.ndarray,
    labels: np.ndarray,
    camids: np.ndarray,
    batch_stream: np.random.Generator,
    view_streams: Sequence[np.random.Generator],
    *,
    batch_size: int,
    instances: int,
    padding: int,
    erase_probability: float = 0.0,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Endless (B,) int64 labels and, for each peer's stream, (B, 3, H, W) views of images drawn by identity.

    ``images`` is (N, H, W, 3) uint8; outliers (label -1) are never drawn.
    """
    inliers = np.flatnonzero(labels >= 0)
    for chosen in identity_batches(labels[inliers], camids[inliers], batch_size, instances, batch_stream):
        rows = inliers[chosen]
        batch = images[rows]
        yield (
            torch.from_numpy(labels[rows]),
            [training_views(batch, rng, padding=padding, erase_probability=erase_probability) for rng in view_streams],
        )


def common_iterations(start: Sequence[Path]) -> int:
    """Iterations of adaptation that all peers of the start have behind them."""
    done = read_iterations(start[0])
    for path in start[1:]:
        if read_iterations(path) != done:
            raise InputError(f"{path}: {read_iterations(path)} iterations done, expected {done} as {start[0].name} has")
    return done


def for_training(network: ReidNetwork, classes: Tensor, groups: int = 1, dsbn: bool = False) -> ReidNetwork:
    """The network on the device of ``classes`` in training mode, a class for each of the (C, D) rows.

    Teachers train too: they normalise with their own batches and move their own running statistics. ``groups`` and
    ``dsbn``: see :func:`stages.reid.norms.in_parts`.
    """
    network.to(classes.device)
    network.set_classifier(classes)
    in_parts(network, groups, dsbn)
    return network.train().to(memory_format=torch.channels_last)


def shares_of_lr(students: Sequence[ReidNetwork], backbone_share: float) -> list[tuple[list[nn.Parameter], float]]:
    """The trained parameters of all students with their share of the learning rate, in as few groups as there are."""
    groups: dict[float, list[nn.Parameter]] = {}
    for student in students:
        for name, parameter in student.named_parameters():
            if parameter.requires_grad:
                share = backbone_share if name.startswith("backbone.") else 1.0
                groups.setdefault(share, []).append(parameter)
    return [(parameters, share) for share, parameters in groups.items()]


def step(
    students: Sequence[ReidNetwork],
    teachers: Sequence[ReidNetwork] | None,
    views: Sequence[Tensor],
    targets: Tensor,
    optimizer: Adam,
    of_source: Tensor | None = None,
    *,
    clusters: int | None = None,
    soft_ce_weight: float,
    soft_tri_weight: float,
    label_smoothing: float,
    source_weight: float = 0.0,
) -> Tensor:
    """One optimiser step of all students on ``views``, one (B, 3, H, W) batch for each peer, and (B,) ``targets``.

    With ``of_source``, (S,) labels, the views are (B + S, 3, H, W), those of the source last, and the classes after the
    ``clusters`` first are the source's. Returns the (6,) losses in the order of :data:`COLUMNS`, NaN for those that are
    not computed.
    """
    outputs = [student(view) for student, view in zip(students, views, strict=True)]
    taught = None
    if teachers is not None:
        with torch.no_grad():
            taught = [teacher(view) for teacher, view in zip(teachers, views, strict=True)]
    count = len(targets)
    loss = mutual_loss(
        [(pooled[:count], logits[:count, :clusters]) for pooled, logits in outputs],
        taught and [(pooled[:count], logits[:count, :clusters]) for pooled, logits in taught],
        targets,
        soft_ce_weight=soft_ce_weight,
        soft_tri_weight=soft_tri_weight,
        label_smoothing=label_smoothing,
    )
    total, source = loss.total, None
    if of_source is not None:
        hard = [hard_losses(x[count:], y[count:, clusters:], of_source, label_smoothing) for x, y in outputs]
        source = torch.stack([ce + tri for ce, tri in hard]).sum()
        total = total + source_weight * source
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    absent = total.new_tensor(torch.nan)
    terms = (total, loss.hard_ce, loss.soft_ce, loss.hard_tri, loss.soft_tri, source)
    return torch.stack([absent if term is None else term.detach() for term in terms])


def check_finite(history: Sequence[Tensor], name: str, lr: float) -> None:
    """Raise :class:`InputError` when a total among the (6,) losses is not finite: such networks are not written."""
    broken = torch.nonzero(~torch.isfinite(torch.stack([losses[0] for losses in history])))
    if len(broken):
        raise InputError(
            f"{name}: the loss is not finite from iteration {int(broken[0]) + 1}: expected a lower lr than {lr}"
        )


def write_losses(path: Path, losses: np.ndarray, done: int) -> None:
    """The (T, 6) losses, one line an iteration, counted over all rounds; losses not computed are left empty."""
    lines = [",".join(["iteration", *COLUMNS])]
    for i, row in enumerate(losses, start=done + 1):
        lines.append(",".join([str(i), *("" if np.isnan(value) else f"{value:.6f}" for value in row)]))
    write_text(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run(main)
