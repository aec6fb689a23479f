"""Experiments as a table, repeats with other seeds as mean and spread.

Reads what DVC knows of the workspace and the experiments of the current commit, or of the commits and experiments
named, and docs/published.csv; writes metrics/tables/table.md, table.csv and table.tex, and prints the first.
Example: python -m tools.table --all-commits
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.table")

import csv
from collections.abc import Sequence
from pathlib import Path

from mutual.base.errors import run
from mutual.base.store import existing, write_text
from mutual.experiments.comparison import Experiment, table_rows
from mutual.experiments.tables import as_csv, as_latex, as_markdown
from stages.door import arguments
from tools.states import add_choice, chosen, usable

PUBLISHED = Path("docs/published.csv")
TABLES = Path("metrics/tables")


def main() -> None:
    """The table of what is asked for."""
    parser = arguments(__doc__, "tools.table")
    add_choice(parser)
    write_tables(usable(chosen(parser.parse_args())))


def write_tables(experiments: Sequence[Experiment]) -> None:
    """Print the table and write it in its three forms."""
    with existing(PUBLISHED).open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    rows = table_rows(experiments, published)
    markdown = as_markdown(rows, dict.fromkeys(line["from"] for line in published))
    for suffix, text in (("md", markdown), ("csv", as_csv(rows)), ("tex", as_latex(rows))):
        write_text(TABLES / f"table.{suffix}", text)
    print(markdown)


if __name__ == "__main__":
    run(main)
