"""Put a preset into noisy/params.yaml; without a name, list the presets.

Reads noisy/presets/ and noisy/params.yaml; writes the latter. All presets name the same keys, so that nothing is left
of another one; what none of them names stays as it is. Example: python -m tools.noisy_preset market1501
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.noisy_preset")

from pathlib import Path

from mutual.base.documents import parse_yaml
from mutual.base.errors import InputError, run, shown
from mutual.base.store import read_text, write_text
from mutual.noise.params import FILE, checked
from stages.door import arguments
from tools.preset import with_values

PRESETS = Path("noisy/presets")


def main() -> None:
    parser = arguments(__doc__, "tools.noisy_preset")
    parser.add_argument("name", nargs="?", metavar="NAME", help="without a name the presets are listed")
    name = parser.parse_args().name
    files = {file.stem: file for file in sorted(PRESETS.glob("*.yaml"))}
    if name is None:
        for known, file in files.items():
            print(f"{known:12}{read_text(file).partition(chr(10))[0].removeprefix('# ')}")
    elif name in files:
        write_text(FILE, with_preset(read_text(FILE), files[name]))
        print(f"{FILE} is that of {name}")
    else:
        raise InputError(f"{shown(name)[1:-1]}: not a preset: expected {' or '.join(files)}")


def with_preset(text: str, file: Path) -> str:
    """The text of noisy/params.yaml with the values of a preset's file."""
    new = with_values(text, read_text(file))
    checked(parse_yaml(new), file)
    return new


if __name__ == "__main__":
    run(main)
