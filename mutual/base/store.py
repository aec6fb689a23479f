"""Reads and writes artefacts. Every output is written beside its place and renamed: it is there whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mutual.base.errors import InputError


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it over ``path`` on success, delete it on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        _name(error, temporary, path)
        raise
    finally:
        with suppress(OSError):  # a place that is read-only refuses this even where there is no such file
            temporary.unlink()


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; put it in the place of ``path`` on success, delete it on failure."""
    temporary, old = path.with_name(f".{path.name}.tmp"), path.with_name(f".{path.name}.old")
    for leftover in (temporary, old):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        _name(error, temporary, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _name(error: OSError, temporary: Path, path: Path) -> None:
    """The user knows the output by its name, not by the temporary one; a failed write does not name it at all."""
    if error.filename is None:
        error.filename = str(path)
    elif str(error.filename).startswith(str(temporary)):
        error.filename = str(path) + str(error.filename).removeprefix(str(temporary))


def ask_room(path: Path, needed: int) -> None:
    """Raise :class:`InputError` where the disk that ``path`` will lie on has no room for ``needed`` bytes more.

    Neither the path nor its folders need exist. A user's quota is not seen.
    """
    place = path.absolute()
    free = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free
    if free < needed:
        raise InputError(f"{path}: expected room for {_size(needed)} on its disk, which has {_size(free)} free")


def _size(count: int) -> str:
    """A number of bytes in GB, or in MB below one."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as it is."""
    with written_beside(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends."""
    with written_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON with two spaces of indentation, keys in the given order."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON document; an unreadable file is an :class:`InputError`."""
    try:
        return json.loads(existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON: {error}") from None


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as ``.npy``."""
    with written_beside(path) as temporary, open(temporary, "wb") as file:
        # into a real file NumPy writes with C's functions, which hide why they could not, such as a full disk
        np.lib.format.write_array(SimpleNamespace(write=file.write), array, allow_pickle=False)


def read_array(path: Path) -> np.ndarray:
    """Memory-map one ``.npy`` file, read-only."""
    try:
        return np.load(existing(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: expected a NumPy array: {error}") from None


def existing(path: Path) -> Path:
    """``path`` itself, or an :class:`InputError` when there is nothing."""
    if not path.exists():
        raise InputError(f"{path}: not found")
    return path
