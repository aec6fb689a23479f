"""Put right what a run that was killed has left empty or cut off: dvc.lock, and DVC's list of files in use.

DVC writes dvc.lock in place; ended in that moment, by a signal or with the power, it leaves a file that every command
of DVC refuses. Reads the dvc.lock files of all projects of DVC below this folder. One that DVC would take is copied
into its project's .dvc/tmp/lock_guard/. One that it would refuse is replaced by that copy, else by git's version, else
deleted, with a line that says so: what stages had done since then `dvc repro` brings back from its run cache, without
running them. A file cut off between two stages is whole to DVC, which brings back the others the same way. The list,
.dvc/tmp/rwlock, is written in place, too, says which files a command is at, and is of use only while one is: it is
deleted. Writes those files, and nothing where all is well and copied. Example: python -m tools.lock_guard
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.lock_guard")

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutual.base.errors import InputError, one_line, run
from mutual.base.store import write_bytes
from stages.door import arguments

LOCK = "dvc.lock"
TEMPORARY = Path(".dvc/tmp")  # of each project; git ignores it
COPIES = TEMPORARY / "lock_guard"
CONFLICT = re.compile(rb"^<{7} ", re.MULTILINE)


def main() -> None:
    """Every project of DVC below this folder."""
    arguments(__doc__, "tools.lock_guard").parse_args()
    for project in projects(Path()):
        guard_list(project)
        for lock in locks(project):
            guard(project, lock)


def projects(top: Path) -> Iterator[Path]:
    """Yield the folders below ``top``, itself among them, that are projects of DVC."""
    for folder, names, _ in os.walk(top):
        if Path(folder, ".dvc/config").is_file():
            yield Path(folder)
        names[:] = sorted(name for name in names if not _left_out(name))


def locks(project: Path) -> Iterator[Path]:
    """Yield the dvc.lock files of a project: not those of a project within it."""
    for folder, names, files in os.walk(project):
        if LOCK in files:
            yield Path(folder, LOCK)
        names[:] = sorted(n for n in names if not _left_out(n) and not Path(folder, n, ".dvc/config").is_file())


def _left_out(name: str) -> bool:
    """Folders where nobody has a pipeline, and that can be large."""
    return name.startswith(".") or name in ("__pycache__", "node_modules")


def guard(project: Path, lock: Path) -> None:
    """Copy the file if DVC would take it, else put it right and say how.

    Raises :class:`InputError` where it has a conflict of git's, and where DVC is at work and may be writing it.
    """
    copy = project / COPIES / lock.relative_to(project)
    content = lock.read_bytes()
    if copy.is_file() and copy.read_bytes() == content:
        return
    if not (fault := fault_of(lock, content)):
        write_bytes(copy, content)
        return
    with alone(project):
        fault = fault_of(lock, lock.read_bytes())  # DVC may just have ended writing it
        if not fault:
            return
        if copy.is_file() and not fault_of(lock, kept := copy.read_bytes()):
            write_bytes(lock, kept)
            done = "put back as it was before the last run"
        elif not fault_of(lock, committed := _committed(lock)):
            write_bytes(lock, committed)
            done = "put back as git has it"
        else:
            lock.unlink()
            done = "deleted: neither a copy nor git has a good one"
    print(f"{lock}: {fault}: {done}; dvc repro brings back from its run cache what was done since", flush=True)


def fault_of(lock: Path, content: bytes) -> str:
    """Why DVC would refuse a dvc.lock of this content, in a few words; empty where it would not.

    Raises :class:`InputError` for one with a conflict of git's, where both halves may be wanted.
    """
    # DVC's own reading, and only where a file is another than before: what it would take is not to be replaced
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import parse_yaml
    from voluptuous import Invalid

    if not content.strip():
        return "empty"
    if CONFLICT.search(content):
        raise InputError(f"{lock}: expected no conflict of git's: git checkout --ours or --theirs takes one side")
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(content.decode("utf-8"), LOCK))
    except Invalid as error:
        return one_line(f"cut off, or no dvc.lock: {error}", 100)
    except (DvcException, UnicodeDecodeError):
        return "cut off, or no dvc.lock: not YAML"
    return ""


def guard_list(project: Path) -> None:
    """Delete a project's list of files in use if DVC would refuse it, and say so.

    Raises :class:`InputError` where DVC has it for more than some seconds.
    """
    place = project / TEMPORARY / "rwlock"
    if _whole(place):
        return
    with alone(project, "rwlock.lock"):  # it may have been written this moment
        if _whole(place):
            return
        place.unlink()
    print(f"{place}: cut off: deleted: DVC's list of the files that are in use", flush=True)


def _whole(place: Path) -> bool:
    """Whether a file is JSON, or is not there. What is cut off of an object is not."""
    try:
        json.loads(place.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _committed(lock: Path) -> bytes:
    """The file as the last commit has it; empty where there is none, or no git."""
    try:
        command = ["git", "show", f"HEAD:./{lock.name}"]
        done = subprocess.run(command, cwd=lock.parent, capture_output=True, check=False)
    except FileNotFoundError:
        return b""
    return b"" if done.returncode else done.stdout


@contextmanager
def alone(project: Path, name: str = "lock") -> Iterator[None]:
    """Hold a lock of DVC's on a project; :class:`InputError` where a command has it for more than some seconds."""
    from dvc.lock import LockError, make_lock

    place = project / TEMPORARY
    place.mkdir(parents=True, exist_ok=True)
    try:
        with make_lock(str(place / name), tmp_dir=str(place)):
            yield
    except LockError:
        raise InputError(f"{project}: DVC is at work there: expected it to have ended") from None


if __name__ == "__main__":
    run(main)
