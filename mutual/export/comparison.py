"""What exported files cost: a table of agreement, accuracy, speed and size beside the project's own features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from mutual.base.progress import Progress
from mutual.evaluation.ranking import euclidean, rank_blocks
from mutual.export.extractor import Extractor
from mutual.export.running import Features, agreement, all_features, images_per_second, of_module, opened
from mutual.images.index import Index
from mutual.machine.device import CPU

PASSES = 3  # through the images, each file in turn: the fastest counts, as others use the machine too

Test = Mapping[str, tuple[np.ndarray, Index]]  # query and gallery: images and index


@dataclass
class Row:
    """One line of the table."""

    name: str
    size: int  # bytes
    speeds: list[float]  # images a second, for each number of threads
    agreement: tuple[float, float] | None = None  # with the first row: largest difference, smallest cosine
    mean_ap: float | None = None  # 0 .. 1


def measured(
    extractor: Extractor, files: Sequence[Path], images: np.ndarray, test: Test | None, threads: Sequence[int]
) -> list[Row]:
    """The rows: the extractor itself, as PyTorch runs it, and each file.

    Speed and agreement are those of the (N, H, W, 3) uint8 images; ``test`` is None where there are no labels. Features
    are compared at length 1. Leaves PyTorch with the last number of threads.
    """
    size = sum(tensor.nbytes for tensor in extractor.state_dict().values())
    rows = [Row("PyTorch", size, [0.0 for _ in threads])]
    rows += [Row(path.name, path.stat().st_size, [0.0 for _ in threads]) for path in files]
    bar = Progress(total=len(threads) * PASSES * len(rows), desc="measuring", unit="pass")
    for place, count in enumerate(threads):
        runs = [of_module(extractor, count), *(opened(path, count)[0] for path in files)]
        for _ in range(PASSES):
            for row, run in zip(rows, runs, strict=True):
                row.speeds[place] = max(row.speeds[place], images_per_second(run, images))
                bar.update()
    bar.close()
    ours = all_features(runs[0], images)
    for row, run in zip(rows, runs, strict=True):
        if row is not rows[0]:
            row.agreement = agreement(ours, all_features(run, images))
        row.mean_ap = None if test is None else mean_average_precision(run, test)
    return rows


def mean_average_precision(run: Features, test: Test) -> float | None:
    """mAP, 0 .. 1, of query against gallery; None where no query has a match."""
    (query_images, query), (gallery_images, gallery) = test["query"], test["gallery"]
    q, g = (at_length_1(all_features(run, images)) for images in (query_images, gallery_images))
    ranking, _ = rank_blocks(euclidean(q, g, CPU), query.pid, gallery.pid, query.camid, gallery.camid)
    return ranking.mean_average_precision if np.isfinite(ranking.average_precision).any() else None


def at_length_1(features: np.ndarray) -> np.ndarray:
    """(N, D) float32, L2-normalised: the mean of several peers' is shorter."""
    return np.asarray(F.normalize(torch.from_numpy(features)))


def as_markdown(rows: Sequence[Row], threads: Sequence[int]) -> str:
    """The table; mAP in %."""
    speeds = [f"images/s, {count} thread{'s' if count > 1 else ''}" for count in threads]
    lines = [
        ["", "largest difference", "smallest cosine", "mAP", *speeds, "MB"],
        ["---", *["---:"] * (4 + len(threads))],
    ]
    for row in rows:
        cells = ["", ""] if row.agreement is None else [f"{row.agreement[0]:.1e}", f"{row.agreement[1]:.6f}"]
        cells.append("not known" if row.mean_ap is None else f"{100 * row.mean_ap:.1f}")
        lines.append([row.name, *cells, *(f"{speed:.0f}" for speed in row.speeds), f"{row.size / 1e6:.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
