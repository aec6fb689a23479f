"""The course of an experiment as tables: its rounds, and the losses of its iterations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mutual.base.columns import header_of, integers, numbers, read_columns
from mutual.base.errors import InputError
from mutual.base.params import FIRST_ROUND, round_number
from mutual.experiments.choice import LABEL_FREE, LabelFree
from mutual.experiments.results import ACCURACY, Result
from mutual.experiments.summary import is_measured, label_figures, mean_of_peers

ITERATION = "iteration"


def round_table(results: Mapping[str, Result]) -> str:
    """CSV, one line a round: accuracy and pseudo labels, shares 0 .. 1; the latter are empty in round 0.

    No line where nothing is measured: a plot takes an empty cell for a zero.
    """
    rows = [
        {"round": round_number(name), **mean_of_peers(result), **result["pseudo_labels"]}
        for name, result in results.items()
        if is_measured(results)
    ]
    return as_csv(pd.DataFrame(rows, columns=["round", *ACCURACY, *label_figures(results.values())]))


def label_table(results: Mapping[str, Result]) -> str:
    """CSV, one line for each round that has pseudo labels."""
    rows = [
        {"round": round_number(name), **result["pseudo_labels"]}
        for name, result in results.items()
        if name != FIRST_ROUND
    ]
    return as_csv(pd.DataFrame(rows, columns=["round", *label_figures(results.values())]))


def label_free_curves(label_free: LabelFree) -> dict[str, str]:
    """For each figure that needs no label a CSV of its own, with the rounds that have it: ``round,value``."""
    curves = {}
    for key in LABEL_FREE:
        rows = [(round_number(name), figures[key]) for name, figures in label_free.items() if key in figures]
        if rows:
            curves[key] = as_csv(pd.DataFrame(rows, columns=["round", "value"]))
    return curves


def as_csv(table: pd.DataFrame) -> str:
    """Six significant digits."""
    text: str = table.to_csv(index=False, float_format="%.6g")
    return text


def joined_losses(files: Sequence[Path]) -> pd.DataFrame:
    """The losses of all rounds, one below the other: a column for each term that any round has, NaN where it has none.

    Raises :class:`InputError` for a file that is no table of losses.
    """
    return pd.concat([read_losses(file) for file in files])


def read_losses(file: Path) -> pd.DataFrame:
    """The losses of one round, every iteration: ``iteration`` int64, ``total`` and the refinery's terms float64."""
    header = header_of(file)
    if header[:2] != [ITERATION, "total"] or len(set(header)) < len(header):
        raise InputError(f"{file}: expected a table of losses, with the header {ITERATION},total and the terms")
    first, *others = read_columns(file, header)
    terms = {name: numbers(file, name, texts) for name, texts in zip(header[1:], others, strict=True)}
    iterations = integers(file, ITERATION, first, least=1)
    if (np.diff(iterations) != 1).any() or np.isnan(terms["total"]).any():
        raise InputError(f"{file}: expected one iteration after the other, and a total of each")
    return pd.DataFrame({ITERATION: iterations, **terms})


def loss_curves(losses: pd.DataFrame) -> dict[str, str]:
    """For each term a CSV of its own, with the iterations that have it: what is drawn need not know the terms."""
    curves = {}
    for term in losses.columns.drop(ITERATION):
        curve = losses[[ITERATION, term]].dropna().rename(columns={term: "loss"})
        curves[term] = curve.to_csv(index=False, float_format="%.6f")
    return curves
