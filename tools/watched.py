"""What belongs to the pipeline, so that a tool must not write there: DVC would take that for a change of the data."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from mutual.base.documents import read_yaml
from mutual.base.errors import InputError
from mutual.base.params import NONE, PARAMS_FILE, ROUNDS_FILE, read_params
from mutual.datasets.folders import shown

LOCKS = (Path("dvc.lock"), Path("demo/dvc.lock"))  # of what was run; all paths start at the top


class Entry(BaseModel):
    """A file or folder that a stage has read or written; DVC says more about it."""

    path: str


class Stage(BaseModel):
    """What one stage has read and written."""

    deps: list[Entry] = []
    outs: list[Entry] = []


class Lock(BaseModel):
    """dvc.lock."""

    stages: dict[str, Stage] = {}


def watched() -> Iterator[tuple[Path, str]]:
    """Yield each file or folder that DVC watches, absolute and without links, with the words for what it is.

    First the roots of the data sets in params.yaml, which the next run reads; then what the runs before read and wrote
    by dvc.lock, which are others after params.yaml was changed. Where there is no such file nothing is watched by it.
    Raises :class:`InputError` for a file that is damaged.
    """
    if PARAMS_FILE.exists() and ROUNDS_FILE.exists():
        params = read_params()
        for key, root in (("source_root", params.source.root), ("target_root", params.target.root)):
            if root != NONE:
                yield Path(root).expanduser().resolve(), key
    for path in LOCKS:
        if path.exists():
            lock: Lock | None = read_yaml(path, Lock | None)
            for stage in lock.stages.values() if lock else []:
                for entry in [*stage.deps, *stage.outs]:
                    yield Path(entry.path).resolve(), f"{shown(entry.path)} in {path}"


def belonging(places: Iterable[Path]) -> str:
    """The words for what one of the places lies in or is, such as ``target_root``; empty where DVC watches none.

    They need not exist. Raises :class:`InputError` as :func:`watched` does.
    """
    whole = [place.resolve() for place in places]
    return next((words for root, words in watched() if any(place.is_relative_to(root) for place in whole)), "")


def check_unwatched(option: str, named: Path, places: Iterable[Path]) -> None:
    """Raise :class:`InputError` where what is written for ``option`` would lie in what DVC watches, or replace it.

    ``named`` is what the user gave, ``places`` are the files that a tool writes for it.
    """
    if words := belonging(places):
        fault = f"belongs to {words}, where DVC would take it for a change of the data"
        raise InputError(f"{option}: {shown(named)}: {fault}: name another place, outside of it")
