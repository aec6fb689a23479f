"""Features piece by piece on disk, so that a run that is stopped goes on where it was."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.base.store import read_array, read_json, write_array, write_json
from mutual.search.decoding import Fault

JOB = "job.json"  # of what the pieces are made


def begun(parts: Path, made: dict[str, object]) -> None:
    """Make the folder of the pieces ready; those of other images or peers are swept."""
    try:
        same = read_json(parts / JOB) == made
    except InputError:
        same = False
    if not same:
        shutil.rmtree(parts, ignore_errors=True)
        write_json(parts / JOB, made)


def write_part(parts: Path, number: int, features: np.ndarray, faults: Sequence[Fault]) -> None:
    """The features last: where they are there, the piece is done."""
    write_json(parts / f"{number:06}.json", {str(fault.place): fault.reason for fault in faults})
    write_array(parts / f"{number:06}.npy", features)


def read_part(parts: Path, number: int, length: int) -> tuple[np.ndarray, list[Fault]]:
    """(B, D) features of a piece, and the faults of its other images. Raises :class:`InputError` where it is none."""
    told = read_json(parts / f"{number:06}.json", dict[str, str])
    faults = [Fault(int(place), reason) for place, reason in told.items()]
    return read_array(parts / f"{number:06}.npy", dtype=np.float32, shape=(None, length)), faults


def is_done(parts: Path, number: int, count: int, length: int) -> bool:
    """Whether the piece of ``count`` images lies there whole."""
    try:
        features, faults = read_part(parts, number, length)
    except (InputError, OSError):
        return False
    return len(features) + len(faults) == count
