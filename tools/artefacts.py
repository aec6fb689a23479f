"""What there should be by DVC's lock files: each output, each of its files, and where the cache has them."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.repo import Repo
from dvc.utils.serialize import load_yaml

from mutual.base.errors import InputError, one_line
from tools.hashing import hashed, md5_of
from tools.lock_guard import fault_of, locks

NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage, or ``dvc add``, has made. An md5 with .dir behind it is that of a listing."""

    project: Path  # the folder of its .dvc
    path: str  # from there
    md5: str
    cache: Path | None  # the folder of the cache's objects; None where DVC keeps none of it
    stage: str
    files: tuple[str, ...]  # what a folder has now, but for what .dvcignore names

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(".dir")


@dataclass(frozen=True)
class Part:
    """One file of an output, or a folder's listing, which the cache alone has."""

    name: str  # within a folder
    place: Path | None  # in the workspace
    object: Path | None  # in the cache
    md5: str


def object_path(cache: Path, md5: str) -> Path:
    """Where a cache has what has this hash."""
    return cache / md5[:2] / md5[2:]


def md5_named(path: Path) -> str:
    """The reverse."""
    return path.parent.name + path.name


def outputs(project: Path) -> tuple[list[Output], int]:
    """The outputs of the stages that dvc.yaml has, and how many more there are: never made, or kept elsewhere.

    Raises :class:`InputError`, one line, where DVC could not read the project.
    """
    for lock in locks(project):
        if fault := fault_of(lock, lock.read_bytes()):
            raise InputError(f"{lock}: {fault}: python -m tools.lock_guard puts it right")
    try:
        with Repo(str(project)) as repo:
            every = list(repo.index.outs)
            usable = [out for out in every if out.protocol == "local" and out.hash_info and out.hash_info.name == "md5"]
            return [_output(repo, project, out) for out in usable], len(every) - len(usable)
    except DvcException as error:
        raise InputError(one_line(f"{project}: DVC cannot read it: {error}")) from None


def _output(repo: Any, project: Path, out: Any) -> Output:
    place, md5 = Path(out.fs_path), out.hash_info.value
    files = repo.dvcignore.find(localfs, out.fs_path) if md5.endswith(".dir") and place.is_dir() else []
    return Output(
        project,
        Path(os.path.relpath(place, repo.root_dir)).as_posix(),
        md5,
        Path(os.path.relpath(out.cache.path)) if out.use_cache else None,
        out.stage.addressing,
        tuple(sorted(Path(file).relative_to(place).as_posix() for file in files)),
    )


def parts(output: Output, names: Mapping[str, str]) -> list[Part]:
    """The files of an output; of a folder ``names`` are those of its listing, with the md5 of each."""
    place, cache = output.project / output.path, output.cache
    if not output.is_folder:
        return [Part("", place, cache and object_path(cache, output.md5), output.md5)]
    files = [Part(name, place / name, cache and object_path(cache, md5), md5) for name, md5 in names.items()]
    return [*files, Part("", None, object_path(cache, output.md5), output.md5)] if cache else files


def listings(every: Sequence[Output]) -> dict[str, dict[str, str]]:
    """The md5 of each folder -> name and md5 of each of its files; without those that nobody knows any more.

    They are in the cache, for each folder as one object; where it is lost or damaged, the folder itself may be whole.
    """
    folders = [output for output in every if output.is_folder]
    states = hashed(object_path(output.cache, output.md5) for output in folders if output.cache)
    found: dict[str, dict[str, str]] = {}
    for output in folders:
        kept = output.cache and object_path(output.cache, output.md5)
        if kept and f"{states[kept]}.dir" == output.md5:
            found[output.md5] = {row["relpath"]: row["md5"] for row in json.loads(kept.read_bytes())}
    for output in folders:
        if output.md5 not in found:
            place = output.project / output.path
            there = hashed(place / name for name in output.files)
            files = {name: there[place / name] for name in output.files}
            if f"{md5_of(as_listing(files))}.dir" == output.md5:
                found[output.md5] = files
    return found


def as_listing(files: Mapping[str, str]) -> bytes:
    """Name and md5 of each file to the byte as the cache has them: a folder's md5 is that of these bytes."""
    rows = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return json.dumps(rows, sort_keys=True).encode()


def named(project: Path) -> Iterator[str]:
    """Yield the md5 of each output in a project's dvc.lock files, also of stages that dvc.yaml has no more."""
    for lock in locks(project):
        for stage in load_yaml(lock).get("stages", {}).values():
            yield from (out["md5"] for out in stage.get("outs", []) if "md5" in out)


def objects(cache: Path) -> Iterator[str]:
    """Yield the md5 that each object of a cache is named by."""
    yield from (md5 for path in cache.glob("??/*") if NAME.fullmatch(md5 := md5_named(path)))
