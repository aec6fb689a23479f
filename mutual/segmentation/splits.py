"""Which training pictures are labelled, for each seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import integers, read_columns
from mutual.base.errors import InputError
from mutual.base.store import write_text
from mutual.machine.streams import numpy_stream


@dataclass(frozen=True)
class Parts:
    """Rows of the training pictures, int64; no row is in both."""

    labelled: np.ndarray  # in the order in which they were drawn
    unlabelled: np.ndarray  # ascending


def divided(masked: int, count: int, labelled: int, seed: int) -> Parts:
    """The first ``labelled`` of a shuffle of the ``masked`` first of ``count`` pictures: fewer are among more.

    Raises :class:`InputError` where there are not so many, or nothing is left without a label.
    """
    if labelled > masked:
        raise InputError(f"labelled_images: expected at most the {masked} training images with a mask, got {labelled}")
    if labelled == count:
        raise InputError(f"labelled_images: expected fewer than all of the {count} training images, got {labelled}")
    order = numpy_stream(seed, "pictures that have a mask").permutation(masked)
    return Parts(order[:labelled], np.setdiff1d(np.arange(count), order[:labelled]))


def of_network(labelled: np.ndarray, network: int, share: float) -> np.ndarray:
    """Of the labelled rows, in their order, those that network 1 (the first of them) or 2 (the last) begins with."""
    kept = max(1, round(share * len(labelled)))
    return labelled[:kept] if network == 1 else labelled[len(labelled) - kept :]


def write_split(path: Path, parts: Parts) -> None:
    """Write ``row,part``, the labelled ones first, in their order."""
    rows = [(row, "labelled") for row in parts.labelled.tolist()] + [
        (row, "unlabelled") for row in parts.unlabelled.tolist()
    ]
    write_text(path, "".join(["row,part\n", *(f"{row},{part}\n" for row, part in rows)]))


def read_split(path: Path, count: int) -> Parts:
    """What :func:`write_split` wrote of ``count`` pictures. Raises :class:`InputError` for something else."""
    texts, parts = read_columns(path, ["row", "part"])
    rows = integers(path, "row", texts, least=0, most=count - 1)
    if len(set(texts)) != len(texts) or len(rows) != count or set(parts) - {"labelled", "unlabelled"}:
        raise InputError(f"{path}: expected each of {count} pictures once, labelled or unlabelled")
    labelled = np.array([part == "labelled" for part in parts], bool)
    return Parts(rows[labelled], np.sort(rows[~labelled]))


def missing_classes(masks: Sequence[np.ndarray], classes: int) -> list[int]:
    """The classes 0 .. classes - 1 of which no pixel of these masks is."""
    seen = np.zeros(256, bool)
    for mask in masks:
        seen |= np.bincount(mask.reshape(-1), minlength=256) > 0
    return np.flatnonzero(~seen[:classes]).tolist()
