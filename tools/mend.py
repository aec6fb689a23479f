"""Takes out of DVC's cache what is not what its name says; puts in its place what the workspace has, where that is."""

import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.store import written_beside
from tools.artefacts import Part, as_listing
from tools.faults import is_good
from tools.hashing import MISSING, UNREADABLE, md5_at

READ_ONLY = 0o444  # as DVC keeps an object that it trusts


def mend(parts: Iterable[Part], names: Mapping[str, Mapping[str, str]], states: Mapping[Path, str]) -> Iterator[str]:
    """Yield a line for each object deleted or put back. ``names`` are those of each folder's files, where known.

    What cannot be read stays: its rights may be what is wrong. A file is hashed again just before it is deleted, and
    the copy of one before it gets its name.
    """
    for path, same in _by_object(parts).items():
        md5 = same[0].md5
        if is_good(path, md5, states) or states[path].startswith(UNREADABLE):
            continue
        if states[path] != MISSING:
            now = md5_at(path)
            if now == md5.removesuffix(".dir") or now.startswith(UNREADABLE):
                continue
            _delete(path)
            yield f"deleted: {path}"
        whole = next((p.place for p in same if p.place and is_good(p.place, p.md5, states)), None)
        if whole or md5 in names:
            _put(path, md5, whole or as_listing(names[md5]))
            yield f"put into the cache: {path}, from {whole or 'the files of its folder'}"


def _by_object(parts: Iterable[Part]) -> dict[Path, list[Part]]:
    found: dict[Path, list[Part]] = {}
    for part in parts:
        if part.object:
            found.setdefault(part.object, []).append(part)
    return found


def _delete(path: Path) -> None:
    with suppress(OSError):  # some systems delete nothing that is read-only, others do not let just anyone change that
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
    path.unlink(missing_ok=True)


def _put(path: Path, md5: str, source: Path | bytes) -> None:
    """Write an object of the cache. Raises :class:`InputError` where the source is not what it was."""
    with written_beside(path) as temporary:
        if isinstance(source, bytes):
            temporary.write_bytes(source)
        else:
            shutil.copyfile(source, temporary)
        if md5_at(temporary) != md5.removesuffix(".dir"):
            raise InputError(f"{path}: its file in the workspace changed meanwhile: expected nobody to write there")
        temporary.chmod(READ_ONLY)
