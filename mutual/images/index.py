"""Data sets as an index: which images, of whom, from which camera make up train, query and gallery.

Beside a packed array lies its index as a table: ``file,pid,camid``, and behind these what a user's own list has
further, which nothing that is computed here depends on. A pid that is not known is an empty cell.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import header_of, integers, read_columns, write_table
from mutual.base.errors import InputError
from mutual.base.store import read_array

COLUMNS = ["file", "pid", "camid"]
UNKNOWN = -1  # nobody said who this is
DISTRACTOR = 0  # market1501: background or nobody in particular, stays in the gallery


@dataclass(frozen=True)
class Index:
    """The images of one split; entry i belongs to row i of the packed array."""

    file: list[str]  # (N,) posix path below the root of the data set
    pid: np.ndarray  # (N,) int64, identity as published, or UNKNOWN
    camid: np.ndarray  # (N,) int64, camera as published; where cameras are not known, one for each image

    def __len__(self) -> int:
        return len(self.file)


def write_index(path: Path, index: Index, further: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write one split's ``file,pid,camid`` lines, each with the texts of the ``further`` columns behind them."""
    pids = ["" if pid == UNKNOWN else pid for pid in index.pid.tolist()]
    columns = {} if further is None else further
    rows = zip(index.file, pids, index.camid.tolist(), *columns.values(), strict=True)
    write_table(path, [*COLUMNS, *columns], rows)


def read_index(path: Path) -> Index:
    """The index beside a packed array. Raises :class:`InputError` when it is missing or something else."""
    file, pid, camid = read_columns(path, COLUMNS, longer=True)
    pids = [text or str(UNKNOWN) for text in pid]
    return Index(file, integers(path, "pid", pids, least=UNKNOWN), integers(path, "camid", camid, least=0))


def read_further(path: Path) -> dict[str, list[str]]:
    """What an index has behind ``file,pid,camid``: column -> its N texts, in the order of the table."""
    header = header_of(path)
    if header[: len(COLUMNS)] != COLUMNS:
        header = COLUMNS  # which the table is then refused for not having
    names = header[len(COLUMNS) :]
    return dict(zip(names, read_columns(path, header, names), strict=True))


def read_cameras(path: Path) -> tuple[list[str], np.ndarray]:
    """File names and camids (N,) int64 of an index, without the pids: all that adaptation may know of the target."""
    file, camid = read_columns(path, COLUMNS, ["file", "camid"], longer=True)
    return file, integers(path, "camid", camid, least=0)


def read_images(path: Path, count: int | None = None, *, may_be_empty: bool = False) -> np.ndarray:
    """A packed array, memory-mapped: (N, height, width, 3) uint8; ``count`` is the N of its index, where that is read.

    Raises :class:`InputError` for another array and, unless it ``may_be_empty``, for one without a row.
    """
    images = read_array(path, dtype=np.uint8, shape=(count, None, None, 3))
    if not images.size and not (may_be_empty and all(images.shape[1:])):
        raise InputError(f"{path}: expected images, found none")
    return images


def read_split(packed: Path, split: str) -> tuple[np.ndarray, Index]:
    """The images of one split of a packed set, (N, height, width, 3) uint8, and their index.

    Query and gallery may be empty; the training images may not.
    """
    index = read_index(packed / f"{split}.csv")
    return read_images(packed / f"{split}.npy", len(index), may_be_empty=split != "train"), index


def matched(query: Index, gallery: Index) -> np.ndarray:
    """(Q,) bool: which queries have a gallery image of the same pid, a known one, in another camera.

    The others have nothing to be found, and where there are no others, nothing can be measured.
    """
    cameras: defaultdict[int, set[int]] = defaultdict(set)
    for pid, camid in zip(gallery.pid.tolist(), gallery.camid.tolist(), strict=True):
        if pid != UNKNOWN:
            cameras[pid].add(camid)
    wanted = zip(query.pid.tolist(), query.camid.tolist(), strict=True)
    return np.array([bool(cameras[pid] - {camid}) for pid, camid in wanted], bool)


def relabel(pids: np.ndarray) -> np.ndarray:
    """pids (N,) -> labels (N,) int64 in 0 .. K-1, in the order of the sorted pids (the authors iterate over a set)."""
    return np.unique(pids, return_inverse=True)[1].astype(np.int64)
