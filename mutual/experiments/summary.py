"""What the rounds came to: the few figures that are compared, and the table of results.

All figures are shares, 0 .. 1, but for the number of clusters. "last" is the mean of the peers' teachers after the last
round to run: it needs no label of the target. "best on test" is the authors' protocol: over all rounds of adaptation,
the one teacher with the best mAP on the target's *test labels*. They never mix.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mutual.base.params import FIRST_ROUND, round_number

ACCURACY = ("mAP", "rank1", "rank5", "rank10")
RERANKED = ("rerank_mAP", "rerank_rank1")
QUALITY = {"clusters": "clusters", "outliers": "outliers", "nmi": "NMI", "ari": "ARI", "purity": "purity"}
# with outliers as clusters of their own: the same as above where there are none, and then not shown
SINGLETONS = {"nmi_singletons": "NMI, outliers alone", "ari_singletons": "ARI, outliers alone"}

Result = Mapping[str, Any]  # see mutual.experiments.results

DECIMALS = 6  # of a share in summary.json


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
    with_outliers = any(result["pseudo_labels"].get("outliers", 0) > 0 for result in results)
    return QUALITY | (SINGLETONS if with_outliers else {})


def summary(results: Mapping[str, Result]) -> dict[str, float]:
    """The few flat figures that ``dvc metrics`` compares; the first are those that narrow tables still show."""
    last = list(results)[-1]
    name, _, best = best_on_test(results)
    figures: dict[str, float] = {}
    for prefix, accuracy in (
        ("last", mean_of_peers(results[last])),
        ("direct", mean_of_peers(results[FIRST_ROUND])),
        ("best_on_test", best),
    ):
        figures |= {f"{prefix}_{key}": round(accuracy[key], DECIMALS) for key in ACCURACY}
    figures |= {"last_round": round_number(last), "best_on_test_round": round_number(name)}
    shown = {key: results[last]["pseudo_labels"][key] for key in label_figures([results[last]])}
    others = mean_of_peers(results[last], RERANKED) | shown
    return figures | {f"last_{key}": round(value, DECIMALS) for key, value in others.items()}


def results_table(task: str, results: Mapping[str, Result]) -> str:
    """Markdown: direct transfer, each round, last, best on test; all in percent but the number of clusters."""
    labels = label_figures(results.values())
    empty = [""] * len(labels)
    header = ["", "mAP", "rank-1", "rank-5", "rank-10", *labels.values()]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, result in results.items():
        title = "direct transfer" if name == FIRST_ROUND else f"round {round_number(name)}"
        rows.append([title, *percents(mean_of_peers(result)), *label_cells(result["pseudo_labels"], labels)])
    last = list(results)[-1]
    title = f"last (round {round_number(last)})"
    rows.append([f"**{title}**", *(f"**{cell}**" for cell in percents(mean_of_peers(results[last]))), *empty])
    if reranked := mean_of_peers(results[last], RERANKED):
        rows.append([f"{title}, re-ranked", *map(percent, reranked.values()), "", "", *empty])
    name, peer, best = best_on_test(results)
    rows.append([f"best on test (round {round_number(name)}, peer {peer})", *percents(best), *empty])
    notes = (
        f"Rounds and last: mean of the teachers of {len(results[last]['peers'])} peer(s). Best on test: the one"
        " teacher, over all rounds, chosen by the target's test labels. NMI, ARI and purity compare each round's"
        " pseudo labels with the true identities, for diagnosis only"
        + ("; outliers are left out, or clusters of their own." if SINGLETONS.keys() <= labels.keys() else ".")
    )
    return "\n".join([f"# {task}", "", *(f"| {' | '.join(row)} |" for row in rows), "", notes, ""])


def percents(figures: Mapping[str, float]) -> list[str]:
    """The accuracies as percentages with one decimal."""
    return [percent(figures[key]) for key in ACCURACY]


def percent(share: float) -> str:
    """With one decimal, of the share as summary.json has it, so that whoever reads that prints the same."""
    return f"{100 * round(share, DECIMALS):.1f}"


def label_cells(labels: Mapping[str, float], keys: Iterable[str]) -> list[str]:
    """Number of clusters and percentages; empty where there are no pseudo labels."""
    if not labels:
        return ["" for _ in keys]
    return [f"{labels[key]:.0f}" if key == "clusters" else percent(labels[key]) for key in keys]
