"""Data sets of one's own: who is on an image and which camera took it are texts, or are not known."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mutual.images.index import UNKNOWN, Index

SPLITS = ("train", "query", "gallery")
TEST = "test"  # divided into query and gallery here
NOBODY = frozenset({"", "-1", "nan", "unknown"})  # words for what is not known; the last one is wildlife-datasets'
Further = dict[str, list[str]]  # column -> the texts of a split's images


class Row(NamedTuple):
    """An image of a user's own. A text that is not known is empty."""

    file: str  # posix path below the root
    identity: str
    camera: str
    further: Sequence[str] = ()


class Reading(NamedTuple):
    """What was read of a data set: train, and query and gallery, which may be empty."""

    splits: dict[str, Index]
    remarks: list[str]  # lines on what was left out, how many and why, and on what is not known
    further: dict[str, Further]  # split -> what a user's own list has beside, and nothing here depends on


def known(text: str) -> str:
    """The text without blanks at its ends; nothing where it is a word for nobody."""
    return "" if text.strip().lower() in NOBODY else text.strip()


def byte_order(file: str) -> bytes:
    """The key by which files are sorted, the same on every machine."""
    return file.encode("utf-8", "surrogateescape")


def numbered(listed: Mapping[str, Iterable[Row]], columns: Sequence[str]) -> Reading:
    """Rows of train, query, gallery and test -> the three splits, in byte order of their files.

    Identities that are all whole numbers are the pids; others become 1, 2, … in sorted order, over all splits, and are
    kept as a column ``identity``. Cameras likewise, ``camera``; an image without one counts as a camera of its own.
    ``columns`` are the names of the rows' further texts. Test images are divided: of each identity every second one,
    in order, is a query; the others are the gallery.
    """
    rows, remarks = _three(
        {split: sorted(found, key=lambda row: byte_order(row.file)) for split, found in listed.items()}
    )
    every = [row for found in rows.values() for row in found]
    pids, cameras = _numbers(row.identity for row in every), _numbers(row.camera for row in every)
    alone = max(cameras.values(), default=0)
    splits, further = {}, {}
    for split, found in rows.items():
        camids = []
        for row in found:
            alone += not row.camera
            camids.append(cameras[row.camera] if row.camera else alone)
        pid = np.array([pids.get(row.identity, UNKNOWN) for row in found], np.int64)
        splits[split] = Index([row.file for row in found], pid, np.array(camids, np.int64))
        further[split] = {name: [row.further[place] for row in found] for place, name in enumerate(columns)}
        if not _plain(pids):
            further[split]["identity"] = [row.identity for row in found]
        if not _plain(cameras):
            further[split]["camera"] = [row.camera for row in found]
    return Reading(splits, [*remarks, *_unknown(rows), *_named(pids, cameras)], further)


def _three(rows: dict[str, list[Row]]) -> tuple[dict[str, list[Row]], list[str]]:
    """Train, query and gallery, to which the test images are added; a line where there are any."""
    three = {split: list(rows.get(split, ())) for split in SPLITS}
    seen: defaultdict[str, int] = defaultdict(int)
    for row in rows.get(TEST, ()):
        seen[row.identity] += 1
        three["query" if row.identity and seen[row.identity] % 2 == 0 else "gallery"].append(row)
    if not rows.get(TEST):
        return three, []
    for split in ("query", "gallery"):
        three[split].sort(key=lambda row: byte_order(row.file))
    return three, [f"{TEST}: of each identity every second image is a query, the others are the gallery"]


def _numbers(texts: Iterable[str]) -> dict[str, int]:
    """The number of each text that is known."""
    names = sorted({*texts} - {""})
    return {name: int(name) if _plain(names) else place for place, name in enumerate(names, start=1)}


def _plain(names: Iterable[str]) -> bool:
    """Whether all of them are whole numbers that fit 64 bits."""
    return all(re.fullmatch("[0-9]{1,18}", name) for name in names)


def _named(pids: dict[str, int], cameras: dict[str, int]) -> list[str]:
    """That numbers stand for names."""
    kinds = (("pids", "identities", pids, "identity"), ("camids", "cameras", cameras, "camera"))
    return [
        f"{numbers} 1 to {len(names):,} are the {kind} in sorted order, whose names are kept in the column {column}"
        for numbers, kind, names, column in kinds
        if not _plain(names)
    ]


def _unknown(rows: dict[str, list[Row]]) -> list[str]:
    """In which splits images have no pid, and how many images have no camera."""
    lines = []
    for split, found in rows.items():
        without = sum(not row.identity for row in found)
        if without:
            lines.append(f"{split}: {_share(without, len(found))} no pid")
    every = [row for found in rows.values() for row in found]
    without = sum(not row.camera for row in every)
    if without == len(every):
        lines.append("cameras are not known: each image counts as its own")
    elif without:
        lines.append(f"{_share(without, len(every))} no camera: each counts as its own")
    return lines


def _share(part: int, whole: int) -> str:
    return f"all {whole:,} images have" if part == whole else f"{part:,} of {whole:,} images have"
