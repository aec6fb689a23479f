"""What is wrong with an artefact and what to do about it, in lines that a user can follow."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.artefacts import Output, Part
from tools.hashing import MISSING, UNREADABLE

REPAIR = "make verify REPAIR=1"
CHECK = "look to its rights and to the disk"
OTHERS = f"{REPAIR} deletes it; no output needs it now"


def is_good(path: Path, md5: str, states: Mapping[Path, str]) -> bool:
    """Whether a file is what it should be; of a listing the .dir behind its md5 is no part of the hash."""
    return states[path] == md5.removesuffix(".dir")


def everything_gone(output: Output, parts: Sequence[Part], states: Mapping[Path, str]) -> bool:
    """Whether neither the workspace nor the cache has anything of an output."""
    places = [path for part in parts for path in (part.place, part.object) if path]
    return not output.files and all(states[path] == MISSING for path in places)


def faults(output: Output, parts: Sequence[Part], names_known: bool, states: Mapping[Path, str]) -> Iterator[str]:
    """Yield a line for each kind of fault of an output and each way back: first of the workspace, then of the cache."""
    place = output.project / output.path
    cached = {part: bool(part.object and is_good(part.object, part.md5, states)) for part in parts}
    # a listing that is not good is known only where the folder is whole
    whole = {part: is_good(part.place, part.md5, states) if part.place else names_known for part in parts}
    for (kind, easy), some in _grouped([(part, part.place) for part in parts], cached, states, "changed").items():
        yield f"{kind}: {_which(place, some)}: {_for_workspace(output, kind, easy, len(some))}"
    if output.is_folder and names_known:
        if more := sorted(set(output.files) - {part.name for part in parts}):
            yield f"changed: {place}: {_count(more)}, not in dvc.lock: delete what you do not want there"
    elif output.files:
        back = _again(output, "delete it, then ")
        yield f"changed: {place}: it is not what dvc.lock has, and which files it had nobody knows: {back}"
    elif output.is_folder:
        yield f"missing: {place}: {_again(output)}"
    for (kind, easy), some in _grouped([(part, part.object) for part in parts], whole, states, "damaged").items():
        what = f"{_which(place, some)} ({some[0].object})"
        yield f"{kind} in the cache: {what}: {_for_cache(output, kind, easy)}"


def _grouped(
    files: Sequence[tuple[Part, Path | None]], easy: Mapping[Part, bool], states: Mapping[Path, str], otherwise: str
) -> dict[tuple[str, bool], list[Part]]:
    """The parts that are not good, by what is wrong with them and whether there is a good copy."""
    found: dict[tuple[str, bool], list[Part]] = {}
    for part, path in files:
        if path and not is_good(path, part.md5, states):
            state = states[path]
            kind = state if state == MISSING or state.startswith(UNREADABLE) else otherwise
            found.setdefault((kind, easy[part]), []).append(part)
    return found


def _which(place: Path, parts: Sequence[Part]) -> str:
    names = [part.name for part in parts if part.name]
    if not names:
        return str(place) if parts[0].place else f"{place}, its listing"
    return f"{place}: {_count(names)}{' and the listing' * (len(names) < len(parts))}"


def _count(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files, {names[0]} the first"


def _for_workspace(output: Output, kind: str, cached: bool, count: int) -> str:
    if kind.startswith(UNREADABLE):
        return CHECK
    # DVC does not look into a file whose time and size are as they were
    first = "" if kind == MISSING else f"delete {'it' if count == 1 else 'them'}, then "
    return f"{first}{_command(output, 'checkout', output.path)}" if cached else _again(output, first)


def _for_cache(output: Output, kind: str, whole: bool) -> str:
    if kind.startswith(UNREADABLE):
        return CHECK
    if whole:
        return f"{REPAIR} {'copies it from' if kind == MISSING else 'puts a copy in its place from'} the workspace"
    return _again(output, "" if kind == MISSING else f"{REPAIR} deletes it, then ")


def _again(output: Output, first: str = "") -> str:
    """How what is nowhere comes back."""
    made = _command(output, "repro", output.stage)
    if not output.cache:
        return f"{first}{made} makes it again"
    return f"{first}{_command(output, 'pull', output.path)} fetches it, or {made} makes it again"


def _command(output: Output, *words: str) -> str:
    enter = "" if output.project == Path() else f"cd {shlex.quote(str(output.project))} && "
    return f"`{enter}{shlex.join(['dvc', *words])}`"
