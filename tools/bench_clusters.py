"""What DBSCAN of many images costs, and what approximate neighbours change: prints the table of docs/machines.md.

Reads no data: features are drawn, people, cameras and images of people, and every row runs in a process of its own,
with its features on disk below the folder for temporary files (TMPDIR, 2 GB). Nothing else is written. Rows that are
named are run alone; --list names them. Example: python -m tools.bench_clusters "exact 33k" "exact 100k"
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.bench_clusters")

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mutual.base.errors import InputError, run
from mutual.clusters.approximate import nearly_nearest
from mutual.clusters.density import dbscan, normalised
from mutual.clusters.encodings import encodings
from mutual.clusters.neighbours import nearest
from mutual.clusters.pairs import pairs_by_rule, pairs_within
from mutual.clusters.sharing import STRANGERS, pairs_that_share
from mutual.machine.device import deterministic_device
from stages.door import arguments
from tools.bench import peak_mib
from tools.bench_search import PEOPLE_IMAGES, drawn, line

LENGTH, K1, K2, EPS, MIN_SAMPLES = 512, 20, 6, 0.5, 4
PARTS = ("search", "encodings", "dbscan", "rule")
ASKED = 500  # images whose neighbours are sought again, exactly
COLUMNS = ("neighbours", "images", "search", "encodings", "DBSCAN at 0.5", "eps by rule", "all", "exponent", "memory")
JUDGED = ("recall", "clusters", "people", "exact labels")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    images: int
    exact: bool


SIZES = {"33k": 33_000, "100k": 100_000, "300k": 300_000, "1M": 1_000_000}
ROWS = {
    f"{kind} {name}": Row(size, kind == "exact") for kind in ("exact", "approximate") for name, size in SIZES.items()
}
HOURS = ["exact 1M"]  # only where it is named


def main() -> None:
    """No arguments: all rows of less than hours. ``--run ROW FOLDER`` is what a row's own process is called with."""
    parser = arguments(__doc__, "tools.bench_clusters")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="these only")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--run", nargs=2, metavar=("ROW", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measured(ROWS[args.run[0]], Path(args.run[1]))))
        return
    if args.list:
        print("\n".join(ROWS))
        return
    for name in args.rows:
        if name not in ROWS:
            raise InputError(f"{name}: not a row: expected one of python -m tools.bench_clusters --list")
    heads = (*COLUMNS, *JUDGED)
    print(line(heads), line(["---", *["---:"] * (len(heads) - 1)]), sep="\n", flush=True)
    before: dict[bool, tuple[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.rows or [name for name in ROWS if name not in HOURS]:
            row, found = ROWS[name], in_its_own_process(name, folder)
            parts = [found[part] for part in PARTS]
            growth = ""
            if row.exact in before:
                images, seconds = before[row.exact]
                growth = f"{math.log(sum(parts) / seconds) / math.log(row.images / images):.2f}"
            before[row.exact] = row.images, sum(parts)
            cells = [name.split()[0], f"{row.images:,}", *(f"{part:,.1f} s" for part in (*parts, sum(parts))), growth]
            cells += [f"{found['memory'] / 1024:.1f} GB", f"{found['recall']:.1%}", f"{found['clusters']:,}"]
            cells += [f"{found['people']:.3f}", f"{found['same']:.3f}" if "same" in found else ""]
            print(line(cells), flush=True)


def in_its_own_process(name: str, folder: str) -> dict[str, float]:
    """Run a row there, so that its memory is its own."""
    command = [sys.executable, "-m", "tools.bench_clusters", "--run", name, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"{name}: ended with exit code {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(row: Row, folder: Path) -> dict[str, float]:
    """Seconds of the parts, the most memory held, in MiB, and what became of the labels.

    recall: share of the neighbours that are an image's nearest; people, same: adjusted Rand index of the labels with
    the people and, of approximate neighbours, with the labels of exact ones, where these were made before.
    """
    from sklearn.metrics import adjusted_rand_score

    device = deterministic_device()
    clustered(
        normalised(np.random.default_rng(0).standard_normal((500, LENGTH), np.float32)), Row(500, row.exact), device
    )
    with tempfile.TemporaryDirectory() as place:
        file, people, _ = drawn(Path(place) / "features.npy", row.images, LENGTH)
        features = normalised(np.array(file))
        del file
        times, index, labels = clustered(features, row, device)
        memory = peak_mib()
        rows = np.arange(0, row.images, row.images // ASKED)
        import faiss

        _, right = faiss.knn(features[rows], features, K1 + 1)
    held = [len(np.intersect1d(*both)) / (K1 + 1) for both in zip(index[rows], right, strict=True)]
    found = times | {"memory": memory, "recall": float(np.mean(held)), "clusters": int(labels.max()) + 1}
    found["people"] = adjusted_rand_score(people, labels)
    exactly = folder / f"{row.images}.npy"
    if row.exact:
        np.save(exactly, labels)
    elif exactly.exists():
        found["same"] = adjusted_rand_score(np.load(exactly), labels)
    return found


def clustered(features: np.ndarray, row: Row, device: torch.device) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Seconds of the parts, the neighbours and the labels."""
    times = [time.perf_counter()]
    found = nearest(features, K1 + 1, device) if row.exact else nearly_nearest(features, K1 + 1, device)
    times.append(time.perf_counter())
    encoded = encodings(features, found, K1, K2)
    times.append(time.perf_counter())
    labels = dbscan(pairs_within(pairs_that_share(encoded), EPS), row.images, MIN_SAMPLES)
    times.append(time.perf_counter())
    share = (PEOPLE_IMAGES - 1) / (row.images - 1)  # of the pairs, those of one person
    pairs_by_rule(pairs_that_share(encoded), row.images, share, STRANGERS)
    times.append(time.perf_counter())
    parts = dict(zip(PARTS, np.diff(times).tolist(), strict=True))
    return parts, found.index, labels


if __name__ == "__main__":
    run(main)
