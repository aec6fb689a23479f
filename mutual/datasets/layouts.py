"""The layouts of data sets, published ones and those of one's own: from folders, lists and names to an index."""

import itertools
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.folders import content, sentences
from mutual.datasets.images_csv import read_images_csv
from mutual.datasets.lists import read_list
from mutual.datasets.names import EXPECTED, JUNK, read_name
from mutual.datasets.own import Reading, byte_order, numbered
from mutual.datasets.own_folders import read_own_folders
from mutual.datasets.places import FOLDER_LAYOUTS, FOLDERS, LIST_FOLDERS, LISTED_IN, LISTS, check_layout, has
from mutual.images.index import Index

WANTED = {  # of which at least one image has to be there, in layouts whose files may have any name
    "csv": "lines with split train, or no column split",
    **dict.fromkeys(
        FOLDER_LAYOUTS, "images in the folder train or, without folders train, query, gallery and test, any"
    ),
}
Rows = list[tuple[str, int, int]]  # file, pid, camid


def read_dataset(root: Path, layout: str) -> Reading:
    """The three splits of the data set at ``root`` in ``layout``, one of those in places.py, and remarks.

    pids and camids are those of the published names and lists (camids count from 1 there), or what
    :func:`mutual.datasets.own.numbered` makes of a user's. Rows are ordered by the bytes of the file's path, hence the
    same on every machine. The remarks are lines on what lies there beside the images that are looked for: what is left
    out, how many and why, and images in sub-folders. Query and gallery may be missing or empty. Raises
    :class:`InputError` for another folder or list that is missing, a name that does not parse, a listed image that is
    not there, and an empty train.
    """
    check_layout(root, layout)
    if layout in FOLDERS:
        return _by_names(root, layout)
    return _by_lists(root) if layout == "msmt17" else _own(root, layout)


def _own(root: Path, layout: str) -> Reading:
    """The splits of a user's own layout."""
    if layout == "csv":
        rows, columns, left_out = read_images_csv(root)
    else:
        columns = []
        rows, left_out = read_own_folders(root, layout)
    if not rows["train"]:
        raise _no_images(str(root), "train", layout, left_out)
    reading = numbered(rows, columns)
    return reading._replace(remarks=[*_left_out(str(root), left_out), *reading.remarks])


def _by_names(root: Path, layout: str) -> Reading:
    """The splits of a layout whose file names say it all."""
    splits, remarks = {}, []
    for split, folder in FOLDERS[layout].items():
        if split != "train" and not has(root, [folder]):
            splits[split] = _index(str(root / folder), split, layout, [], {})
            remarks.append(f"{folder}: not there: no images for {split}")
            continue
        found = content(root, folder)
        rows = [(path, *read_name(root, path, layout, may_distract=split == "gallery")) for path in found.images]
        junk = [path for path, pid, _ in rows if layout == "market1501" and pid == JUNK]
        left_out = ({f"junk, pid {JUNK}": junk} if junk else {}) | found.left_out
        rows = [row for row in rows if not (layout == "market1501" and row[1] == JUNK)]
        splits[split] = _index(str(root / folder), split, layout, rows, left_out)
        deeper = [path for path in found.images if path.count("/") > 1]
        remarks += [f"{folder}: read with its sub-folders: {line}" for line in sentences({"images there": deeper})]
        remarks += _left_out(folder, left_out)
    return Reading(splits, remarks, {})


def _left_out(folder: str, files: dict[str, list[str]]) -> list[str]:
    return [f"{folder}: left out: {', '.join(sentences(files))}"] if any(files.values()) else []


def _by_lists(root: Path) -> Reading:
    """The splits of msmt17, whose lists name the images."""
    folders = {part: [name for name in names if has(root, [name])] for part, names in LIST_FOLDERS.items()}
    splits, listed, remarks = {}, set(), []
    for split, part in LISTED_IN.items():
        lists = [name for name in LISTS[split] if has(root, [name])]
        rows = [row for name in lists for row in read_list(root, name, folders[part][0], EXPECTED["msmt17"])]
        where = " and ".join(str(root / name) for name in LISTS[split])
        splits[split] = _index(where, split, "msmt17", rows, {})
        listed.update(splits[split].file)
        remarks += [f"{LISTS[split][0]}: not there: no images for {split}"] if not lists else []
    for folder in itertools.chain(*folders.values()):
        found = content(root, folder)
        unlisted = {"in no list": [path for path in found.images if path not in listed]}
        remarks += _left_out(folder, unlisted | found.left_out)
    return Reading(splits, remarks, {})


def _index(where: str, split: str, layout: str, rows: Rows, left_out: dict[str, list[str]]) -> Index:
    """Rows in the order of the path's bytes, each file once."""
    if not rows and split == "train":
        raise _no_images(where, split, layout, left_out)
    ordered = sorted(rows, key=lambda row: byte_order(row[0]))
    for row, following in itertools.pairwise(ordered):
        if row[0] == following[0]:
            raise InputError(f"{where}: {row[0]} is listed twice")
    pid, camid = np.array([row[1:] for row in ordered], dtype=np.int64).reshape(-1, 2).T.copy()
    return Index([row[0] for row in ordered], pid, camid)


def _no_images(where: str, split: str, layout: str, left_out: dict[str, list[str]]) -> InputError:
    instead = "".join(f"; left out: {sentence}" for sentence in sentences(left_out))
    expected = WANTED.get(layout) or f"files named {EXPECTED[layout]}"
    return InputError(f"{where}: no images for {split}: expected {expected}{instead}")
