"""Reads and writes artefacts. Every output is written beside its place and renamed: it is there whole or not at all.

What is read is checked to be what it should be, as far as its form tells. Rows in another order, or values of another
run, have the right form: only DVC, which keeps a hash of every artefact, tells these (``dvc status``).
"""

import glob
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from pydantic import TypeAdapter, ValidationError

from mutual.base.errors import ECHO, InputError, one_line, shown

TEXT_BYTES = 64 * 2**20  # of the longest text that is read at once
SUFFIXES = ("tmp", "old")  # of what is written, and of what was there
BLOCK_BYTES = 2**24  # of an array are looked at in one go


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it over ``path`` on success, delete it on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, _ = _beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        named(error, temporary, path)
        raise
    finally:
        with suppress(OSError):  # a place that is read-only refuses this even where there is no such file
            temporary.unlink()


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; put it in the place of ``path`` on success, delete it on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _beside(path)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        named(error, temporary, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> tuple[Path, Path]:
    """Where this process writes what ``path`` will hold, and where it puts what was there; both are gone."""
    sweep(path)
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}.{suffix}") for suffix in SUFFIXES)
    return temporary, old


def sweep(path: Path) -> None:
    """Delete what this process, and runs that were killed on this machine, have left beside ``path``.

    Another run that is at the same output is told of; which of the two is done last has its output there.
    """
    ours = os.getpid()
    for suffix in SUFFIXES:
        for found in path.parent.glob(f".{glob.escape(path.name)}.*.{suffix}"):
            process = found.name.removeprefix(f".{path.name}.").removesuffix(f".{suffix}")
            if not process.isdecimal():  # of an output with a longer name
                continue
            if int(process) != ours and _alive(int(process)):
                print(f"{path}: process {process} is writing it, too", file=sys.stderr)
            elif found.is_dir():
                shutil.rmtree(found, ignore_errors=True)
            else:
                found.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    """Whether there is such a process on this machine; where the question would end it, as on Windows, never.

    One that was killed is still there until somebody asks how it ended: on Linux that is known.
    """
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's; no /proc
        return True


def named(error: OSError, temporary: Path, path: Path) -> None:
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


def read_text(path: Path, fault: str = "expected text") -> str:
    """The UTF-8 text of a file; :class:`InputError`, in the words of ``fault``, where it is too long or no text."""
    if existing(path).stat().st_size > TEXT_BYTES:
        raise InputError(f"{path}: {fault}: more than {TEXT_BYTES} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {fault}: not UTF-8: {error.reason} at byte {error.start}") from None


def read_json(path: Path, form: Any = Any) -> Any:
    """Read one JSON document, of the form of a pydantic model or of a type such as ``dict[str, float]``.

    Numbers are finite and no key stands in a mapping twice: Python's reader alone would let both pass. Raises
    :class:`InputError` naming the file and the first value that is something else.
    """
    fault = "expected JSON"
    try:
        text = read_text(path, fault)
        return formed(
            path,
            json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_without_repeats),
            form,
        )
    except ValueError as error:
        raise InputError(f"{path}: {fault}: {one_line(str(error))}") from None
    except RecursionError:
        raise InputError(f"{path}: {fault}: nested too deep") from None


def formed(path: Path, content: Any, form: Any) -> Any:
    """What stands in a file, as a pydantic model or a type has it; else :class:`InputError` with the first fault."""
    try:
        return TypeAdapter(form).validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = one_line(".".join(map(str, first["loc"])), ECHO)
        found = "" if first["type"] == "missing" else f", found {shown(first['input'])}"
        raise InputError(f"{path}: {place}{': ' if place else ''}{first['msg']}{found}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {shown(text)[1:-1]}")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as ``.npy``."""
    with written_beside(path) as temporary, open(temporary, "wb") as file:
        # into a real file NumPy writes with C's functions, which hide why they could not, such as a full disk
        np.lib.format.write_array(SimpleNamespace(write=file.write), array, allow_pickle=False)


def read_array(
    path: Path, *, dtype: DTypeLike | None = None, shape: tuple[int | None, ...] | None = None, finite: bool = False
) -> np.ndarray:
    """Memory-map one ``.npy`` file, read-only.

    ``dtype``, ``shape`` (None in it: any length) and ``finite`` are what the array must be, where they are given; to
    see that all is finite reads the whole file. Raises :class:`InputError` with what was expected and what was found.
    """
    try:
        array = np.lib.format.open_memmap(existing(path), mode="r")
    except (OSError, InputError):
        raise
    except Exception as error:  # a header is Python text: damage to it ends in a dozen kinds of errors
        raise InputError(f"{path}: expected a NumPy array: {one_line(str(error))}") from None
    if array.offset + array.nbytes != path.stat().st_size:
        raise InputError(f"{path}: expected a NumPy array: the file is longer than what it holds")
    if dtype is not None and array.dtype != np.dtype(dtype):
        raise InputError(f"{path}: expected values of {np.dtype(dtype)}, found {array.dtype}")
    if shape is not None and not (
        len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
    ):
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(f"{path}: expected an array of shape ({lengths}), found {shown(array.shape)}")
    if not array.flags.c_contiguous:
        raise InputError(f"{path}: expected rows one after the other, found columns (Fortran order)")
    if finite and not _all_finite(array):
        raise InputError(f"{path}: expected finite values, found NaN or infinity")
    return array


def _all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite; a memory-mapped array passes through memory in pieces."""
    rows = max(1, BLOCK_BYTES * len(array) // max(1, array.nbytes)) if array.ndim else 1
    pieces = [array] if not array.ndim else (array[i : i + rows] for i in range(0, len(array), rows))
    return all(bool(np.isfinite(piece).all()) for piece in pieces)


def existing(path: Path) -> Path:
    """``path`` itself, or an :class:`InputError` when there is no file; to open a pipe would wait for ever."""
    try:
        if path.is_file():
            return path
        found = path.exists()
    except ValueError:  # a path with a NUL in it
        found = False
    if not found:
        raise InputError(f"{path}: not found")
    raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'something else'}")
