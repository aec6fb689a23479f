"""Data sets as an index: which images, of whom, from which camera make up train, query and gallery."""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import integers, read_columns
from mutual.base.errors import InputError
from mutual.base.store import read_array, written_beside

COLUMNS = ["file", "pid", "camid"]
UNKNOWN = -1  # pid of an image of which nobody said who is on it
DISTRACTOR = 0  # market1501: background or nobody in particular, stays in the gallery

# images and identities (without distractors) of each split as published; market1501 without its junk
PUBLISHED = {
    "market1501": {"train": (12936, 751), "query": (3368, 750), "gallery": (15913, 750)},
    "dukemtmc": {"train": (16522, 702), "query": (2228, 702), "gallery": (17661, 1110)},
    "msmt17": {"train": (32621, 1041), "query": (11659, 3060), "gallery": (82161, 3060)},
}


@dataclass(frozen=True)
class Index:
    """The images of one split; entry i belongs to row i of the packed array."""

    file: list[str]  # (N,) posix path below the root of the data set
    pid: np.ndarray  # (N,) int64, identity as published
    camid: np.ndarray  # (N,) int64, camera as published

    def __len__(self) -> int:
        return len(self.file)


def write_index(path: Path, index: Index) -> None:
    """Write one split's ``file,pid,camid`` lines."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(index.file, index.pid.tolist(), index.camid.tolist(), strict=True))
    with written_beside(path) as temporary:
        # a file name need not be valid UTF-8: its bytes are kept
        temporary.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))


def read_index(path: Path) -> Index:
    """The index beside a packed array. Raises :class:`InputError` when it is missing or something else."""
    file, pid, camid = read_columns(path, COLUMNS)
    return Index(file, integers(path, "pid", pid), integers(path, "camid", camid))


def read_cameras(path: Path) -> tuple[list[str], np.ndarray]:
    """File names and camids (N,) int64 of an index, without the pids: all that adaptation may know of the target."""
    file, camid = read_columns(path, COLUMNS, ["file", "camid"])
    return file, integers(path, "camid", camid)


def read_images(path: Path, count: int | None = None) -> np.ndarray:
    """A packed array, memory-mapped: (N, height, width, 3) uint8; ``count`` is the N of its index, where that is read.

    Raises :class:`InputError` for another array, and for a training set without a row; the others may be empty.
    """
    images = read_array(path, dtype=np.uint8, shape=(count, None, None, 3))
    if not images.size and (len(images) or path.stem == "train"):
        raise InputError(f"{path}: expected images, found none")
    return images


def read_split(packed: Path, split: str) -> tuple[np.ndarray, Index]:
    """The images of one split of a packed set, (N, height, width, 3) uint8, and their index."""
    index = read_index(packed / f"{split}.csv")
    return read_images(packed / f"{split}.npy", len(index)), index


def relabel(pids: np.ndarray) -> np.ndarray:
    """pids (N,) -> labels (N,) int64 in 0 .. K-1, in the order of the sorted pids (the authors iterate over a set)."""
    return np.unique(pids, return_inverse=True)[1].astype(np.int64)


def identities(index: Index, layout: str) -> tuple[int, int]:
    """How many identities a split has, and how many images of distractors, which are counted apart."""
    distractor = (index.pid == DISTRACTOR) & (layout == "market1501")
    return len(np.unique(index.pid[~distractor])), int(distractor.sum())


def check_matches(where: Path, query: Index, gallery: Index) -> list[str]:
    """A line when some queries have no gallery image of the same pid in another camera; none otherwise.

    Raises :class:`InputError` naming ``where``, the data set's folder, when no query has one, since nothing could be
    evaluated.
    """
    cameras: defaultdict[int, set[int]] = defaultdict(set)
    for pid, camid in zip(gallery.pid.tolist(), gallery.camid.tolist(), strict=True):
        cameras[pid].add(camid)
    wanted = zip(query.pid.tolist(), query.camid.tolist(), strict=True)
    unmatched = sum(not cameras[pid] - {camid} for pid, camid in wanted)
    if unmatched == len(query):
        seen = sorted({*query.camid.tolist(), *gallery.camid.tolist()})
        way_out = "; where cameras are not known, give each image of a person its own" if len(seen) == 1 else ""
        every = f": all are of camera {seen[0]}" if len(seen) == 1 else f", such as {query.file[0]}"
        raise InputError(f"{where}: no query has a gallery image of the same pid in another camera{every}{way_out}")
    without = "have no gallery image of the same pid in another camera and do not count in mAP"
    return [f"{where}: {unmatched:,} of {len(query):,} queries {without}"] if unmatched else []


def check_identities(where: Path, train: Index) -> list[str]:
    """A line when identities of a labelled training set have a single image, which is no positive of another.

    Raises :class:`InputError` naming ``where``, the data set's folder, when all have, or when there is one identity.
    """
    images = np.unique(train.pid, return_counts=True)[1]
    if len(images) < 2 or images.max() < 2:
        found = f"{len(train):,} images of {len(images):,} ids"
        raise InputError(
            f"{where}: train has {found}, but pre-training compares two images of a person with another person's:"
            " expected two ids at least, and ids with several images"
        )
    single = int((images == 1).sum())
    return (
        [f"{where}: {single:,} of {len(images):,} ids of train have one image: no positives for a triplet"]
        if single
        else []
    )


def check_counts(name: str, splits: dict[str, Index], layout: str) -> list[str]:
    """One line for each split that deviates from what was published under ``name``; none for names of one's own."""
    deviations = []
    for split, (images, pids) in PUBLISHED.get(name, {}).items():
        found = len(splits[split]), identities(splits[split], layout)[0]
        if found != (images, pids):
            was = f"{images:,} images of {pids:,} ids, found {found[0]:,} of {found[1]:,}"
            deviations.append(f"{name} {split}: published are {was}")
    return deviations
