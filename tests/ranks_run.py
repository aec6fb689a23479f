"""What several processes make of an iteration, beside one.

As a command it prints the table of 1, 2 and 4 processes: python -m tests.ranks_run. Started by torchrun, with a
folder, a number of iterations and precisions behind it, it trains every case and leaves there what the first process
got; of each process a hash, which is to be the same.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from mutual.base.launched import processes
from mutual.base.params import read_params
from mutual.clusters import neighbours
from mutual.clusters.pseudo_labels import PseudoLabels
from mutual.evaluation.features import extract
from mutual.learning.adaptation import Round, adapt, for_training, trained_by
from mutual.learning.batches import Batch, Cut, Streams, TrainingSet, labelled_batches
from mutual.learning.pretraining import Plan, Pretraining
from mutual.machine.device import CPU
from mutual.machine.ranks import ALONE, Ranks, join
from mutual.machine.streams import integer_seed
from mutual.networks.norms import in_parts
from mutual.networks.reid import ReidNetwork, inference
from mutual.refineries.contract import find_refinery

ROOT = Path(__file__).resolve().parents[1]
CLUSTERS, WIDTH, BATCH = 6, 24, 16
ITERATIONS = 20
ALL = 10  # cases, with pre-training
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Case(NamedTuple):
    """A method, and what else differs from the plainest round."""

    method: str
    source_weight: float = 0.0
    dsbn: bool = False
    dropout: float = 0.0


CASES = {
    "mmt": Case("mmt"),
    "hard_labels": Case("hard_labels"),
    "self": Case("self"),
    "core": Case("core"),
    "coteaching": Case("coteaching"),
    "dmt": Case("dmt"),
    "mmt with dropout": Case("mmt", dropout=0.3),
    "mmt with the source": Case("mmt", source_weight=1.0),
    "mmt with dsbn": Case("mmt", source_weight=1.0, dsbn=True, dropout=0.3),
}


class Found(NamedTuple):
    """What an iteration changes, after the last one."""

    losses: np.ndarray  # (iterations, terms)
    weights: np.ndarray  # of all networks, and the refinery's state
    statistics: np.ndarray  # of their batch norms
    seconds: np.ndarray  # an iteration


class TinyBackbone(nn.Sequential):
    """Convolutions and batch norms as in a ResNet, in a hundredth of the time."""

    width = WIDTH

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for before, after in ((3, 8), (8, WIDTH)):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers)


def network(seed: int, classes: int, dropout: float, dtype: torch.dtype) -> ReidNetwork:
    torch.manual_seed(seed)
    made = ReidNetwork("resnet18", classes, dropout=dropout)
    made.backbone = TinyBackbone()  # type: ignore[assignment]
    made.neck, made.classifier = nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, classes, bias=False)
    made.neck.bias.requires_grad_(False)
    return made.to(dtype)


def images(seed: int) -> TrainingSet:
    drawn = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLUSTERS), 8)
    pixels = drawn.integers(0, 255, (len(labels), 16, 8, 3)).astype(np.uint8)
    pixels[..., 0] += (labels * 20)[:, None, None].astype(np.uint8)
    return TrainingSet(pixels, PseudoLabels(labels), np.tile(np.arange(2), len(labels) // 2))


def batches(of: TrainingSet, purpose: str, dtype: torch.dtype) -> Callable[[int], Batch]:
    cut = Cut(BATCH, 4, 1, CPU)
    at = labelled_batches(of, Streams(1, 1), purpose, [f"{purpose} {i}" for i in range(2)], cut)

    def typed(iteration: int) -> Batch:
        batch = at(iteration)
        return Batch(batch.rows, batch.targets, [view.to(dtype) for view in batch.views])

    return typed


def found_by(losses: Tensor, networks: list[ReidNetwork], state: Mapping[str, Tensor], seconds: float) -> Found:
    kept = [*(p.detach() for each in networks for p in each.parameters()), *state.values()]
    moved = [b for each in networks for b in each.buffers() if b.is_floating_point()]
    weights, statistics = (torch.cat([each.flatten().double() for each in some]).numpy() for some in (kept, moved))
    return Found(losses.double().numpy(), weights, statistics, np.array(seconds))


def adapted(case: Case, dtype: torch.dtype, ranks: Ranks, groups: int, iterations: int) -> Found:
    """A round of this case."""
    method = find_refinery(case.method)
    refinery = method.of(
        read_params().values(method.keys) | ({"coteaching.forget_rate": 0.4} if case.method == "coteaching" else {})
    )
    classes = CLUSTERS * (2 if case.source_weight else 1)
    torch.manual_seed(9)
    centroids = torch.randn(classes, WIDTH, dtype=dtype)
    students, teachers = (
        [
            for_training(network(seed + role, classes, case.dropout, dtype), centroids, groups, case.dsbn, ranks).to(
                dtype
            )
            for seed in (1, 2)
        ]
        for role in (0, 10)
    )
    target = images(3)
    features = np.random.default_rng(4).normal(size=(2, len(target.images), 8)).astype(np.float32)
    features += np.eye(CLUSTERS, 8, dtype=np.float32)[target.labels.classes]
    features /= np.linalg.norm(features, axis=2, keepdims=True)
    refinery.begin(1, target.labels.classes, lambda: list(features))
    optimizer = trained_by(students, 3.5e-4, 1.0, 5e-4)
    within = Round(1, iterations, 0, CLUSTERS, 0.1, case.source_weight, case.dsbn, ranks)
    source_at = batches(images(5), "source", dtype) if case.source_weight else None
    dropout = lambda i: integer_seed(1, "dropout", 1, i)  # noqa: E731
    started = perf_counter()
    steps = adapt(
        refinery,
        students,
        teachers if refinery.teaching else None,
        batches(target, "target", dtype),
        source_at,
        optimizer,
        within,
        dropout,
    )
    losses = torch.stack(list(steps))
    trained = [*students, *(teachers if refinery.teaching else [])]
    return found_by(losses, trained, refinery.state(), (perf_counter() - started) / iterations)


def pretrained(dtype: torch.dtype, ranks: Ranks, groups: int, iterations: int) -> Found:
    """Two epochs of pre-training."""
    made = network(1, CLUSTERS, 0.3, dtype)
    in_parts(made, groups, domains=False, ranks=ranks)
    source_at, target_at = batches(images(5), "source", dtype), batches(images(3), "target", dtype)
    plan = Plan(2, iterations // 2, 1e-3, 1, [2], 1, 0.1, 5e-4)
    going = Pretraining(
        made,
        source_at,
        lambda i: target_at(i).views[0],
        plan,
        lambda net: float(net.state_dict()["neck.running_mean"].sum()),
        lambda i: i,
        ranks,
    )
    started = perf_counter()
    for _ in going.left():
        pass
    losses = torch.tensor([[epoch.cross_entropy, epoch.triplet, epoch.accuracy or 0.0] for epoch in going.epochs])
    return found_by(losses, [made], {}, (perf_counter() - started) / iterations)


def everything(ranks: Ranks, groups: int, iterations: int, dtypes: Sequence[str]) -> dict[str, Found]:
    """All cases in these precisions."""
    found = {}
    for name in dtypes:
        dtype = DTYPES[name]
        for title, case in CASES.items():
            found[f"{title}, {name}"] = adapted(case, dtype, ranks, groups, iterations)
        found[f"pre-training, {name}"] = pretrained(dtype, ranks, groups, iterations)
    return found


def features(ranks: Ranks) -> np.ndarray:
    """Of a number of images that no number of processes divides."""
    frozen = inference(network(1, CLUSTERS, 0.0, torch.float32))
    pixels = np.random.default_rng(6).integers(0, 255, (83, 16, 8, 3)).astype(np.uint8)
    return extract(frozen, pixels, CPU, "features", ranks=ranks)


def found_near(of: np.ndarray, ranks: Ranks) -> np.ndarray:
    """The five nearest of each, how far they are, and how far the farthest is: (N, 11), by tiles of 16 x 32."""
    with patch.object(neighbours, "TILE", (16, 32)):
        return np.column_stack(list(astuple(neighbours.nearest(of, 5, CPU, ranks))))


def worker(folder: Path, iterations: int, dtypes: Sequence[str]) -> None:
    """One of the processes."""
    torch.set_num_threads(1)
    ranks = join(CPU)
    found = everything(ranks, ranks.count, iterations, dtypes)
    ours = features(ranks)
    near = found_near(ours, ranks)
    every = (ours, near, *(each.weights for each in found.values()))
    seen = hashlib.sha256(b"".join(each.tobytes() for each in every)).hexdigest()
    (folder / f"{ranks.rank}.txt").write_text(seen, encoding="utf-8")
    if ranks.first:
        arrays = {f"{title}/{name}": array for title, each in found.items() for name, array in each._asdict().items()}
        np.savez(folder / "found.npz", features=ours, near=near, **arrays)


def launched(count: int, *command: str, **options: Any) -> subprocess.Popen[str]:
    """torchrun with so many processes of a module, on this machine."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(run, env=environment, text=True, **({"cwd": ROOT} | options))


