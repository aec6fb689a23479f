"""The course of an experiment as tables: its rounds, and the losses of its iterations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mutual.base.errors import InputError
from mutual.base.params import FIRST_ROUND, round_number
from mutual.base.store import existing
from mutual.experiments.summary import ACCURACY, Result, label_figures, mean_of_peers

ITERATION = "iteration"


def round_table(results: Mapping[str, Result]) -> str:
    """CSV, one line a round: accuracy and pseudo labels, shares 0 .. 1; the latter are empty in round 0."""
    rows = [
        {"round": round_number(name), **mean_of_peers(result), **result["pseudo_labels"]}
        for name, result in results.items()
    ]
    return as_csv(pd.DataFrame(rows, columns=["round", *ACCURACY, *label_figures(results.values())]))


def label_table(results: Mapping[str, Result]) -> str:
    """CSV, one line for each round that has pseudo labels: a plot takes an empty cell for a zero."""
    rows = [
        {"round": round_number(name), **result["pseudo_labels"]}
        for name, result in results.items()
        if name != FIRST_ROUND
    ]
    return as_csv(pd.DataFrame(rows, columns=["round", *label_figures(results.values())]))


def as_csv(table: pd.DataFrame) -> str:
    """Six significant digits."""
    text: str = table.to_csv(index=False, float_format="%.6g")
    return text


def joined_losses(files: Sequence[Path]) -> pd.DataFrame:
    """The losses of all rounds, a column for each term that any round has. Raises :class:`InputError` for no table."""
    tables = []
    for file in files:
        try:
            table = pd.read_csv(existing(file))
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: expected a table of losses: {' '.join(str(error).split())}") from None
        numbers = all(pd.api.types.is_numeric_dtype(table[column]) for column in table)
        if list(table.columns[:2]) != [ITERATION, "total"] or not numbers:
            raise InputError(f"{file}: expected a table of losses: numbers below iteration,total and the terms")
        tables.append(table)
    return pd.concat(tables)


def loss_curves(losses: pd.DataFrame) -> dict[str, str]:
    """For each term a CSV of its own, with the iterations that have it: what is drawn need not know the terms."""
    return {
        term: losses[[ITERATION, term]].dropna().rename(columns={term: "loss"}).to_csv(index=False, float_format="%.6f")
        for term in losses.columns.drop(ITERATION)
    }
