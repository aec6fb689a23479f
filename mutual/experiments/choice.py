"""Which round, without a label of the target: by figures that need none.

A round's figures are those of its teachers' features and of the clusters made of these: the round that starts from it
has them, or, of the last round, what is kept of that. Round 0, no adaptation, is among the choices.
"""

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from mutual.base.params import round_number
from mutual.experiments.results import Result

# the first that is known chooses: a single network has no other that it could agree with; see docs/choice.md for what
# each figure would have chosen
CHOOSERS = ("agreement", "consistency")
# key -> title
LABEL_FREE = {
    "silhouette": "silhouette",
    "consistency": "consistency",
    "agreement": "agreement of peers",
    "stability": "stability",
    "camera_nmi": "camera NMI",
}

LOWER = {"camera_nmi"}  # the lower, the better; of the others the higher
# figures that warn where they fall three times in succession -> what it means
FALLING = {
    "stability": "the pseudo labels agreed less and less with those before",
    "agreement": "the peers agreed less and less with each other",
}

LabelFree = Mapping[str, Mapping[str, float]]  # round -> figures


def label_free(results: Mapping[str, Result], starts: Mapping[str, str], of_last: Mapping[str, float]) -> LabelFree:
    """The figures of each round that has some, without the agreement of peers that are still equal.

    ``starts``: round -> the one it starts from; ``of_last``: the figures of the last.
    """
    found: dict[str, Mapping[str, float]] = {}
    for name, start in starts.items():
        found.setdefault(start, results[name].get("label_free", {}))
    found[list(starts)[-1]] = of_last
    # peers that start as the same weights agree in everything, which says nothing of them
    told = {
        name: {key: value for key, value in figures.items() if (key, value) != ("agreement", 1)}
        for name, figures in found.items()
    }
    return {name: told[name] for name in results if told.get(name)}


def chooser(figures: LabelFree) -> str:
    """The key of the figure that chooses: the first of :data:`CHOOSERS` that any round has, else the last of them."""
    return next((key for key in CHOOSERS if any(key in each for each in figures.values())), CHOOSERS[-1])


def chosen(figures: LabelFree, key: str | None = None) -> str | None:
    """The round in which the figure, that of :func:`chooser` for None, is best, the earlier one of equals.

    None where no round has it.
    """
    key = key or chooser(figures)
    known, sign = [name for name in figures if key in figures[name]], -1 if key in LOWER else 1
    return max(known, key=lambda name: sign * figures[name][key], default=None)


def alarms_over_rounds(figures: LabelFree) -> list[str]:
    """A line for each figure of :data:`FALLING` that fell three times in succession, of the first such rounds."""
    found = []
    for key, told in FALLING.items():
        known = [name for name in figures if key in figures[name]]
        for names in zip(known, known[1:], known[2:], known[3:], strict=False):
            values = [figures[name][key] for name in names]
            if all(after < before for before, after in pairwise(values)):
                course = ", ".join(f"{value:.2f}" for value in values)
                rounds = f"rounds {round_number(names[0])} to {round_number(names[-1])}"
                found.append(f"after {rounds} {told} ({course}): adaptation may be going too far")
                break
    return found


# --- what a choice costs ---------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """One experiment: of each round, 0 and the last among them, the mean mAP of its peers, 0 .. 1, and the figures."""

    mean_ap: Mapping[str, float]
    figures: LabelFree


def costs(run: Run) -> dict[str, float]:
    """The mAP, 0 .. 1, that each way to choose a round loses against the best round of the run: title -> loss.

    Only the mean of a round's peers counts, so that the best round is no choice of a peer.
    """
    best, rounds = max(run.mean_ap.values()), list(run.mean_ap)
    choices = {"the last round": rounds[-1], "no adaptation": rounds[0]}
    choices |= {title: name for key, title in LABEL_FREE.items() if (name := chosen(run.figures, key)) is not None}
    return {title: best - run.mean_ap[name] for title, name in choices.items()}


def cost_table(runs: Sequence[Run]) -> str:
    """Markdown: a line a way to choose, by the mean loss over those runs in which it can choose."""
    found = [costs(run) for run in runs]
    rows = []
    for title in dict.fromkeys(title for each in found for title in each):
        losses = [100 * each[title] for each in found if title in each]
        hits = sum(loss == 0 for loss in losses)
        rows.append((statistics.mean(losses), [title, str(len(losses)), max(losses), hits]))
    header = "| choice | runs | mAP lost, mean | worst | runs in which it is the best round |"
    lines = [
        f"| {title} | {count} | {mean:.1f} | {worst:.1f} | {hits} |"
        for mean, (title, count, worst, hits) in sorted(rows, key=lambda row: row[0])
    ]
    return "\n".join([header, "| --- | ---: | ---: | ---: | ---: |", *lines, ""])
