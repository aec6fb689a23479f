"""How fast, large and exact a search is: prints the table of docs/search.md.

Reads no data: features are drawn, people, cameras and images of people, and every row runs in a process of its own,
with its features on disk below the folder for temporary files (TMPDIR, 8 GB). Nothing else is written. Rows that are
named are run alone; --list names them. The last two rows are what else Faiss offers, searched by codes of 8 bits.
Example: python -m tools.bench_search --list
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.bench_search")

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from mutual.base.errors import InputError, run
from mutual.base.store import ask_room
from mutual.machine.streams import numpy_stream
from mutual.search.index import BLOCK, EXACT, Index, coded, read_codes, write_codes
from stages.door import arguments

QUERIES, NEIGHBOURS = 200, 10
# people, cameras and images of a person differ in ever weaker respects, as principal components of features do; with
# these the nearest images, and the spread over components, are much as in the demo's features, and harder to tell apart
RESPECTS, PEOPLE_IMAGES, CAMERAS = 256, 20, 20
OF_CAMERA, OF_IMAGE, NOISE = 0.4, 0.4, 0.15  # standard deviations; that of people is 1
COLUMNS = ("search", "images", "D", "features", "index", "memory", "made in", "a query", "CPU", "recall")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    images: int
    length: int
    other: str = ""  # what Faiss's factory makes, in place of the project's own index


ROWS = {
    "exact 512": Row(EXACT, 512),
    "exact 2048": Row(EXACT, 2048),
    "codes 200k": Row(200_000, 512),
    "codes 512": Row(1_000_000, 512),
    "codes 2048": Row(1_000_000, 2048),
    "HNSW 200k": Row(200_000, 512, "PCA128,HNSW16_SQ8"),
    "IVF 200k": Row(200_000, 512, "PCA128,IVF1024,SQ8"),
}


def main() -> None:
    """No arguments: all rows. ``--run ROW`` is what a row's own process is called with."""
    parser = arguments(__doc__, "tools.bench_search")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="these only")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--run", metavar="ROW", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measured(ROWS[args.run])))
        return
    if args.list:
        print("\n".join(ROWS))
        return
    for name in args.rows:
        if name not in ROWS:
            raise InputError(f"{name}: not a row: expected one of python -m tools.bench_search --list")
    print(line(COLUMNS), line(["---", *["---:"] * (len(COLUMNS) - 1)]), sep="\n", flush=True)
    for name in args.rows or ROWS:
        print(line([name.split()[0], *cells(ROWS[name], in_its_own_process(name))]), flush=True)


def line(cells: Any) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cells(row: Row, found: dict[str, float]) -> list[str]:
    """What stands behind a row's name."""
    return [
        f"{row.images:,}",
        f"{row.length:,}",
        f"{row.images * row.length * 4 / 1e6:,.0f} MB",
        f"{found['index'] / 1e6:,.0f} MB",
        f"{found['memory'] / 1e6:,.0f} MB",
        f"{found['made']:,.0f} s",
        f"{found['query'] * 1e3:.1f} ms",
        f"{found['cpu'] * 1e3:.1f} ms",
        f"{found['recall']:.1%}",
    ]


def in_its_own_process(name: str) -> dict[str, float]:
    """Run a row there, so that its memory is its own."""
    command = [sys.executable, "-m", "tools.bench_search", "--run", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"{name}: ended with exit code {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(row: Row) -> dict[str, float]:
    """Draw the features, make the index, write and read it as a search does, and ask it 200 queries one by one."""
    with tempfile.TemporaryDirectory() as folder:
        features, _, queries = drawn(Path(folder) / "features.npy", row.images, row.length)
        exact, _ = Index(features).search(queries, NEIGHBOURS)
        path, start, search = Path(folder) / "codes.faiss", time.process_time(), Index(features)
        with anonymous_peak() as peak:
            if row.other:
                search = replace(search, codes=made_by_faiss(features, row.other))
            elif row.images > EXACT:
                search = replace(search, codes=coded(features))
        made = time.process_time() - start
        if search.codes is not None:
            write_codes(path, search.codes)
            search = replace(search, codes=read_codes(path, features))
        wall, cpu, found = [], [], []
        search.search(queries[:1], NEIGHBOURS)
        for query in queries:
            start, start_cpu = time.perf_counter(), time.process_time()
            found.append(search.search(query[None], NEIGHBOURS)[0][0])
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
        shares = [len({*a} & {*b}) / NEIGHBOURS for a, b in zip(exact.tolist(), np.array(found).tolist(), strict=True)]
        size = path.stat().st_size if path.exists() else 0
        return {
            "index": size,
            "memory": peak(),
            "made": made,
            "query": statistics.median(wall),
            "cpu": statistics.median(cpu),
            "recall": statistics.mean(shares),
        }


def drawn(path: Path, count: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, D) float32 features of length 1, on disk, whose of N / 20 people each is, and (200, D) more, the queries."""
    ask_room(path, count * length * 4)
    rng, spectrum = numpy_stream(0, "drawn features"), np.arange(1, RESPECTS + 1, dtype=np.float32) ** -0.5
    people = rng.standard_normal((max(1, count // PEOPLE_IMAGES), RESPECTS), np.float32)
    cameras = np.float32(OF_CAMERA) * rng.standard_normal((CAMERAS, RESPECTS), np.float32)
    shown = rng.standard_normal((RESPECTS, length), np.float32) / np.float32(length**0.5)

    def block(size: int) -> tuple[np.ndarray, np.ndarray]:
        image = np.float32(OF_IMAGE) * rng.standard_normal((size, RESPECTS), np.float32)
        who = rng.integers(len(people), size=size)
        of = people[who] + cameras[rng.integers(CAMERAS, size=size)] + image
        noise = np.float32(NOISE / length**0.5) * rng.standard_normal((size, length), np.float32)
        rows = (of * spectrum) @ shown + noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True)), who

    whose = np.empty(count, np.int64)
    features = np.lib.format.open_memmap(path, "w+", np.float32, (count, length))
    for start in range(0, count, BLOCK):
        part = slice(start, min(start + BLOCK, count))
        features[part], whose[part] = block(part.stop - start)
    features.flush()
    return np.load(path, mmap_mode="r"), whose, block(QUERIES)[0]


def made_by_faiss(features: np.ndarray, name: str) -> faiss.Index:
    """Another index, of the same blocks, which looks at an eighth of its lists, or at 256 of a graph.

    Graphs grow by one thread, so that they are the same each time.
    """
    index: Any = faiss.index_factory(features.shape[1], name)
    inner: Any = faiss.downcast_index(index.index)
    index.train(np.array(features[:: max(1, len(features) // 65_536)]))
    if "HNSW" in name:
        inner.hnsw.efConstruction, inner.hnsw.efSearch = 80, 256
        faiss.omp_set_num_threads(1)
    else:
        inner.nprobe = inner.nlist // 8
    for start in range(0, len(features), BLOCK):
        index.add(np.array(features[start : start + BLOCK]))
    return index


@contextmanager
def anonymous_peak() -> Iterator[Callable[[], float]]:
    """Gives the most memory, in bytes, that the process held inside, without files that it has mapped, above before."""
    status, done, seen = Path("/proc/self/status"), threading.Event(), [0.0]

    def held() -> float:
        found = [row for row in status.read_text().splitlines() if row.startswith("RssAnon")] if status.exists() else []
        return float(found[0].split()[1]) * 1024 if found else 0.0

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(held())

    before, thread = held(), threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: max(seen[-1], max(seen) - before)
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    run(main)
