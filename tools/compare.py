"""Commits and experiments side by side in 80 columns: the parameters that differ, and mAP / rank-1.

Reads what DVC knows of the workspace and of the experiments of the current commit; with REV, of these commits and
experiments instead, the first of which the others are compared with. Writes nothing.
Example: python -m tools.compare main faster
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.compare")

from mutual.base.errors import run
from mutual.experiments.overview import overview
from stages.door import arguments
from tools.states import add_choice, chosen, usable


def main() -> None:
    """Print the table; say on stderr what is left out."""
    parser = arguments(__doc__, "tools.compare")
    add_choice(parser)
    print(overview(usable(chosen(parser.parse_args()))))


if __name__ == "__main__":
    run(main)
