"""Put a preset into params.yaml and rounds.yaml: ``python -m tools.preset NAME``; without a name, list them."""

import argparse
import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from mutual.base.errors import InputError, run
from mutual.base.params import PARAMS_FILE, ROUNDS_FILE, read_params
from mutual.base.store import write_text

PRESETS = Path("presets")


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a preset into params.yaml and rounds.yaml.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="without a name the presets are listed")
    name = parser.parse_args().name
    known = sorted(path.parent.name for path in PRESETS.glob("*/params.yaml"))
    if name is None:
        print(listing(known))
    elif name not in known:
        raise InputError(f"{name}: not a preset, expected {', '.join(known)}")
    else:
        apply(PRESETS / name)
        print(f"{PARAMS_FILE} and {ROUNDS_FILE} are those of {name}")


def listing(names: list[str]) -> str:
    """One line for each preset: its name and the first line of its comment."""
    width = max(map(len, names), default=0)
    titles = [(PRESETS / name / PARAMS_FILE).read_text(encoding="utf-8").partition("\n")[0] for name in names]
    return "\n".join(f"{name:{width}}  {title.removeprefix('# ')}" for name, title in zip(names, titles, strict=True))


def apply(preset: Path) -> None:
    """Write the preset's values among the comments of params.yaml, and its rounds; nothing before all is checked."""
    for file in (preset / PARAMS_FILE, PARAMS_FILE):
        read_params(file, preset / ROUNDS_FILE)
    files = (PARAMS_FILE, preset / PARAMS_FILE, preset / ROUNDS_FILE)
    text, values, rounds = (file.read_text(encoding="utf-8") for file in files)
    write_text(PARAMS_FILE, with_values(text, values))
    write_text(ROUNDS_FILE, rounds)


def with_values(text: str, preset: str) -> str:
    """``text``, a params.yaml with comments, with the values of ``preset`` as these are written (5e-4 stays 5e-4)."""
    content, values = round_trip().load(text), round_trip().load(preset)
    for key, value in values.items():
        if isinstance(value, CommentedSeq):
            refill(content[key], value)
        else:
            content[key] = value
    file = io.StringIO()
    round_trip().dump(content, file)
    return file.getvalue()


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
