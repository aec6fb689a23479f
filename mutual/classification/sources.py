"""Data sets for classification: their training and test images as arrays, and who is in which class."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.folders import content, sentences, shown
from mutual.datasets.own import byte_order
from mutual.datasets.packing import CHUNK, decode
from mutual.datasets.places import check_folder
from mutual.machine.streams import numpy_stream

Source = Literal["digits", "cifar10", "folders"]
SPLITS = ("train", "test")
DIGITS_TEST = 500  # images of 1,797
DIGITS_MOST = 16  # of their values
BESIDE = "beside train/CLASS and test/CLASS"


@dataclass(frozen=True)
class Split:
    """Images with their classes; entry i of each belongs together."""

    images: np.ndarray  # (N, H, W, 3) uint8 RGB
    labels: np.ndarray  # (N,) int64, place in the classes
    files: list[str]  # (N,) what each is called, once in a split


@dataclass(frozen=True)
class ClassData:
    """A data set."""

    train: Split
    test: Split
    classes: list[str]
    remarks: list[str]  # lines on what was left out


@dataclass(frozen=True)
class Listed:
    """The files of a data set in folders, none of them opened yet."""

    files: dict[str, list[str]]  # split -> posix paths below the root, in byte order
    labels: dict[str, np.ndarray]  # split -> (N,) int64
    classes: list[str]
    remarks: list[str]


def read_digits(seed: int, test: int = DIGITS_TEST) -> ClassData:
    """scikit-learn's 1,797 handwritten digits, 8 x 8, grey; ``test`` of them, drawn by the seed, are the test set.

    No file is needed. Values 0 .. 16 become 0 .. 255.
    """
    from sklearn.datasets import load_digits  # takes seconds to import

    found = load_digits()
    grey = np.rint(found.images * (255 / DIGITS_MOST)).astype(np.uint8)
    images, labels = np.repeat(grey[..., None], 3, axis=3), found.target.astype(np.int64)
    order = numpy_stream(seed, "test images of the digits").permutation(len(labels))

    def split(rows: np.ndarray) -> Split:
        return Split(images[rows], labels[rows], [f"digit {row:04d}" for row in rows.tolist()])

    return ClassData(split(np.sort(order[test:])), split(np.sort(order[:test])), [*map(str, range(10))], [])


def read_cifar10(root: Path) -> ClassData:
    """CIFAR-10 as its authors publish it, 50,000 and 10,000 images of 32 x 32: ``root / "cifar-10-batches-py"``.

    Raises :class:`InputError` where it is not there, or not whole.
    """
    from torchvision.datasets import CIFAR10  # takes longer to import than torch itself

    try:
        parts = {split: CIFAR10(root, train=split == "train", download=False) for split in SPLITS}
    except RuntimeError:  # of files that are missing, or whose checksum is another
        fetch = f"import torchvision; torchvision.datasets.CIFAR10('{shown(root)}', download=True)"
        raise InputError(f'{shown(root)}: CIFAR-10 is not there, or not whole: fetch it: python -c "{fetch}"') from None
    train, test = (
        Split(each.data, np.array(each.targets, np.int64), [f"{split} {row:05d}" for row in range(len(each.data))])
        for split, each in parts.items()
    )
    return ClassData(train, test, list(parts["train"].classes), [])


def list_folders(root: Path) -> Listed:
    """The images at ``train/CLASS/`` and ``test/CLASS/`` below ``root``, at any depth; all else is left out.

    ``train`` and ``test`` may be in capitals. The classes are those of train, in byte order of their names. Raises
    :class:`InputError` where one of the two has no images, for a single class, and for a class of test alone.
    """
    check_folder(root)
    found = content(root, "")
    rows: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)  # split -> file and class
    beside = []
    for file in found.images:
        split, *between = file.split("/")[:-1] or [""]
        if split.lower() in SPLITS and between:
            rows[split.lower()].append((file, between[0]))
        else:
            beside.append(file)
    left_out = sentences({BESIDE: beside} | found.left_out)
    for split in SPLITS:
        if not rows[split]:
            instead = f"; left out: {', '.join(left_out)}" if left_out else ""
            raise InputError(f"{shown(root)}: no images for {split}: expected {split}/CLASS/IMAGE{instead}")
    named = {split: {name for _, name in rows[split]} for split in SPLITS}
    classes = sorted(named["train"], key=byte_order)
    if len(classes) < 2:
        raise InputError(f"{shown(root)}: expected two classes at least, found one in train: {shown(classes[0])}")
    for name in sorted(named["test"] - named["train"], key=byte_order):
        raise InputError(f"{shown(root)}: expected the classes of train, but {shown(name)} has images in test alone")
    place = {name: number for number, name in enumerate(classes)}
    files, labels = {}, {}
    for split in SPLITS:
        ordered = sorted(rows[split], key=lambda row: byte_order(row[0]))
        files[split] = [file for file, _ in ordered]
        labels[split] = np.array([place[name] for _, name in ordered], np.int64)
    return Listed(files, labels, classes, [f"left out: {sentence}" for sentence in left_out])


def decoded(root: Path, files: Sequence[str], height: int, width: int) -> np.ndarray:
    """The images as (N, height, width, 3) uint8. Raises :class:`InputError` for the first that cannot be read."""
    images = np.empty((len(files), height, width, 3), np.uint8)
    for start in range(0, len(files), CHUNK):  # else they would be in memory twice
        part = [str(root / file) for file in files[start : start + CHUNK]]
        images[start : start + CHUNK] = decode(part, height, width)
    return images


def read_folders(root: Path, height: int, width: int) -> ClassData:
    """What :func:`list_folders` finds, decoded and resized."""
    found = list_folders(root)
    train, test = (
        Split(decoded(root, found.files[split], height, width), found.labels[split], found.files[split])
        for split in SPLITS
    )
    return ClassData(train, test, found.classes, found.remarks)


def read_source(source: Source, root: Path, height: int, width: int, seed: int) -> ClassData:
    """The data set. Only ``folders`` are resized; only ``digits`` draw by the ``seed``, and need no ``root``."""
    match source:
        case "digits":
            return read_digits(seed)
        case "cifar10":
            return read_cifar10(root)
        case "folders":
            return read_folders(root, height, width)
