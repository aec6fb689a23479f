"""The published layouts of data sets, from folders, lists and file names to an index."""

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.images.index import DISTRACTOR, Index

SPLITS = ("train", "query", "gallery")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")  # in either case
JUNK = -1  # market1501: a bad detection, left out

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
LISTS = {"train": ("list_train.txt", "list_val.txt"), "query": ("list_query.txt",), "gallery": ("list_gallery.txt",)}
LIST_FOLDERS = {"train": "train", "query": "test", "gallery": "test"}
REQUIRED = {
    "market1501": tuple(FOLDERS.values()),
    "dukemtmc": tuple(FOLDERS.values()),
    "msmt17": ("train", "test", *(name for names in LISTS.values() for name in names)),
}
PATTERNS = {
    "market1501": re.compile(r"(-1|[0-9]{1,18})_c([0-9]{1,9})(?![0-9])"),
    "dukemtmc": re.compile(r"([0-9]{1,18})_c([0-9]{1,9})_f[0-9]"),
    "msmt17": re.compile(r"([0-9]{1,18})_[0-9]+_([0-9]{1,9})(?![0-9])"),
}
EXPECTED = {
    "market1501": "PID_cCAMERA such as 0002_c1s1_000451_03.jpg",
    "dukemtmc": "PID_cCAMERA_fFRAME such as 0001_c2_f0046182.jpg",
    "msmt17": "PID_IMAGE_CAMERA such as 0000_000_01_0303morning_0008_0.jpg",
}


def read_dataset(root: Path, layout: str) -> dict[str, Index]:
    """The three splits of the data set at ``root`` in ``layout`` (market1501, dukemtmc or msmt17).

    pids and camids are those of the published names and lists (camids count from 1 there). Rows are ordered by the
    bytes of the file's path, hence the same on every machine. Raises :class:`InputError` for a missing folder or list,
    a name that does not parse, a listed image that is not there, and an empty split.
    """
    _check_layout(root, layout)
    splits = {}
    for split in SPLITS:
        if layout == "msmt17":
            rows = [row for name in LISTS[split] for row in _listed(root, name, LIST_FOLDERS[split])]
            where = " and ".join(str(root / name) for name in LISTS[split])
        else:
            rows = _in_folder(root, FOLDERS[split], layout)
            where = str(root / FOLDERS[split])
        if not rows:
            raise InputError(f"{where}: no images for {split}: expected files named {EXPECTED[layout]}")
        splits[split] = _index(where, rows)
    return splits


def _check_layout(root: Path, layout: str) -> None:
    if not root.is_dir():
        raise InputError(f"{root}: not found: expected the folder of a data set in the layout {layout}")
    for name in REQUIRED[layout]:
        if not _has(root, name):
            raise InputError(f"{root / name}: not found, but the layout {layout} has it{_hint(root, layout)}")


def _has(root: Path, name: str) -> bool:
    """Whether ``root`` has this list (``.txt``) or folder."""
    return (root / name).is_file() if name.endswith(".txt") else (root / name).is_dir()


def _hint(root: Path, layout: str) -> str:
    """Where the mistake may lie: another layout, or the folder one level up or down."""
    for other, names in REQUIRED.items():
        if other != layout and names != REQUIRED[layout] and all(_has(root, name) for name in names):
            return f"; this looks like {other}"
    for folder in [root.parent, *sorted(child for child in root.iterdir() if child.is_dir())]:
        if all(_has(folder, name) for name in REQUIRED[layout]):
            return f"; try {folder}"
    return ""


def _in_folder(root: Path, folder: str, layout: str) -> list[tuple[str, int, int]]:
    """(file, pid, camid) of each image in one folder, junk left out."""
    rows = []
    # the sort makes the first bad name the same everywhere
    for name in sorted(entry.name for entry in os.scandir(root / folder) if not entry.is_dir()):
        if name.startswith(".") or not name.lower().endswith(IMAGE_SUFFIXES):
            continue  # Thumbs.db, .DS_Store, ._0002_c1.jpg, readme.txt
        match = PATTERNS[layout].match(name)
        if match is None:
            like = "".join(f"; {other} has such names" for other in PATTERNS if PATTERNS[other].match(name))
            raise InputError(f"{root / folder / name}: {layout} expects names {EXPECTED[layout]}{like}")
        pid = int(match[1])
        if layout == "market1501" and pid == DISTRACTOR and folder != FOLDERS["gallery"]:
            raise InputError(f"{root / folder / name}: pid 0 is a distractor, expected in {FOLDERS['gallery']} alone")
        if not (layout == "market1501" and pid == JUNK):
            rows.append((f"{folder}/{name}", pid, int(match[2])))
    return rows


def _listed(root: Path, list_name: str, folder: str) -> list[tuple[str, int, int]]:
    """(file, pid, camid) of each line ``path pid`` of a list; the camera comes from the image's name."""
    rows = []
    for number, line in enumerate(_lines(root / list_name), start=1):
        path, pid = [*line.rsplit(maxsplit=1), "", ""][:2]
        match = PATTERNS["msmt17"].match(path.rpartition("/")[2])
        if match is None or re.fullmatch("[0-9]{1,18}", pid) is None:
            where = f"{root / list_name}: line {number}"
            raise InputError(f"{where}: expected `path pid` with the path's last part {EXPECTED['msmt17']}")
        if not (root / folder / path).is_file():
            raise InputError(f"{root / folder / path}: not found, but line {number} of {list_name} has it")
        rows.append((f"{folder}/{path}", int(pid), int(match[2])))
    return rows


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a text file with lines `path pid`") from None


def _index(where: str, rows: Iterable[tuple[str, int, int]]) -> Index:
    """Rows in the order of the path's bytes, each file once."""
    ordered = sorted(rows, key=lambda row: row[0].encode("utf-8", "surrogateescape"))
    for row, following in itertools.pairwise(ordered):
        if row[0] == following[0]:
            raise InputError(f"{where}: {row[0]} is listed twice")
    pid, camid = np.array([row[1:] for row in ordered], dtype=np.int64).T.copy()
    return Index([row[0] for row in ordered], pid, camid)
