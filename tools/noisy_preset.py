"""Put a preset into noisy/params.yaml; without a name, list the presets.

Reads noisy/presets/ and noisy/params.yaml; writes the latter. All presets name the same keys, so that nothing is left
of another one; what none of them names stays as it is. Example: python -m tools.noisy_preset market1501
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.noisy_preset")

from mutual.base.errors import run
from mutual.noise.params import FILE, checked
from stages.door import arguments
from tools.preset_files import Pipeline

NOISY = Pipeline(FILE, checked)


def main() -> None:
    """A name, or none."""
    parser = arguments(__doc__, "tools.noisy_preset")
    parser.add_argument("name", nargs="?", metavar="NAME", help="without a name the presets are listed")
    name: str | None = parser.parse_args().name
    print(NOISY.listing() if name is None else NOISY.put_in(name))


if __name__ == "__main__":
    run(main)
