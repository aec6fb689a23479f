"""A data set as the stages read it: images apart from the true labels, which only some stages may open."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import integers, read_columns
from mutual.base.errors import InputError
from mutual.base.store import read_json, write_array, write_json, write_text
from mutual.classification.sources import ClassData
from mutual.classification.splits import Parts
from mutual.images.index import read_images

PARTS = ("labelled", "unlabelled", "validation")


@dataclass(frozen=True)
class Known:
    """What training may know: which images are labelled, and how."""

    parts: Parts
    labels: np.ndarray  # (L,) int64 of the labelled images


def write_packed(folder: Path, data: ClassData) -> None:
    """Write ``{train,test}.{npy,csv}`` and ``classes.json``."""
    for split, of in (("train", data.train), ("test", data.test)):
        write_array(folder / f"{split}.npy", of.images)
        lines = [f"{row},{label}" for row, label in enumerate(of.labels.tolist())]
        write_text(folder / f"{split}.csv", "\n".join(["row,label", *lines]) + "\n")
        write_json(folder / f"{split}_files.json", of.files)
    write_json(folder / "classes.json", data.classes)


def read_classes(folder: Path) -> list[str]:
    """Names of the classes 0 .. C - 1. Raises :class:`InputError` for less than two."""
    names: list[str] = read_json(folder / "classes.json", list[str])
    if len(names) < 2:
        raise InputError(f"{folder / 'classes.json'}: expected two classes at least, found {len(names)}")
    return names


def read_pictures(folder: Path, split: str) -> np.ndarray:
    """(N, H, W, 3) uint8, memory-mapped."""
    return read_images(folder / f"{split}.npy")


def read_labels(folder: Path, split: str) -> np.ndarray:
    """(N,) int64, the true labels of a split. Raises :class:`InputError` for one that is no class."""
    path, most = folder / f"{split}.csv", len(read_classes(folder)) - 1
    _, labels = read_columns(path, ["row", "label"])
    return integers(path, "label", labels, least=0, most=most)


def write_split(path: Path, parts: Parts, labels: np.ndarray) -> None:
    """Write which part each image is in, and of the labelled ones the label: of (N,) ``labels`` these alone."""
    cells = ["," for _ in labels]
    for part in PARTS:
        for row in getattr(parts, part).tolist():
            cells[row] = f"{part},{labels[row] if part == 'labelled' else ''}"
    write_text(path, "\n".join(["part,label", *cells]) + "\n")


def read_split(path: Path, classes: int, images: int) -> Known:
    """What :func:`write_split` wrote of so many ``images``. Raises :class:`InputError` for something else."""
    parts, labels = (np.array(column, str) for column in read_columns(path, ["part", "label"]))
    if len(parts) != images:
        raise InputError(f"{path}: expected a line for each of {images} images, found {len(parts)}")
    if strange := set(parts.tolist()) - set(PARTS):
        raise InputError(f"{path}: expected {', '.join(PARTS)}, found {min(strange)!r}")
    found = Parts(*(np.flatnonzero(parts == part) for part in PARTS))
    given = labels[found.labelled].tolist()
    return Known(found, integers(path, "label", given, least=0, most=classes - 1))
