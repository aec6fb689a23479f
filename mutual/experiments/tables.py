"""The rows of a comparison as text: CSV, Markdown and LaTeX. All figures are percentages.

CSV has every column. The others, for people, have those in which a row has a figure: of a target without labelled test
images there is none.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from mutual.experiments.comparison import ACCURACY, FIGURES, PROTOCOLS, Row
from mutual.experiments.summary import task_title


def figures(rows: Sequence[Row]) -> list[str]:
    """Those of ``FIGURES`` that a row has, measured or published: the columns that are worth showing."""
    return [key for key in FIGURES if any((row[key], row.get(f"published_{key}")) != (None, None) for row in rows)]


def cells(row: Row, keys: Sequence[str], plus_minus: str) -> list[str]:
    """These figures: mean ± standard deviation (published); empty where there is none."""
    found = []
    for key in keys:
        spread, published = row[f"{key}_sd"], row.get(f"published_{key}")
        if row[key] is None:
            found.append("" if published is None else f"({published:.1f})")
            continue
        text = f"{row[key]:.1f}" + ("" if spread is None else f" {plus_minus} {spread:.1f}")
        found.append(text + ("" if published is None else f" ({published:.1f})"))
    return found


def caption(sources: Iterable[str]) -> str:
    """What the figures are."""
    return (
        "In %: mean ± sample standard deviation over n experiments with seeds of their own. Direct transfer and last:"
        " mean of the networks, without target labels. Best on test: the one network, over all rounds, chosen by the"
        f" target's test labels. In brackets: published, best on test ({', '.join(sources)}; same task, backbone and"
        " number of clusters)."
    )


def notes(rows: Sequence[Row], sources: Iterable[str]) -> str:
    """What the figures are, where there are any, and of which targets none was measured."""
    measured = {task_of(row) for row in rows if any(row[key] is not None for key in FIGURES)}
    without = dict.fromkeys(target for source, target in map(task_of, rows) if (source, target) not in measured)
    if not without:
        return caption(sources)
    if not figures(rows):
        return "There are no labelled test images, so that nothing is measured here."
    return f"{caption(sources)} There are no labelled test images of {', '.join(without)}: nothing is measured there."


def task_of(row: Row) -> tuple[str, str]:
    """The names of source and target."""
    return row["source"], row["target"]


def as_csv(rows: Sequence[Row]) -> str:
    """One line a row, every figure a column."""
    table: str = pd.DataFrame(rows).to_csv(index=False, float_format="%.2f")
    return table


def as_markdown(rows: Sequence[Row], sources: Iterable[str]) -> str:
    """One table a task."""
    titles = [f"{name} {title}" for name in PROTOCOLS.values() for title in ACCURACY.values()]
    named = dict(zip(FIGURES, titles, strict=True))
    lines = []
    for task in dict.fromkeys(map(task_of, rows)):
        of_task = [row for row in rows if task_of(row) == task]
        keys = figures(of_task)
        header = ["method", "n", *(named[key] for key in keys)]
        body = [[row["method"], str(row["n"]), *cells(row, keys, "±")] for row in of_task]
        table = [header, ["---", *["---:"] * (len(header) - 1)], *body]
        lines += [f"## {task_title(*task)}", "", *(f"| {' | '.join(line)} |" for line in table), ""]
    return "\n".join([*lines, notes(rows, sources), ""])


def as_latex(rows: Sequence[Row]) -> str:
    """One ``tabular`` with the rules of booktabs; the tasks one below the other."""
    keys = figures(rows)
    wide = {name: sum(key.startswith(f"{protocol}_") for key in keys) for protocol, name in PROTOCOLS.items()}
    titles = [rf"\multicolumn{{{count}}}{{c}}{{{name}}}" for name, count in wide.items() if count]
    columns = [ACCURACY[key.rpartition("_")[2]] for key in keys]
    lines = [rf"\begin{{tabular}}{{l{'r' * (1 + len(keys))}}}", r"\toprule"]
    lines += [rf" & & {' & '.join(titles)} \\"] if titles else []
    lines += [rf"{' & '.join(['method', 'n', *columns])} \\"]
    task = None
    for row in rows:
        if task != task_of(row):
            task = task_of(row)
            title = escaped(" to ".join(task))
            lines += [r"\midrule", rf"\multicolumn{{{2 + len(keys)}}}{{l}}{{{title}}} \\"]
        line = [escaped(row["method"]), str(row["n"]), *cells(row, keys, r"$\pm$")]
        lines += [rf"{' & '.join(line)} \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escaped(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return "".join(rf"\{character}" if character in "_%&#${}" else character for character in text)
