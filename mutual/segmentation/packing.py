"""From files to packed pictures: all sizes are looked at first, then each picture is decoded and written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.datasets.folders import shown
from mutual.machine.processes import in_order
from mutual.segmentation.decoding import decoded, size_of
from mutual.segmentation.entries import Entry
from mutual.segmentation.iou import IGNORED
from mutual.segmentation.ragged import Sizes, write_pictures

HEADS, CHUNK = 256, 8  # files that a process looks at, and pictures that it holds, at a time
CHUNKS_WORTH_A_PROCESS = 8  # below, the work is over sooner than a process has started


def pack_pictures(
    entries: Sequence[Entry], folder: Path, table: np.ndarray, shrink: int, workers: int, label: str
) -> np.ndarray:
    """Decode the pictures into a folder as :class:`mutual.segmentation.ragged.Pictures`; (256,) int64 pixels a label.

    ``table``, ``shrink``: see :func:`mutual.segmentation.decoding.decoded`; ``label`` names the progress bar. Memory
    does not grow with the number of pictures, and the bytes do not depend on ``workers``. Raises :class:`InputError`
    for the first picture in order that cannot be used, and for masks of which none has a label but 0 and 255. There
    has to be one picture at least.
    """
    counts = np.zeros(IGNORED + 1, np.int64)
    with Progress(total=len(entries), desc=label, unit="img") as bar:
        sizes = _sizes(entries, table, shrink, workers)
        write_pictures(folder, sizes, _pictures(entries, table, shrink, workers, counts, bar))
    return counts


@dataclass(frozen=True)
class Job:
    """A few pictures, and what is asked of them."""

    entries: Sequence[Entry]
    table: np.ndarray
    shrink: int

    def sizes(self) -> list[tuple[int, int]]:
        """Their heights and widths."""
        return [size_of(entry) for entry in self.entries]

    def pictures(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Their pixels and labels."""
        return [decoded(entry, self.table, self.shrink) for entry in self.entries]


def _jobs(entries: Sequence[Entry], table: np.ndarray, shrink: int, length: int) -> list[Job]:
    return [Job(entries[i : i + length], table, shrink) for i in range(0, len(entries), length)]


def _sizes(entries: Sequence[Entry], table: np.ndarray, shrink: int, workers: int) -> Sizes:
    """The table of the packed pictures, from their files' heads; masks have been compared with it."""
    jobs = _jobs(entries, table, shrink, HEADS)
    several = min(workers, len(jobs) // CHUNKS_WORTH_A_PROCESS)
    found = [size for sizes in in_order(Job.sizes, jobs, several, str(entries[0].image)) for size in sizes]
    height, width = -(-np.array(found, np.int64).T // shrink)
    return Sizes([entry.name for entry in entries], height, width)


def _pictures(
    entries: Sequence[Entry], table: np.ndarray, shrink: int, workers: int, counts: np.ndarray, bar: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pictures in order; their pixels are added to the ``counts`` of each label, which are then looked at."""
    jobs = _jobs(entries, table, shrink, CHUNK)
    several = min(workers, len(jobs) // CHUNKS_WORTH_A_PROCESS)
    for pictures in in_order(Job.pictures, jobs, several, str(entries[0].image), ahead=2 * workers):
        for pixels, labels in pictures:
            counts += np.bincount(labels.reshape(-1), minlength=len(counts))
            yield pixels, labels
        bar.update(len(pictures))
    masks = [entry.mask for entry in entries if entry.mask is not None]
    if masks and counts[IGNORED] and not counts[1:IGNORED].any():
        found = f"{'0 and ' if counts[0] else ''}{IGNORED}, which is left out, alone: two classes are 0 and 1"
        raise InputError(f"{shown(masks[0].parent)}: expected masks of labels, found {found}")
