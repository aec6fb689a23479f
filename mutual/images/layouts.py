"""The published layouts of data sets, from folders, lists and file names to an index."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.images.folders import Content, content, sentences, shown, suffixes
from mutual.images.index import DISTRACTOR, Index
from mutual.images.lists import read_list

SPLITS = ("train", "query", "gallery")
JUNK = -1  # market1501: a bad detection, left out

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
PATTERNS = {
    "market1501": re.compile(r"(-1|[0-9]{1,18})_c([0-9]{1,9})(?![0-9])"),
    "dukemtmc": re.compile(r"([0-9]{1,18})_c([0-9]{1,9})_f[0-9]"),
}
EXPECTED = {
    "market1501": "PID_cCAMERA such as 0002_c1s1_000451_03.jpg",
    "dukemtmc": "PID_cCAMERA_fFRAME such as 0001_c2_f0046182.jpg",
    "msmt17": "PID_IMAGE_CAMERA such as 0000_000_01_0303morning_0008_0.jpg",
}
Rows = list[tuple[str, int, int]]  # file, pid, camid


def read_dataset(root: Path, layout: str) -> tuple[dict[str, Index], list[str]]:
    """The three splits of the data set at ``root`` in ``layout`` (market1501, dukemtmc, msmt17), and what is left out.

    pids and camids are those of the published names and lists (camids count from 1 there). Rows are ordered by the
    bytes of the file's path, hence the same on every machine. Each line about what is left out names the folder, and
    for every reason how many files there are and the first. Raises :class:`InputError` for a missing folder or list, a
    name that does not parse, a listed image that is not there, and an empty split.
    """
    _check_layout(root, layout)
    splits, left_out = (_by_lists if layout == "msmt17" else _by_names)(root, layout)
    return splits, [f"{folder}: {', '.join(sentences(files))}" for folder, files in left_out.items() if files]


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


def _by_names(root: Path, layout: str) -> tuple[dict[str, Index], dict[str, dict[str, list[str]]]]:
    """The splits of a layout whose file names say it all, and each folder's files that are left out."""
    splits, left_out = {}, {}
    for split, folder in FOLDERS.items():
        found = content(root, folder)
        rows = [(path, *_named(root, path, layout)) for path in found.images]
        junk = [path for path, pid, _ in rows if layout == "market1501" and pid == JUNK]
        left_out[folder] = ({f"junk, pid {JUNK}": junk} if junk else {}) | found.left_out
        rows = [row for row in rows if not (layout == "market1501" and row[1] == JUNK)]
        splits[split] = _index(str(root / folder), split, layout, rows, left_out[folder])
    return splits, left_out


def _named(root: Path, path: str, layout: str) -> tuple[int, int]:
    """pid and camid of the image at ``path`` below ``root``, from its name."""
    name = path.rpartition("/")[2]
    match = PATTERNS[layout].match(name)
    if match is None:
        raise InputError(f"{shown(root / path)}: {layout} expects names {EXPECTED[layout]}{shown(_renamed(path))}")
    pid = int(match[1])
    if layout == "market1501" and pid == DISTRACTOR and not path.startswith(f"{FOLDERS['gallery']}/"):
        way_out = "give a person whose number is 0 another one, in all three folders"
        raise InputError(
            f"{shown(root / path)}: pid 0 is a distractor, expected in {FOLDERS['gallery']} alone: {way_out}"
        )
    return pid, int(match[2])


def _renamed(path: str) -> str:
    """A way out for a name that does not parse."""
    folder, name = path.split("/")[-2:]
    for other, pattern in PATTERNS.items():
        if pattern.match(name):
            return f"; {other} has such names"
    if re.fullmatch("[0-9]{1,18}", folder):
        return f"; the folder's name is not read: rename the image, to {folder}_c1_{name} for instance"
    pid = re.match("[0-9]{1,18}(?![0-9])", name)
    if pid:
        return f"; if cameras are not known, give each image of a person its own: {pid[0]}_c1_…, {pid[0]}_c2_…"
    return ""


def _by_lists(root: Path, layout: str) -> tuple[dict[str, Index], dict[str, dict[str, list[str]]]]:
    """The splits of msmt17, whose lists name the images, and the files of its folders that are left out."""
    folders = {part: next(name for name in names if _has(root, [name])) for part, names in LIST_FOLDERS.items()}
    splits, listed = {}, set()
    for split, part in LISTED_IN.items():
        rows = [row for name in LISTS[split] for row in read_list(root, name, folders[part], EXPECTED[layout])]
        splits[split] = _index(" and ".join(str(root / name) for name in LISTS[split]), split, layout, rows, {})
        listed.update(splits[split].file)
    return splits, {folder: _unlisted(content(root, folder), listed) for folder in folders.values()}


def _unlisted(found: Content, listed: set[str]) -> dict[str, list[str]]:
    images = [path for path in found.images if path not in listed]
    return ({"in no list": images} if images else {}) | found.left_out


def _index(where: str, split: str, layout: str, rows: Rows, left_out: dict[str, list[str]]) -> Index:
    """Rows in the order of the path's bytes, each file once."""
    if not rows:
        instead = "".join(f"; left out: {sentence}" for sentence in sentences(left_out))
        formats = ", ".join(sorted(suffixes()))
        raise InputError(
            f"{where}: no images for {split}: expected files named {EXPECTED[layout]} ({formats}){instead}"
        )
    ordered = sorted(rows, key=lambda row: row[0].encode("utf-8", "surrogateescape"))
    for row, following in itertools.pairwise(ordered):
        if row[0] == following[0]:
            raise InputError(f"{where}: {row[0]} is listed twice")
    pid, camid = np.array([row[1:] for row in ordered], dtype=np.int64).T.copy()
    return Index([row[0] for row in ordered], pid, camid)
