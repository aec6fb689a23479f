"""Put a preset into params.yaml and rounds.yaml; without a name, list the presets.

Reads presets/, params.yaml and rounds.yaml; writes the latter two. A preset, presets/NAME.yaml, holds what it changes
in another one and its number of rounds. All of them start from the demo, which names the project's own value of every
key that any of them changes: so nothing is left of another preset. What no preset names stays as it is in params.yaml.
Example: python -m tools.preset dukemtmc2market1501
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.preset")

import io
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from mutual.base.documents import read_yaml
from mutual.base.errors import InputError, run, shown
from mutual.base.params import FIRST_ROUND, PARAMS_FILE, ROUNDS_FILE, checked, read_mapping, round_name
from mutual.base.store import write_text
from stages.door import arguments

PRESETS = Path("presets")
ROUNDS_TEXT = """\
# Which round starts from which: {first} is the pre-trained pair. One line more is one round more:
#   dvc exp run -S 'rounds.yaml:+rounds.{next}={last}'
rounds:
"""


class Preset(BaseModel):
    """What presets/NAME.yaml holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    start: Annotated[str | None, Field(alias="from")] = None  # the preset that it changes; none: the demo
    rounds: Annotated[int, Field(ge=1, le=10_000)]
    params: dict[str, Any]


def main() -> None:
    parser = arguments(__doc__, "tools.preset")
    parser.add_argument("name", nargs="?", metavar="NAME", help="without a name the presets are listed")
    name = parser.parse_args().name
    if name is None:
        print(listing(names()))
    else:
        apply(name)
        print(f"{PARAMS_FILE} and {ROUNDS_FILE} are those of {name}")


def names() -> list[str]:
    """All presets, in the order of their names."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def listing(names: list[str]) -> str:
    """One line for each preset: its name and the first line of its comment."""
    width = max(map(len, names), default=0)
    titles = [file_of(name).read_text(encoding="utf-8").partition("\n")[0] for name in names]
    return "\n".join(f"{name:{width}}  {title.removeprefix('# ')}" for name, title in zip(names, titles, strict=True))


def apply(name: str) -> None:
    """Write the preset's values among the comments of params.yaml, and its rounds; nothing before all is checked."""
    for path, text in texts(name).items():
        write_text(path, text)


def texts(name: str) -> dict[Path, str]:
    """What params.yaml and rounds.yaml become with a preset. Raises :class:`InputError` when that cannot be used."""
    own, files = read_mapping(PARAMS_FILE), lineage(name)
    checked(own, PARAMS_FILE)
    presets = [read_yaml(file, Preset) for file in files]
    for preset in presets:
        own = merged(own, preset.params)
    checked(own, files[-1])
    text = PARAMS_FILE.read_text(encoding="utf-8")
    for file in files:
        text = with_values(text, file.read_text(encoding="utf-8"))
    return {PARAMS_FILE: text, ROUNDS_FILE: chain(presets[-1].rounds)}


def merged(own: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with some changed; below a method's name too."""
    both = [key for key, value in changes.items() if isinstance(value, dict) and isinstance(own.get(key), dict)]
    return {**own, **changes, **{key: own[key] | changes[key] for key in both}}


def lineage(name: str) -> list[Path]:
    """The files of a preset and of those that it starts from, these first."""
    files: list[Path] = []
    start: str | None = name
    while start is not None:
        if start not in names():
            of = f"{files[0]}: from: " if files else ""
            meant = get_close_matches(start, names(), n=2, cutoff=0)
            raise InputError(
                f"{of}{shown(start)[1:-1]}: not a preset, did you mean {' or '.join(meant)}? See make presets"
            )
        if file_of(start) in files:
            raise InputError(f"{files[0]}: from: {start} starts from this one")
        files.insert(0, file_of(start))
        start = read_yaml(files[0], Preset).start
    return files


def file_of(name: str) -> Path:
    """``demo`` -> presets/demo.yaml."""
    return PRESETS / f"{name}.yaml"


def chain(count: int) -> str:
    """A rounds.yaml in which each of so many rounds starts from the one before."""
    lines = [f"  {round_name(number)}: {round_name(number - 1)}\n" for number in range(1, count + 1)]
    return ROUNDS_TEXT.format(first=FIRST_ROUND, last=round_name(count), next=round_name(count + 1)) + "".join(lines)


def with_values(text: str, preset: str, whole: Sequence[str] = ()) -> str:
    """``text``, a params.yaml with comments, with the values of ``preset`` as these are written (5e-4 stays 5e-4).

    A preset's mapping changes keys of the one that is there; one of the keys in ``whole`` takes its place.
    """
    content, values = round_trip().load(text), round_trip().load(preset)["params"]
    for key in whole:
        if key in values:
            content[key] = values.pop(key)
    fill(content, values)
    file = io.StringIO()
    round_trip().dump(content, file)
    return file.getvalue()


def fill(content: Any, values: Mapping[str, Any]) -> None:
    """Change values of a mapping in place, and those of the mappings in it; what is not there yet, it has then."""
    for key, value in values.items():
        found = content.get(key)
        if isinstance(value, CommentedSeq) and isinstance(found, CommentedSeq):
            refill(found, value)
        elif isinstance(value, Mapping) and isinstance(found, Mapping):
            fill(found, value)
        else:
            content[key] = value


def round_trip() -> YAML:
    """Reads and writes YAML in the form of params.yaml."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # no line is folded
    return yaml


def refill(found: CommentedSeq, items: list[Any]) -> None:
    """Change a list in place. The comment below it belongs to the next key, but hangs on the last item: it moves."""
    below = found.ca.items.pop(len(found) - 1, None)
    found[:] = items
    if below is not None:
        found.ca.items[len(found) - 1] = below


if __name__ == "__main__":
    run(main)
