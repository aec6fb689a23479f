"""Puts the figures of all runs together and writes the tables."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mutual.base.store import write_json, write_text
from mutual.few.phases import Phase, runs_of
from mutual.few.results import Published, Table, over_networks, read_rows, results, rows_text, summary


def write_report(
    folder: Path, measured: Path, chains: Sequence[Sequence[Phase]], measure: str, published: Published
) -> str:
    """Write ``runs.csv``, ``results.md`` and ``summary.json`` into ``folder``; the tables are returned, too.

    ``measured`` holds ``<run>.csv`` for each run, ``measure`` is what test figures are called.
    """
    rows = pd.concat([read_rows(measured / f"{name}.csv") for name in runs_of(chains)], ignore_index=True)
    table = Table(over_networks(rows), chains, measure)
    text = results(table, published)
    write_text(folder / "runs.csv", rows_text(rows.to_dict("records")))
    write_text(folder / "results.md", text)
    write_json(folder / "summary.json", summary(table))
    return text
