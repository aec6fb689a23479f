"""Hash every artefact, in the workspace and in DVC's cache, and say what is missing, changed or damaged.

DVC trusts an object of its cache that is read-only, and a file that has kept its time and size: it would hand on a
flipped bit as good. This reads the dvc.lock files of all projects of DVC below this folder, and every byte of the files
and of the objects of the cache that they name. A line of each fault says what to do about it, and the exit code is 1.
What a stage made that dvc.yaml has no more is looked at in the cache alone.

With --repair it deletes each object of the cache that is not what its name says, and never a good one; where the
workspace has the file as it should be, a copy takes the object's place, or that of one that is missing. It writes
nothing else. What is missing then `dvc pull` fetches from a remote, or `dvc repro` makes again.
Example: python -m tools.verify --repair
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.verify")

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mutual.base.errors import InputError, duration, run
from stages.door import arguments
from tools.artefacts import Output, Part, listings, md5_named, named, object_path, objects, outputs, parts
from tools.faults import OTHERS, everything_gone, faults, is_good
from tools.hashing import MISSING, hashed
from tools.lock_guard import projects
from tools.mend import mend


@dataclass
class Project:
    """What one project of DVC should have, and what was found."""

    folder: Path
    parts: list[tuple[Output, list[Part]]] = field(default_factory=list)
    others: list[Part] = field(default_factory=list)  # objects of the cache that no output needs now
    names: dict[str, dict[str, str]] = field(default_factory=dict)  # of the files in each folder
    states: dict[Path, str] = field(default_factory=dict)
    never_made: int = 0
    fault: str = ""  # it could not be read


def main() -> None:
    """Print the faults, or one line where there are none."""
    parser = arguments(__doc__, "tools.verify")
    parser.add_argument("--repair", action="store_true", help="delete damaged objects of the cache")
    parser.add_argument("--all", action="store_true", help="also what other commits and experiments have in the cache")
    args = parser.parse_args()
    started = time.monotonic()
    found = [looked_at(folder, args.all) for folder in projects(Path())]
    count = 0
    for project in found:
        for line in told(project):
            print(line, flush=True)
            count += 1
        if args.repair:
            every = [part for _, some in project.parts for part in some] + project.others
            for line in mend(every, project.names, project.states):
                print(line, flush=True)
    if count:
        rest = ", expected none; run it again to see what is left" if args.repair else ", expected none"
        raise InputError(f"{count} {'fault' if count == 1 else 'faults'}{rest}")
    print(f"{summary(found)}, in {duration(time.monotonic() - started)}")


def looked_at(folder: Path, whole_cache: bool) -> Project:
    """Hash what a project should have, and what more of its cache is named by its lock files, or all of that."""
    project = Project(folder)
    try:
        every, project.never_made = outputs(folder)
    except InputError as error:  # the other projects are looked at all the same
        project.fault = str(error)
        return project
    project.names = listings(every)
    project.parts = [(output, parts(output, project.names.get(output.md5, {}))) for output in every]
    needed = {part.object for _, some in project.parts for part in some if part.object}
    for cache in {output.cache for output in every if output.cache}:
        more = {object_path(cache, md5) for md5 in (objects(cache) if whole_cache else named(folder))} - needed
        project.others += [Part("", None, path, md5_named(path)) for path in sorted(more) if path.exists()]
    places = [part.place for _, some in project.parts for part in some if part.place]
    project.states = hashed([*places, *needed, *(part.object for part in project.others if part.object)])
    return project


def told(project: Project) -> Iterator[str]:
    """Yield a line of each fault."""
    if project.fault:
        yield f"unreadable: {project.fault}"
    gone = [output for output, some in project.parts if everything_gone(output, some, project.states)]
    if gone:
        yield gone_line(project.folder, gone, len(project.parts))
    for output, some in project.parts:
        if output not in gone:
            yield from faults(output, some, output.md5 in project.names, project.states)
    for part in project.others:
        if part.object and not is_good(part.object, part.md5, project.states):
            yield f"damaged: {part.object}: {OTHERS}"


def gone_line(folder: Path, gone: list[Output], count: int) -> str:
    """What neither the workspace nor the cache has, of which there is much in a fresh clone."""
    first = ", ".join(output.path for output in gone[:3])
    enter = "" if folder == Path() else f"cd {folder} && "
    what = f"{len(gone)} of {count} outputs, in the workspace and in the cache"
    return f"missing: {folder}: {what}: {first}{', ...' * (len(gone) > 3)}: {enter}dvc pull, or {enter}dvc repro"


def summary(found: list[Project]) -> str:
    """Where all is well: how much there was to look at."""
    states: Mapping[Path, str] = {path: state for project in found for path, state in project.states.items()}
    kept = {part.object for project in found for _, some in project.parts for part in some}
    kept |= {part.object for project in found for part in project.others}
    objects_there = sum(path in kept for path in states)
    files = sum(path not in kept and state != MISSING for path, state in states.items())
    made = sum(len(project.parts) for project in found)
    never = sum(project.never_made for project in found)
    rest = f" ({never} more are not made yet)" if never else ""
    outputs_there = f"{made} outputs of {len(found)} projects{rest}"
    return f"all as dvc.lock says: {outputs_there}: {files} files, {objects_there} objects of the cache"


if __name__ == "__main__":
    run(main)
