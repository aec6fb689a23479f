"""Cameras by the names of files, in folders that say only who is on an image."""

from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.folders import shown
from mutual.datasets.names import EXPECTED, JUNK, PATTERNS
from mutual.images.index import Index


def cameras_from_names(root: Path, index: Index, layout: str) -> Index:
    """The index with the camids that the files' names have in this published layout.

    Images of a split whose names say that they are junk, market1501's pid -1, are left out as they are there. Raises
    :class:`InputError` for a name of another form.
    """
    files, pids, camids = [], [], []
    for file, pid in zip(index.file, index.pid.tolist(), strict=True):
        told = PATTERNS[layout].match(file.rpartition("/")[2])
        if told is None:
            raise InputError(f"{shown(root / file)}: camera_names: {layout} expects names {EXPECTED[layout]}")
        if int(told[1]) != JUNK:
            files.append(file)
            pids.append(pid)
            camids.append(int(told[2]))
    return Index(files, np.array(pids, np.int64), np.array(camids, np.int64))