def by_processes(
    count: int, folder: Path, iterations: int, dtypes: Sequence[str]
) -> tuple[dict[str, Found], np.ndarray, np.ndarray, set[str]]:
    """What so many got, features and whom they found near among them, and their hashes."""
    command = ["-m", "tests.ranks_run", str(folder), str(iterations), *dtypes]
    process = launched(count, *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    with np.load(folder / "found.npz") as file:
        titles = list(dict.fromkeys(name.rpartition("/")[0] for name in file if "/" in name))
        found = {title: Found(*(file[f"{title}/{field}"] for field in Found._fields)) for title in titles}
        ours, near = file["features"], file["near"]
    hashes = {path.read_text(encoding="utf-8") for path in folder.glob("*.txt")}
    assert len(list(folder.glob("*.txt"))) == count
    return found, ours, near, hashes


def worst(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest value; NaN stands for what was not computed in both."""
    assert (np.isnan(ours) == np.isnan(theirs)).all()
    return float(np.nanmax(np.abs(ours - theirs)) / np.nanmax(np.abs(theirs)))


def table() -> None:
    """Each number of processes beside one that cuts the batch into as many groups."""
    print("processes,case,losses,weights,statistics,features,seconds an iteration,of one process")
    for count in (2, 4):
        alone, plain = everything(ALONE, count, ITERATIONS, [*DTYPES]), features(ALONE)
        with tempfile.TemporaryDirectory() as folder:
            found, ours, near, hashes = by_processes(count, Path(folder), ITERATIONS, [*DTYPES])
        same_near = (near == found_near(plain, ALONE)).all()
        same = "same bytes" if (ours == plain).all() and same_near and len(hashes) == 1 else "differ"
        for title, each in found.items():
            one = alone[title]
            off = [worst(*both) for both in zip(each[:3], one[:3], strict=True)]
            shown = ",".join(f"{value:.1e}" for value in off)
            print(f'{count},"{title}",{shown},{same},{float(each.seconds):.4f},{float(one.seconds):.4f}')


if __name__ == "__main__":
    if processes() > 1:
        worker(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    else:
        torch.set_num_threads(1)
        table()
