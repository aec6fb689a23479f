"""What the rounds came to: the few figures that are compared, and the table of results.

Accuracies are shares, 0 .. 1. "last" is the mean of the peers' teachers after the last round to run: it needs no label
of the target. "chosen" is the same of the round that figures without labels choose (mutual.experiments.choice). "best
on test" is the authors' protocol: over all rounds of adaptation, the one teacher with the best mAP on the target's
*test labels*. They never mix. Where there are no labelled test images nothing is measured, and accuracies are left out.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mutual.base.params import FIRST_ROUND, NONE, round_number
from mutual.experiments.choice import LABEL_FREE, LabelFree, chooser, chosen
from mutual.experiments.results import ACCURACY, Result

RERANKED = ("rerank_mAP", "rerank_rank1")
SIZES = {"clusters": "clusters", "outliers": "outliers"}
QUALITY = {"nmi": "NMI", "ari": "ARI", "purity": "purity"}
# with outliers as clusters of their own: the same as above where there are none, and then not shown
SINGLETONS = {"nmi_singletons": "NMI, outliers alone", "ari_singletons": "ARI, outliers alone"}

DECIMALS = 6  # of a share in summary.json


def task_title(source: str, target: str) -> str:
    """What was adapted to what, by the names of the data sets."""
    return f"{target} without a source" if source == NONE else f"{source} to {target}"


def is_measured(results: Mapping[str, Result]) -> bool:
    """Whether there were labelled test images."""
    return all(peer for result in results.values() for peer in result["peers"].values())


def mean_of_peers(result: Result, keys: Sequence[str] = ACCURACY) -> dict[str, float]:
    """The figures of one round that its peers have, each the mean over the peers, 0 .. 1."""
    peers = result["peers"].values()
    return {key: float(np.mean([peer[key] for peer in peers])) for key in keys if all(key in peer for peer in peers)}


def best_on_test(results: Mapping[str, Result]) -> tuple[str, str, dict[str, float]]:
    """Round, peer and accuracy of the adapted teacher with the highest test mAP; the earlier one of equals."""
    teachers = [
        (name, peer, figures)
        for name, result in results.items()
        if name != FIRST_ROUND
        for peer, figures in result["peers"].items()
    ]
    return max(teachers, key=lambda teacher: teacher[2]["mAP"])


def label_figures(results: Iterable[Result]) -> dict[str, str]:
    """The figures of pseudo labels worth showing, and their titles."""
    found = [result["pseudo_labels"] for result in results]
    known = QUALITY if any("nmi" in labels for labels in found) else {}
    with_outliers = any(labels.get("outliers", 0) > 0 for labels in found)
    return SIZES | known | (SINGLETONS if known and with_outliers else {})


def summary(results: Mapping[str, Result], label_free: LabelFree, believed: Mapping[str, float]) -> dict[str, float]:
    """The few flat figures that ``dvc metrics`` compares; the first are those that narrow tables still show.

    ``believed``: how good the labels are that the networks of the last round would give to its training images.
    """
    last = list(results)[-1]
    choice = chosen(label_free)
    figures: dict[str, float] = {}
    rounds = {"last_round": round_number(last)} | ({} if choice is None else {"chosen_round": round_number(choice)})
    if is_measured(results):
        name, _, best = best_on_test(results)
        protocols = {"last": mean_of_peers(results[last]), "direct": mean_of_peers(results[FIRST_ROUND])}
        protocols |= {} if choice is None else {"chosen": mean_of_peers(results[choice])}
        for prefix, accuracy in (protocols | {"best_on_test": best}).items():
            figures |= {f"{prefix}_{key}": round(accuracy[key], DECIMALS) for key in ACCURACY}
        rounds["best_on_test_round"] = round_number(name)
    shown = {key: results[last]["pseudo_labels"][key] for key in label_figures([results[last]])}
    shown |= {f"believed_{key}": value for key, value in believed.items()}
    others = mean_of_peers(results[last], RERANKED) | shown | dict(label_free.get(last, {}))
    return figures | rounds | {f"last_{key}": round(value, DECIMALS) for key, value in others.items()}


def results_table(
    task: str, results: Mapping[str, Result], label_free: LabelFree, believed: Mapping[str, float]
) -> str:
    """Markdown: direct transfer, each round, last, chosen, best on test; all in percent but the number of clusters.

    Then what needs no label of the target, a line a round.
    """
    measured, labels = is_measured(results), label_figures(results.values())
    empty = [""] * len(labels)
    accuracies = ["mAP", "rank-1", "rank-5", "rank-10"] if measured else []
    rows = [["", *accuracies, *labels.values()]]
    rows.append(["---", *["---:"] * (len(rows[0]) - 1)])
    for name, result in results.items():
        rows.append([title_of(name), *percents(mean_of_peers(result)), *label_cells(result["pseudo_labels"], labels)])
    if measured:
        rows += [[*row, *empty] for row in choices(results, chosen(label_free))]
    return "\n".join(
        [f"# {task}", "", *lines(rows), "", notes(results, labels, believed), "", *label_free_table(label_free), ""]
    )


def title_of(name: str) -> str:
    """Of a round in tables."""
    return "direct transfer" if name == FIRST_ROUND else f"round {round_number(name)}"


def choices(results: Mapping[str, Result], choice: str | None) -> list[list[str]]:
    """The rows last, re-ranked, chosen, and best on test: title and accuracies."""
    last = list(results)[-1]
    title = f"last (round {round_number(last)})"
    rows = [[f"**{title}**", *(f"**{cell}**" for cell in percents(mean_of_peers(results[last])))]]
    if reranked := mean_of_peers(results[last], RERANKED):
        rows.append([f"{title}, re-ranked", *map(percent, reranked.values()), "", ""])
    if choice is not None:
        rows.append([f"chosen without labels ({title_of(choice)})", *percents(mean_of_peers(results[choice]))])
    name, peer, best = best_on_test(results)
    return [*rows, [f"best on test (round {round_number(name)}, peer {peer})", *percents(best)]]


def notes(results: Mapping[str, Result], labels: Mapping[str, str], believed: Mapping[str, float]) -> str:
    """What the figures are."""
    peers = len(list(results.values())[-1]["peers"])
    quality = "NMI, ARI and purity compare each round's pseudo labels with the true identities, for diagnosis only"
    alone = "; outliers are left out, or clusters of their own" if SINGLETONS.keys() <= labels.keys() else ""
    given = list(results.values())[-1]["pseudo_labels"]
    if "nmi" in given and believed:
        pairs = ", ".join(f"{QUALITY[key]} {100 * believed[key]:.1f} ({100 * given[key]:.1f})" for key in believed)
        alone += f". What the networks believe of the images of the last round (and were told): {pairs}"
    if not is_measured(results):
        measured = "There are no labelled test images, so that nothing is measured here."
        return measured + (f" {quality}{alone}." if "nmi" in labels else "")
    return (
        f"Rounds, last and chosen: mean of the teachers of {peers} peer(s). Best on test: the one teacher, over all"
        " rounds, chosen by the target's test labels." + (f" {quality}{alone}." if "nmi" in labels else "")
    )


def label_free_table(label_free: LabelFree) -> list[str]:
    """Lines of Markdown: what a round's features and their clusters tell without a label."""
    keys = [key for key in LABEL_FREE if any(key in figures for figures in label_free.values())]
    if not keys:
        return []
    rows = [["without labels", *(LABEL_FREE[key] for key in keys)], ["---", *["---:"] * len(keys)]]
    for name, figures in label_free.items():
        rows.append([title_of(name), *(f"{figures[key]:.3f}" if key in figures else "" for key in keys)])
    choice = chosen(label_free)
    told = "" if choice is None else f" Highest {LABEL_FREE[chooser(label_free)]}: {title_of(choice)}."
    return [
        *lines(rows),
        "",
        f"Of the features after each round and the clusters made of them: see docs/choice.md.{told}",
    ]


def lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in rows]


def percents(figures: Mapping[str, float]) -> list[str]:
    """The accuracies as percentages with one decimal; nothing where there are none."""
    return [percent(figures[key]) for key in ACCURACY if key in figures]


def percent(share: float) -> str:
    """With one decimal, of the share as summary.json has it, so that whoever reads that prints the same."""
    return f"{100 * round(share, DECIMALS):.1f}"


def label_cells(labels: Mapping[str, float], keys: Iterable[str]) -> list[str]:
    """Number of clusters and percentages; empty where there are no pseudo labels."""
    if not labels:
        return ["" for _ in keys]
    return [f"{labels[key]:.0f}" if key == "clusters" else percent(labels[key]) for key in keys]
