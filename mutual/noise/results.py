"""The figures of all runs: a table of them, and what it comes to over the seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mutual.base.columns import integers, numbers, read_columns
from mutual.base.errors import InputError
from mutual.noise.cells import CLEAN, Cell

RUN = ["method", "kind", "ratio", "seed", "epoch"]
FIGURES = ["mAP", "rank1", "repaired", "fitted", "kept"]
TITLES = {
    "hard_labels": "cross entropy",
    "self": "SELF",
    "core": "CORE",
    "coteaching": "Co-teaching",
}
PLAIN = "hard_labels"  # what the others are compared with


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """All figures as CSV, a line for each run and epoch; empty where there is none."""
    return pd.DataFrame(rows, columns=[*RUN, *FIGURES]).to_csv(index=False, float_format="%.6f", lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """What :func:`table_text` wrote. Raises :class:`InputError` for another table."""
    texts = dict(zip([*RUN, *FIGURES], read_columns(path, [*RUN, *FIGURES]), strict=True))
    table = pd.DataFrame({name: texts[name] for name in ("method", "kind")})
    for name in ("seed", "epoch"):
        table[name] = integers(path, name, texts[name], least=0)
    for name in ("ratio", *FIGURES):
        table[name] = numbers(path, name, texts[name])
    if not len(table):
        raise InputError(f"{path}: expected a run at least")
    return table


def last_and_best(table: pd.DataFrame) -> pd.DataFrame:
    """A line for each run: its figures after the last epoch, and ``best_mAP`` and ``best_rank1`` on the test set.

    The best is of the epoch with the highest rank-1, as the authors keep it, of equals the earliest.
    """
    runs = table.sort_values("epoch", kind="stable").groupby(RUN[:-1], sort=False)
    last = runs.tail(1).set_index(RUN[:-1])
    best = table.loc[runs["rank1"].idxmax()].set_index(RUN[:-1])
    return last.assign(best_mAP=best["mAP"], best_rank1=best["rank1"]).reset_index()


def cell_title(cell: Cell) -> str:
    """``random, 0.5``; ``true labels``."""
    return "true labels" if cell.kind is None else f"{cell.kind}, {cell.ratio:g}"


def results(table: pd.DataFrame, cells: Sequence[Cell], methods: Sequence[str]) -> str:
    """The tables of results in Markdown, in %: mean and standard deviation over the seeds."""
    runs, noisy = last_and_best(table), [cell for cell in cells if cell.kind is not None]
    sections = [
        ("mAP / rank-1 on the test set after the last epoch", ["mAP", "rank1"], cells),
        ("mAP / rank-1 after the epoch that is best on the test set, which nobody knows who has none", BEST, cells),
        ("Of the wrong labels: put right / fitted by the last prediction", ["repaired", "fitted"], noisy),
    ]
    parts = [
        f"## {title}\n\n{grid(runs, columns, rows, methods)}" for title, columns, rows in sections if len(rows) > 0
    ]
    if noisy:
        epochs = ", ".join(map(str, sorted(set(table["epoch"]))))
        title = f"Share of the wrong labels that are fitted after epoch {epochs}, mean over the seeds"
        parts.append(f"## {title}\n\n{course(table, noisy, methods)}")
    if PLAIN in methods and len(methods) > 1:
        against = [method for method in methods if method != PLAIN]
        title = f"mAP after the last epoch minus that of {TITLES[PLAIN]}, of each seed"
        parts.append(f"## {title}\n\n{margins(runs, cells, against)}")
    return "\n".join(parts)


BEST = ["best_mAP", "best_rank1"]


def of_cell(runs: pd.DataFrame, cell: Cell, method: str) -> pd.DataFrame:
    """The lines of a cell and method, by seed."""
    kind = CLEAN if cell.kind is None else cell.kind
    chosen = (runs["kind"] == kind) & (runs["ratio"] == cell.ratio) & (runs["method"] == method)
    return runs[chosen].sort_values("seed").set_index("seed")


def grid(runs: pd.DataFrame, columns: Sequence[str], cells: Sequence[Cell], methods: Sequence[str]) -> str:
    """A line a cell, a column a method: ``61.2 ± 1.3 / 70.1 ± 2.0``."""

    def entry(cell: Cell, method: str) -> str:
        found = of_cell(runs, cell, method)
        return " / ".join(spread(100 * found[column].to_numpy()) for column in columns)

    return markdown([[cell_title(cell), *(entry(cell, method) for method in methods)] for cell in cells], methods)


def course(table: pd.DataFrame, cells: Sequence[Cell], methods: Sequence[str]) -> str:
    """A line a cell, a column a method: what is fitted after each epoch that was tested."""

    def entry(cell: Cell, method: str) -> str:
        means = of_cell(table, cell, method).groupby("epoch")["fitted"].mean()
        return " ".join(f"{100 * mean:.0f}" for mean in means)

    return markdown([[cell_title(cell), *(entry(cell, method) for method in methods)] for cell in cells], methods)


def margins(runs: pd.DataFrame, cells: Sequence[Cell], methods: Sequence[str]) -> str:
    """A line a cell, a column a method: by how much it is above the plain one, seed by seed."""

    def entry(cell: Cell, method: str) -> str:
        gains = 100 * (of_cell(runs, cell, method)["mAP"] - of_cell(runs, cell, PLAIN)["mAP"])
        return " ".join(f"{gain:+.1f}" for gain in gains)

    return markdown([[cell_title(cell), *(entry(cell, method) for method in methods)] for cell in cells], methods)


def spread(values: np.ndarray) -> str:
    """Mean and standard deviation (of a sample), the latter where there are several."""
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values.mean():.1f}"


def markdown(rows: Sequence[Sequence[str]], methods: Sequence[str]) -> str:
    """A table with a line for each of the rows."""
    lines = [["labels", *(TITLES[method] for method in methods)], ["---", *["---:"] * len(methods)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def summary(table: pd.DataFrame, cells: Sequence[Cell], methods: Sequence[str]) -> dict[str, dict[str, float]]:
    """Method -> figure of a cell, mean over the seeds, 0 .. 1: for ``dvc metrics``."""
    runs = last_and_best(table)
    return {
        method: {
            f"{cell.name}_{name}": round(float(of_cell(runs, cell, method)[column].mean()), 6)
            for cell in cells
            for name, column in (("last_mAP", "mAP"), ("best_on_test_mAP", "best_mAP"))
        }
        for method in methods
    }
