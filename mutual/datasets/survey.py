"""What a data set is like, before anything long runs: sizes, colours, copies, and how its labels are spread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.datasets.copies import PAIRS, blocks, near_copies, same_bytes
from mutual.datasets.folders import shown
from mutual.datasets.looks import Look, looks
from mutual.images.index import DISTRACTOR, UNKNOWN, Index

SMALLEST = (32, 16)  # height and width: the least that images can be resized to, image_height and image_width
ODD = 2.0  # how many times as wide or as high as the median shape is odd
TEST = ("query", "gallery")
PARTS = {"train": ("train",), "query and gallery": TEST}


@dataclass(frozen=True)
class Pictures:
    """The pictures of all splits that can be read, one after the other, and why others cannot be."""

    files: list[str]  # (N,) paths below the root
    looks: list[Look]  # (N,)
    faults: list[InputError]  # in the order of the splits and their files
    near: np.ndarray  # (P, 2) int64: pairs of near copies, places in files
    all_compared: bool  # whether near copies were looked for to the end

    @property
    def widths(self) -> np.ndarray:
        """(N,) in pixels."""
        return np.array([look.width for look in self.looks], np.int64)

    @property
    def heights(self) -> np.ndarray:
        """(N,) in pixels."""
        return np.array([look.height for look in self.looks], np.int64)


def looked_at(root: Path, splits: Mapping[str, Index], workers: int) -> Pictures:
    """Open every picture once, then compare all of them; shows how far it is."""
    files = [file for index in splits.values() for file in index.file]
    found: list[Look | InputError] = []
    with Progress(total=len(files), desc="looking at the pictures", unit="img") as bar:
        for chunk in looks(root, files, workers):
            found += chunk
            bar.update(len(chunk))
    read = [(file, look) for file, look in zip(files, found, strict=True) if isinstance(look, Look)]
    seen = [look for _, look in read]
    pairs = list(Progress(near_copies(seen), desc="comparing them", total=blocks(seen), unit="block"))
    near = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    faults = [fault for fault in found if isinstance(fault, InputError)]
    return Pictures([file for file, _ in read], seen, faults, near, len(pairs) == blocks(seen))


def picture_lines(pictures: Pictures) -> list[str]:
    """Lines on sizes, shapes and colours, and on pictures that cannot be read."""
    lines = [f"cannot be read: {shown(str(fault))}" for fault in pictures.faults[:5]]
    if pictures.faults[5:]:
        lines.append(f"cannot be read: {len(pictures.faults) - 5:,} more")
    if not pictures.files:
        return lines
    widths, heights = pictures.widths, pictures.heights
    median = f"{np.median(widths):.0f} x {np.median(heights):.0f}"
    span = f"from {widths.min()} x {heights.min()} to {widths.max()} x {heights.max()}"
    lines.append(f"pixels, width x height: median {median}, {span}")
    shapes = np.log(widths / heights)
    odd = np.abs(shapes - np.median(shapes)) > np.log(ODD)
    told = (
        (f"below {SMALLEST[1]} x {SMALLEST[0]} pixels", (heights < SMALLEST[0]) | (widths < SMALLEST[1])),
        (f"of an odd shape, over {ODD:g} times as wide or as high as the median", odd),
        ("of nearly one colour", np.array([look.plain for look in pictures.looks])),
        ("without colours (a guess)", np.array([look.grey for look in pictures.looks])),
    )
    return lines + [line for what, which in told for line in _some(what, pictures.files, np.flatnonzero(which))]


def _some(what: str, files: Sequence[str], places: np.ndarray) -> list[str]:
    """``below 16 x 32 pixels: 12 of 400 (a.jpg and 11 more)``; nothing where there are none."""
    if not len(places):
        return []
    more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
    return [f"{what}: {len(places):,} of {len(files):,} ({shown(files[places[0]])}{more})"]


def copy_lines(pictures: Pictures, splits: Mapping[str, Index]) -> list[str]:
    """Lines on copies and near copies, in all, in train and test both, and of different pids."""
    pids: dict[str, int] = {}
    in_test: dict[str, bool] = {}
    for split, index in splits.items():
        pids |= dict(zip(index.file, index.pid.tolist(), strict=True))
        in_test |= dict.fromkeys(index.file, split in TEST)
    first = same_bytes(pictures.looks)
    again = np.flatnonzero(first != np.arange(len(first)))
    exact = np.stack([first[again], again], 1)
    lines = _pairs("copies, byte for byte", exact, pictures.files, pids, in_test)
    lines += _pairs("near copies (a guess)", pictures.near, pictures.files, pids, in_test)
    if not pictures.all_compared:
        lines.append(f"near copies: ended after {PAIRS:,} pairs of similar fingerprints: there are more")
    return lines


def _pairs(
    what: str, pairs: np.ndarray, files: Sequence[str], pids: Mapping[str, int], in_test: Mapping[str, bool]
) -> list[str]:
    """How many pairs there are, with one of each kind that matters."""
    named = [(files[one], files[other]) for one, other in pairs.tolist()]
    kinds: tuple[tuple[str, Iterable[tuple[str, str]]], ...] = (
        ("in all", named),
        ("of a training and a test image", [(a, b) for a, b in named if in_test[a] != in_test[b]]),
        ("of different pids", [(a, b) for a, b in named if UNKNOWN not in (pids[a], pids[b]) and pids[a] != pids[b]]),
    )
    told = [(kind, list(found)) for kind, found in kinds]
    lines = [
        f"{what}: {len(found):,} {kind}, such as {' and '.join(map(shown, found[0]))}" for kind, found in told if found
    ]
    return lines or [f"{what}: none"]


def label_lines(splits: Mapping[str, Index], layout: str) -> list[str]:
    """Lines on identities of train and of the test images: in one camera, with one image, in both."""
    nobody = [UNKNOWN, DISTRACTOR] if layout == "market1501" else [UNKNOWN]
    pid = {part: np.concatenate([splits[split].pid for split in names]) for part, names in PARTS.items()}
    camid = {part: np.concatenate([splits[split].camid for split in names]) for part, names in PARTS.items()}
    every = np.concatenate(list(camid.values()))
    cameras_known = len(np.unique(every)) < len(every)
    lines = []
    for part in PARTS:
        known = ~np.isin(pid[part], nobody)
        ids, counts = np.unique(pid[part][known], return_counts=True)
        pairs = np.unique(np.stack([pid[part][known], camid[part][known]], 1), axis=0)
        cameras = np.unique(pairs[:, 0], return_counts=True)[1]
        if cameras_known and (cameras == 1).any():
            lines.append(f"{part}: {int((cameras == 1).sum()):,} of {len(ids):,} ids in one camera alone")
        if (counts == 1).any():
            lines.append(f"{part}: {int((counts == 1).sum()):,} of {len(ids):,} ids with one image")
    both = np.setdiff1d(np.intersect1d(pid["train"], pid["query and gallery"]), nobody)
    if len(both):
        lines.append(f"ids in train and in query or gallery: {len(both):,}; the published sets have none")
    return lines
