"""Hashes of many files: a few at a time, block by block, whatever their size."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from mutual.base.progress import Progress
from mutual.machine.processes import cpus

MISSING = "missing"
UNREADABLE = "cannot be read: "
AHEAD = 1000  # files that wait for a thread
MEBI = 2**20


def hashed(paths: Iterable[Path]) -> dict[Path, str]:
    """Each path -> the md5 of the file there, or :data:`MISSING`, or :data:`UNREADABLE` and why.

    A file behind several links is read once. Progress is shown.
    """
    found: dict[Path, str] = {}
    links: dict[tuple[int, int], list[Path]] = {}
    sizes: dict[Path, int] = {}
    for path in dict.fromkeys(paths):
        try:
            entry = path.stat()
        except OSError as error:
            found[path] = _reason(error)
        else:
            sizes[path] = entry.st_size
            # a system without numbers of files says 0
            links.setdefault((entry.st_dev, entry.st_ino) if entry.st_ino else (-1, len(links)), []).append(path)
    total = -(-sum(sizes[same[0]] for same in links.values()) // MEBI)
    done, remaining = 0, iter(links.values())
    with ThreadPoolExecutor(min(4, cpus())) as pool, Progress(desc="hashing", unit="MiB", total=total) as bar:
        while some := list(islice(remaining, AHEAD)):
            for same, md5 in zip(some, pool.map(md5_at, [same[0] for same in some]), strict=True):
                found |= dict.fromkeys(same, md5)
                before, done = done, done + sizes[same[0]]
                bar.update(done // MEBI - before // MEBI)
    return found


def md5_at(path: Path) -> str:
    """Of one file, as :func:`hashed` has it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        return _reason(error)


def md5_of(content: bytes) -> str:
    """Of bytes in memory."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _reason(error: OSError) -> str:
    gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    return MISSING if gone else f"{UNREADABLE}{error.strerror}"
