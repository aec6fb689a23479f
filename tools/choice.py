"""Which figure would have chosen which round: the mAP that choosing without labels costs, over experiments.

Reads metrics/rounds.csv and metrics/label_free/ of the workspace and of the experiments of the current commit, or of
the commits and experiments named, as far as DVC's cache has them; prints a Markdown table. Writes nothing.
Example: python -m tools.choice --experiments HEAD
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.choice")

import csv
import io
import sys
from collections.abc import Iterator
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from mutual.base.errors import InputError, run
from mutual.base.params import round_name
from mutual.experiments.choice import LABEL_FREE, Run, cost_table
from stages.door import arguments
from tools.states import WORKSPACE, add_choice, chosen, title, unusable


def main() -> None:
    """Print the table; say on stderr what is left out."""
    parser = arguments(__doc__, "tools.choice")
    add_choice(parser)
    runs = list(usable_runs(chosen(parser.parse_args())))
    if not runs:
        raise InputError("nothing to compare: expected experiments with labelled test images that ran to the end")
    print(cost_table(runs))


def usable_runs(states: list[dict[str, Any]]) -> Iterator[Run]:
    """Yield those of the states that have both kinds of figures."""
    for state in states:
        fault = unusable(state)
        try:
            found = Run({}, {}) if fault else read_run(None if state["rev"] == WORKSPACE else state["rev"])
        except (DvcException, OSError, KeyError) as error:
            found, fault = Run({}, {}), f"not in DVC's cache, or of another version: {error}"
        if fault or not found.mean_ap or not found.figures:
            print(f"left out: {title(state)}: {fault or 'nothing measured'}", file=sys.stderr)
        else:
            yield found


def read_run(rev: str | None) -> Run:
    """The figures of a commit or experiment, of the workspace for None."""
    files = DVCFileSystem(rev=rev)
    mean_ap = {round_name(int(row["round"])): float(row["mAP"]) for row in table(files, "metrics/rounds.csv")}
    figures: dict[str, dict[str, float]] = {}
    for key in LABEL_FREE:
        path = f"metrics/label_free/{key}.csv"
        for row in table(files, path) if files.exists(path) else []:
            figures.setdefault(round_name(int(row["round"])), {})[key] = float(row["value"])
    return Run(mean_ap, figures)


def table(files: DVCFileSystem, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files.read_text(path, encoding="utf-8"))))


if __name__ == "__main__":
    run(main)
