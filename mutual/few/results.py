"""What all runs came to: a table of figures, and what it says over the seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mutual.base.columns import integers, numbers, read_columns
from mutual.base.errors import InputError
from mutual.few.phases import ALL, LABELLED, Phase

RUN = ["run", "seed", "network"]
TESTED = ["validation", "test"]  # the task's measure on each, 0 .. 1
LABELS = ["used", "right", "weight_right", "weight_wrong"]  # what a phase learned from; NaN where it was true labels
FIGURES = [*TESTED, *LABELS]
Published = Mapping[str, float]  # chain -> %, as its authors give it


class Table(NamedTuple):
    """What the tables are made of: a figure in ``runs`` is the mean over a run's networks."""

    runs: pd.DataFrame  # indexed by run and seed
    chains: Sequence[Sequence[Phase]]
    measure: str  # accuracy, mIoU


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Figures as CSV, a line for each seed and network of a run."""
    return pd.DataFrame(rows, columns=[*RUN, *FIGURES]).to_csv(index=False, float_format="%.6f", lineterminator="\n")


def read_rows(path: Path) -> pd.DataFrame:
    """What :func:`rows_text` wrote. Raises :class:`InputError` for another table, or none."""
    texts = dict(zip([*RUN, *FIGURES], read_columns(path, [*RUN, *FIGURES]), strict=True))
    table = pd.DataFrame({"run": texts["run"]})
    for name in ("seed", "network"):
        table[name] = integers(path, name, texts[name], least=0)
    for name in FIGURES:
        table[name] = numbers(path, name, texts[name])
    if not len(table):
        raise InputError(f"{path}: expected a run at least")
    return table


def over_networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Indexed by run and seed, the mean over the networks."""
    return rows.groupby(["run", "seed"], sort=False)[FIGURES].mean()


def last_and_best(table: Table, chain: Sequence[Phase]) -> pd.DataFrame:
    """By seed: ``last``, the test figure after the last phase, and ``best``, after the one that validates best.

    Of equals the earliest; where nothing was kept for validation, ``best`` is NaN.
    """
    found = []
    for seed, of_seed in table.runs.loc[[phase.name for phase in chain]].groupby("seed"):
        test, validation = of_seed["test"].to_numpy(), of_seed["validation"].to_numpy()
        best = test[int(np.argmax(validation))] if not np.isnan(validation).any() else np.nan
        found.append({"seed": seed, "last": test[-1], "best": best})
    return pd.DataFrame(found).set_index("seed")


def results(table: Table, published: Published) -> str:
    """All tables in Markdown, in %: mean and sample standard deviation over the seeds."""
    return "\n".join(
        [
            f"## {table.measure} on the test set\n\n{headline(table, published)}",
            f"## {table.measure} on the test set by phase, mean over the seeds\n\n{course(table)}",
            "## Pseudo labels by phase: % used / % of these that is right / mean weight of right and of wrong ones"
            f"\n\n{labels_by_phase(table)}",
        ]
    )


def headline(table: Table, published: Published) -> str:
    """A line for each chain: last, best on validation, what it gains on labels only, its authors' figure.

    Raises :class:`InputError` for the authors' figure of a chain that there is none of.
    """
    names = [LABELLED, *(chain[0].chain for chain in table.chains), ALL]
    if unknown := sorted(set(published) - set(names)):
        raise InputError(f"published: expected figures of {', '.join(names)}, got {', '.join(unknown)}")
    authors = ["authors"] if published else []
    header = ["", "last phase", "phase that validates best", "last minus labels only, by seed", *authors]
    few, all_ = (table.runs.loc[run]["test"] for run in (LABELLED, ALL))
    rows = [[titled(LABELLED), spread(few), "", ""]]
    for chain in table.chains:
        found = last_and_best(table, chain)
        gains = " ".join(f"{100 * gain:+.1f}" for gain in found["last"] - few)
        rows.append([titled(chain[0].chain), spread(found["last"]), spread(found["best"]), gains])
    rows.append([titled(ALL), spread(all_), "", " ".join(f"{100 * gain:+.1f}" for gain in all_ - few)])
    if published:
        for name, row in zip(names, rows, strict=True):
            row.append(f"{published[name]:.2f}" if name in published else "")
    return markdown(header, rows)


def course(table: Table) -> str:
    """A line for each chain, a column for each phase."""
    longest = max(map(len, table.chains))
    few = f"{100 * table.runs.loc[LABELLED]['test'].mean():.1f}"
    rows = []
    for chain in table.chains:
        means = [f"{100 * table.runs.loc[phase.name]['test'].mean():.1f}" for phase in chain]
        rows.append([titled(chain[0].chain), few, *means, *[""] * (longest - len(means))])
    return markdown(["", "labels only", *(f"phase {number + 1}" for number in range(longest))], rows)


def labels_by_phase(table: Table) -> str:
    """A line for each chain: ``20 / 95.1 / 0.61 0.15`` for each phase."""
    longest = max(map(len, table.chains))
    rows = []
    for chain in table.chains:
        means = [table.runs.loc[phase.name].mean() for phase in chain]
        cells = [
            f"{told(100 * of['used'], 0)} / {told(100 * of['right'], 1)} / "
            f"{told(of['weight_right'], 2)} {told(of['weight_wrong'], 2)}"
            for of in means
        ]
        rows.append([titled(chain[0].chain), *cells, *[""] * (longest - len(cells))])
    return markdown(["", *(f"phase {number + 1}" for number in range(longest))], rows)


def told(value: float, digits: int) -> str:
    """A dash where there was nothing to measure: no true labels of what was pseudo-labelled, or no wrong one."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


TITLES = {
    LABELLED: "labels only",
    ALL: "all labels",
    "once": "pseudo labels once",
    "curriculum": "curriculum, weights 1",
    "dmt": "DMT",
    "dst_cbc": "DST-CBC",
}


def titled(name: str) -> str:
    """What tables call a chain; one of the user's by its name."""
    return TITLES.get(name, name)


def spread(values: pd.Series) -> str:
    """Mean and standard deviation of figures 0 .. 1 as %, the latter of several; nothing where one is NaN."""
    of = 100 * values.to_numpy()
    if np.isnan(of).any():
        return ""
    return f"{of.mean():.1f} ± {of.std(ddof=1):.1f}" if len(of) > 1 else f"{of.mean():.1f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def summary(table: Table) -> dict[str, dict[str, float]]:
    """Chain -> its figures, mean over the seeds, 0 .. 1: for ``dvc metrics``."""
    name = table.measure
    found = {run: {f"test_{name}": table.runs.loc[run]["test"].mean()} for run in (LABELLED, ALL)}
    for chain in table.chains:
        of = last_and_best(table, chain).mean()
        best = {} if np.isnan(of["best"]) else {f"best_on_validation_{name}": of["best"]}
        found[chain[0].chain] = {f"last_{name}": of["last"], **best}
    return {run: {key: round(float(value), 6) for key, value in of.items()} for run, of in found.items()}
