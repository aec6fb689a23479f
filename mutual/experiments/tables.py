"""The rows of a comparison as text: CSV, Markdown and LaTeX. All figures are percentages."""

from collections.abc import Iterable, Sequence

import pandas as pd

from mutual.experiments.comparison import ACCURACY, FIGURES, PROTOCOLS, Row
from mutual.experiments.summary import task_title


def cells(row: Row, plus_minus: str) -> list[str]:
    """The figures: mean ± standard deviation (published); empty where there is none."""
    found = []
    for key in FIGURES:
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


def as_csv(rows: Sequence[Row]) -> str:
    """One line a row, every figure a column."""
    table: str = pd.DataFrame(rows).to_csv(index=False, float_format="%.2f")
    return table


def as_markdown(rows: Sequence[Row], sources: Iterable[str]) -> str:
    """One table a task."""
    header = ["method", "n", *(f"{name} {title}" for name in PROTOCOLS.values() for title in ACCURACY.values())]
    lines = []
    for source, target in dict.fromkeys((row["source"], row["target"]) for row in rows):
        of_task = [row for row in rows if (row["source"], row["target"]) == (source, target)]
        body = [[row["method"], str(row["n"]), *cells(row, "±")] for row in of_task]
        table = [header, ["---", *["---:"] * (len(header) - 1)], *body]
        lines += [f"## {task_title(source, target)}", "", *(f"| {' | '.join(line)} |" for line in table), ""]
    return "\n".join([*lines, caption(sources), ""])


def as_latex(rows: Sequence[Row]) -> str:
    """One ``tabular`` with the rules of booktabs; the tasks one below the other."""
    titles = " & ".join(rf"\multicolumn{{{len(ACCURACY)}}}{{c}}{{{name}}}" for name in PROTOCOLS.values())
    columns = " & ".join([*ACCURACY.values()] * len(PROTOCOLS))
    lines = [rf"\begin{{tabular}}{{l{'r' * (1 + len(FIGURES))}}}", r"\toprule", rf" & & {titles} \\"]
    lines += [rf"method & n & {columns} \\"]
    task = None
    for row in rows:
        if task != (row["source"], row["target"]):
            task = (row["source"], row["target"])
            title = escaped(" to ".join(task))
            lines += [r"\midrule", rf"\multicolumn{{{2 + len(FIGURES)}}}{{l}}{{{title}}} \\"]
        figures = " & ".join(cells(row, r"$\pm$"))
        lines += [rf"{escaped(row['method'])} & {row['n']} & {figures} \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escaped(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return "".join(rf"\{character}" if character in "_%&#${}" else character for character in text)
