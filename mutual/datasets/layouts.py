"""The published layouts of data sets, from folders, lists and file names to an index."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.folders import content, sentences
from mutual.datasets.lists import read_list
from mutual.datasets.names import EXPECTED, JUNK, read_name
from mutual.images.index import Index

SPLITS = ("train", "query", "gallery")
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
LISTS = {"train": ("list_train.txt", "list_val.txt"), "query": ("list_query.txt",), "gallery": ("list_gallery.txt",)}
# the folders of MSMT17's images in both of its versions, which share their lists
LIST_FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
LISTED_IN = {"train": "train", "query": "test", "gallery": "test"}
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {  # of each inner tuple one name has to be there
    "market1501": tuple((name,) for name in FOLDERS.values()),
    "dukemtmc": tuple((name,) for name in FOLDERS.values()),
    "msmt17": (*LIST_FOLDERS.values(), *((name,) for names in LISTS.values() for name in names)),
}
Rows = list[tuple[str, int, int]]  # file, pid, camid


def read_dataset(root: Path, layout: str) -> tuple[dict[str, Index], list[str]]:
    """The three splits of the data set at ``root`` in ``layout`` (market1501, dukemtmc or msmt17), and remarks.

    pids and camids are those of the published names and lists (camids count from 1 there). Rows are ordered by the
    bytes of the file's path, hence the same on every machine. The remarks are lines on what lies in the folders beside
    the images that are looked for: what is left out, how many and why, and images in sub-folders. Raises
    :class:`InputError` for a missing folder or list, a name that does not parse, a listed image that is not there, and
    an empty split.
    """
    _check_layout(root, layout)
    return (_by_lists if layout == "msmt17" else _by_names)(root, layout)


def image_folders(layout: str) -> set[str]:
    """The folders below the root that ``layout`` reads images from."""
    return {name for names in REQUIRED[layout] for name in names if not name.endswith(".txt")}


def _check_layout(root: Path, layout: str) -> None:
    if not root.is_dir():
        raise InputError(f"{root}: not found: expected the folder of a data set in the layout {layout}")
    for names in REQUIRED[layout]:
        there = [name for name in names if _has(root, [name])]
        if not there:
            either = f" (or {names[1]})" if names[1:] else ""
            raise InputError(
                f"{root / names[0]}: not found, but the layout {layout} has it{either}{_hint(root, layout)}"
            )
        if there[1:]:
            raise InputError(f"{root}: expected one of the folders {' and '.join(there)}, found both")


def _has(root: Path, names: Iterable[str]) -> bool:
    """Whether ``root`` has one of these lists (``.txt``) or folders."""
    return any((root / name).is_file() if name.endswith(".txt") else (root / name).is_dir() for name in names)


def _hint(root: Path, layout: str) -> str:
    """Where the mistake may lie: another layout, or the folder one level up or down."""
    for other, required in REQUIRED.items():
        if other != layout and required != REQUIRED[layout] and all(_has(root, names) for names in required):
            return f"; this looks like {other}"
    for folder in [root.parent, *sorted(child for child in root.iterdir() if child.is_dir())]:
        if all(_has(folder, names) for names in REQUIRED[layout]):
            return f"; try {folder}"
    return ""


def _by_names(root: Path, layout: str) -> tuple[dict[str, Index], list[str]]:
    """The splits of a layout whose file names say it all, and remarks."""
    splits, remarks = {}, []
    for split, folder in FOLDERS.items():
        found = content(root, folder)
        rows = [(path, *read_name(root, path, layout, may_distract=split == "gallery")) for path in found.images]
        junk = [path for path, pid, _ in rows if layout == "market1501" and pid == JUNK]
        left_out = ({f"junk, pid {JUNK}": junk} if junk else {}) | found.left_out
        rows = [row for row in rows if not (layout == "market1501" and row[1] == JUNK)]
        splits[split] = _index(str(root / folder), split, layout, rows, left_out)
        deeper = [path for path in found.images if path.count("/") > 1]
        remarks += [f"{folder}: read with its sub-folders: {line}" for line in sentences({"images there": deeper})]
        remarks += _left_out(folder, left_out)
    return splits, remarks


def _left_out(folder: str, files: dict[str, list[str]]) -> list[str]:
    return [f"{folder}: left out: {', '.join(sentences(files))}"] if any(files.values()) else []


def _by_lists(root: Path, layout: str) -> tuple[dict[str, Index], list[str]]:
    """The splits of msmt17, whose lists name the images, and remarks."""
    folders = {part: next(name for name in names if _has(root, [name])) for part, names in LIST_FOLDERS.items()}
    splits, listed = {}, set()
    for split, part in LISTED_IN.items():
        rows = [row for name in LISTS[split] for row in read_list(root, name, folders[part], EXPECTED[layout])]
        splits[split] = _index(" and ".join(str(root / name) for name in LISTS[split]), split, layout, rows, {})
        listed.update(splits[split].file)
    remarks = []
    for folder in folders.values():
        found = content(root, folder)
        unlisted = {"in no list": [path for path in found.images if path not in listed]}
        remarks += _left_out(folder, unlisted | found.left_out)
    return splits, remarks


def _index(where: str, split: str, layout: str, rows: Rows, left_out: dict[str, list[str]]) -> Index:
    """Rows in the order of the path's bytes, each file once."""
    if not rows:
        instead = "".join(f"; left out: {sentence}" for sentence in sentences(left_out))
        raise InputError(f"{where}: no images for {split}: expected files named {EXPECTED[layout]}{instead}")
    ordered = sorted(rows, key=lambda row: row[0].encode("utf-8", "surrogateescape"))
    for row, following in itertools.pairwise(ordered):
        if row[0] == following[0]:
            raise InputError(f"{where}: {row[0]} is listed twice")
    pid, camid = np.array([row[1:] for row in ordered], dtype=np.int64).T.copy()
    return Index([row[0] for row in ordered], pid, camid)
