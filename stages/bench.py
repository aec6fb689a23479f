"""How fast the parts are: ``python -m stages.bench [ROW ...]`` prints a table and writes metrics/bench.csv.

Every row runs in a process of its own, on drawn inputs of the size of the published sets. Machines differ, so that each
row comes with the time of a yardstick, measured just before it: compare seconds divided by it.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stages.reid.datasets import PUBLISHED, check_counts
from stages.reid.errors import InputError, run
from stages.reid.layouts import read_dataset
from stages.reid.packing import pack
from stages.reid.processes import cpus
from stages.reid.store import write_text

TABLE = Path("metrics/bench.csv")
COLUMNS = ("row", "median_s", "smallest_s", "largest_s", "runs", "peak_mib", "yardstick_s", "note")
Timed = Iterator[tuple[float, str]]  # seconds of a run, and what is worth noting of it


def main() -> None:
    """No arguments: all rows. ``--list`` names them; ``--run ROW`` is what a row's own process is called with."""
    parser = argparse.ArgumentParser(description="Benchmarks of the parts, each in a process of its own.")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--run", metavar="ROW", help=argparse.SUPPRESS)
    args = parser.parse_args()
    rows = benchmarks()
    if args.run:
        report_one(rows[args.run])
    elif args.list:
        print("\n".join(rows))
    else:
        for name in args.rows:
            if name not in rows:
                raise InputError(f"{name}: not a row, expected {', '.join(rows)}")
        measure(args.rows or list(rows))


def benchmarks() -> dict[str, Callable[[], Timed]]:
    """The rows by name."""
    return {"yardstick": yardstick} | {f"prepare {name}": partial(prepare, name) for name in PUBLISHED}


def measure(names: list[str]) -> None:
    """Run the rows one after the other; print each as it comes and write the table."""
    lines = [",".join(COLUMNS)]
    for name in names:
        reference = statistics.median(in_its_own_process("yardstick")["seconds"])
        found = in_its_own_process(name)
        seconds = found["seconds"]
        figures = [statistics.median(seconds), min(seconds), max(seconds)]
        cells = [name, *(f"{value:.4g}" for value in figures), str(len(seconds)), f"{found['peak_mib']:.0f}"]
        lines.append(",".join([*cells, f"{reference:.3f}", found["note"].replace(",", ";")]))
        print(lines[-1], flush=True)
        write_text(TABLE, "\n".join(lines) + "\n")


def in_its_own_process(name: str) -> dict[str, Any]:
    """Run a row there, so that its memory is its own: seconds of each run, peak and note."""
    command = [sys.executable, "-m", "stages.bench", "--run", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"{name}: ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report_one(row: Callable[[], Timed]) -> None:
    """Run one row in this process; its figures as one line of JSON."""
    timed = list(row())
    print(json.dumps({"seconds": [s for s, _ in timed], "note": timed[-1][1], "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """The most memory that this process or one of its own has held so far."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024


def yardstick() -> Timed:
    """A 4096 x 4096 x 4096 product in float32, five times."""
    import torch  # only this row needs it

    a, b = torch.rand(2, 4096, 4096).unbind()
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        yield time.perf_counter() - start, f"{torch.get_num_threads()} threads"


# --- prepare at full size --------------------------------------------------------------------------------------------

CAMERAS = {"market1501": 6, "dukemtmc": 8, "msmt17": 15}
FILES = 64  # of their own; all others are links to them


def prepare(name: str) -> Timed:
    """Reading, decoding and packing as many small JPEGs as the published set has, as the stage does it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "raw"
        fake_dataset(root, name)
        start = time.perf_counter()
        splits = read_dataset(root, name)
        deviations = check_counts(name, splits, name)
        for split, index in splits.items():
            pack(root, index.file, Path(folder) / f"{split}.npy", 64, 32, cpus(), f"{name} {split}")
        seconds = time.perf_counter() - start
        packed = sum((Path(folder) / f"{split}.npy").stat().st_size for split in splits) / 2**20
    counts = " ".join(f"{split} {len(index)}" for split, index in splits.items())
    told = "; ".join(deviations) or "counts as published"
    yield seconds, f"{counts}; {told}; {packed:.0f} MiB packed"


def fake_dataset(root: Path, name: str) -> None:
    """A folder in the layout of the published set, with its numbers of images and identities and names like its own."""
    (root / "own").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(FILES):
        pixels = rng.integers(0, 256, (8, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((64, 128)).save(root / "own" / f"{number}.jpg", quality=90)
    folders = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
    for split, (images, pids) in PUBLISHED[name].items():
        lines = []
        for i in range(images):
            pid, camera = 1 + i % pids, 1 + i // pids % CAMERAS[name]
            if name == "msmt17":
                path = f"{pid:04d}/{pid:04d}_{i // pids:03d}_{camera:02d}_0303{split}_{i:06d}_0.jpg"
                lines.append(f"{path} {pid}\n")
                place = root / ("train" if split == "train" else "test") / path
            elif name == "dukemtmc":
                place = root / folders[split] / f"{pid:04d}_c{camera}_f{i:07d}.jpg"
            else:
                place = root / folders[split] / f"{pid:04d}_c{camera}s1_{i:06d}_00.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(root / "own" / f"{i % FILES}.jpg", place)
        if name == "msmt17":
            (root / f"list_{split}.txt").write_text("".join(lines[: len(lines) - 1000 * (split == "train")]))
            if split == "train":
                (root / "list_val.txt").write_text("".join(lines[-1000:]))


if __name__ == "__main__":
    run(main)
