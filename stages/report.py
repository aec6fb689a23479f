"""All rounds -> metrics/summary.json, metrics/results.md and the tables behind the plots.

"last" is the mean of the peers' teachers after the last round to run: it needs no label of the target. "best on test"
is the authors' protocol: over all rounds of adaptation, the one teacher with the best mAP on the target's *test
labels*. They never mix.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mutual.base.errors import InputError, run
from mutual.base.params import FIRST_ROUND, is_round, read_params, read_rounds, round_number
from mutual.base.store import existing, read_json, write_json, write_text

ROUNDS = Path("metrics/rounds")
LOSSES = Path("metrics/losses")
METRICS = Path("metrics")
ACCURACY = ("mAP", "rank1", "rank5", "rank10")
RERANKED = ("rerank_mAP", "rerank_rank1")
QUALITY = ("clusters", "outliers", "nmi", "ari", "purity")


def main() -> None:
    """No arguments: reads the rounds that rounds.yaml names."""
    params = read_params()
    rounds = list(read_rounds())
    for folder, suffix in ((ROUNDS, "json"), (LOSSES, "csv")):
        forget_unlisted_rounds(folder, suffix, [FIRST_ROUND, *rounds])
    results = {name: read_json(ROUNDS / f"{name}.json") for name in [FIRST_ROUND, *rounds]}
    figures, curves = summary(results), round_table(results)
    losses = joined_losses([LOSSES / f"{name}.csv" for name in rounds])
    table = results_table(f"{params.source.name} to {params.target.name}", results)
    write_json(METRICS / "summary.json", figures)
    write_text(METRICS / "results.md", table)
    write_text(METRICS / "rounds.csv", curves)
    write_text(METRICS / "losses.csv", losses)
    print(table)


def forget_unlisted_rounds(folder: Path, suffix: str, names: list[str]) -> None:
    """Delete results of rounds that rounds.yaml names no more: DVC would take them for part of the report's inputs."""
    for path in sorted(folder.glob(f"r*.{suffix}")):
        if is_round(path.stem) and path.stem not in names:
            print(f"{path}: not a round of rounds.yaml: removed from the workspace")
            path.unlink()


def mean_of_peers(result: dict[str, Any], keys: Sequence[str] = ACCURACY) -> dict[str, float]:
    """The figures of one round that its peers have, each the mean over the peers, 0 .. 1."""
    peers = result["peers"].values()
    return {key: float(np.mean([peer[key] for peer in peers])) for key in keys if all(key in peer for peer in peers)}


def best_on_test(results: dict[str, Any]) -> tuple[str, str, dict[str, float]]:
    """Round, peer and accuracy of the adapted teacher with the highest test mAP; the earlier one of equals."""
    teachers = [
        (name, peer, found)
        for name, result in results.items()
        if name != FIRST_ROUND
        for peer, found in result["peers"].items()
    ]
    return max(teachers, key=lambda teacher: teacher[2]["mAP"])


def summary(results: dict[str, Any]) -> dict[str, float]:
    """The few flat figures that ``dvc metrics`` compares."""
    last = list(results)[-1]
    name, _, best = best_on_test(results)
    figures: dict[str, float] = {}
    for prefix, found in (
        ("direct", mean_of_peers(results[FIRST_ROUND])),
        ("last", mean_of_peers(results[last])),
        ("best_on_test", best),
    ):
        figures |= {f"{prefix}_{key}": round(found[key], 6) for key in ACCURACY}
    figures |= {"last_round": round_number(last), "best_on_test_round": round_number(name)}
    reranked = mean_of_peers(results[last], RERANKED)
    figures |= {f"last_{key}": round(value, 6) for key, value in (reranked | results[last]["pseudo_labels"]).items()}
    return figures


def results_table(task: str, results: dict[str, Any]) -> str:
    """Markdown: direct transfer, each round, last, best on test; all in percent but the number of clusters."""
    header = ["", *("mAP", "rank-1", "rank-5", "rank-10"), "clusters", "outliers", "NMI", "ARI", "purity"]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, result in results.items():
        title = "direct transfer" if name == FIRST_ROUND else f"round {round_number(name)}"
        rows.append([title, *percents(mean_of_peers(result)), *label_cells(result["pseudo_labels"])])
    last = list(results)[-1]
    name, peer, best = best_on_test(results)
    rows.append(
        [
            f"**last (round {round_number(last)})**",
            *(f"**{cell}**" for cell in percents(mean_of_peers(results[last]))),
            *[""] * 5,
        ]
    )
    if reranked := mean_of_peers(results[last], RERANKED):
        cells = [f"{100 * value:.1f}" for value in reranked.values()]
        rows.append([f"last (round {round_number(last)}), re-ranked", *cells, *[""] * 7])
    rows.append([f"best on test (round {round_number(name)}, peer {peer})", *percents(best), *[""] * 5])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(
        [
            f"# {task}",
            "",
            *lines,
            "",
            f"Rounds and last: mean of the teachers of {len(results[last]['peers'])} peer(s). Best on test: the one"
            " teacher, over all rounds, chosen by the target's test labels. NMI, ARI and purity compare each round's"
            " pseudo labels with the true identities, for diagnosis only.",
            "",
        ]
    )


def percents(found: dict[str, float]) -> list[str]:
    """The accuracies as percentages with one decimal."""
    return [f"{100 * found[key]:.1f}" for key in ACCURACY]


def label_cells(labels: dict[str, float]) -> list[str]:
    """Number of clusters and percentages; empty where there are no pseudo labels."""
    if not labels:
        return [""] * len(QUALITY)
    return [f"{labels['clusters']:.0f}", *(f"{100 * labels[key]:.1f}" for key in QUALITY[1:])]


def round_table(results: dict[str, Any]) -> str:
    """CSV for the plots: one line a round, shares 0 .. 1; pseudo labels are empty in round 0."""
    rows = [
        {"round": round_number(name), **mean_of_peers(result), **result["pseudo_labels"]}
        for name, result in results.items()
    ]
    table: str = pd.DataFrame(rows, columns=["round", *ACCURACY, *QUALITY]).to_csv(index=False, float_format="%.6g")
    return table


def joined_losses(files: list[Path]) -> str:
    """The losses of all rounds under one header."""
    tables = []
    for file in files:
        try:
            tables.append(pd.read_csv(existing(file)))
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: expected a table of losses: {' '.join(str(error).split())}") from None
    joined: str = pd.concat(tables).to_csv(index=False, float_format="%.6f")
    return joined


if __name__ == "__main__":
    run(main)
