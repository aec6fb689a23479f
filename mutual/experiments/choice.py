"""Which round, without a label of the target: by figures that need none.

A round's figures are those of its teachers' features and of the clusters made of these: the round that starts from it
has them, or, of the last round, what is kept of that. Round 0, no adaptation, is among the choices.
"""

from collections.abc import Mapping

from mutual.experiments.results import Result

CHOSEN_BY = "silhouette"  # see docs/choice.md for what each figure would have chosen
# key -> title
LABEL_FREE = {
    "silhouette": "silhouette",
    "consistency": "consistency",
    "agreement": "agreement of peers",
    "stability": "stability",
    "camera_nmi": "camera NMI",
}

LabelFree = Mapping[str, Mapping[str, float]]  # round -> figures


def label_free(results: Mapping[str, Result], starts: Mapping[str, str], of_last: Mapping[str, float]) -> LabelFree:
    """The figures of each round that has some.

    ``starts``: round -> the one it starts from; ``of_last``: the figures of the last.
    """
    found: dict[str, Mapping[str, float]] = {}
    for name, start in starts.items():
        found.setdefault(start, results[name].get("label_free", {}))
    found[list(starts)[-1]] = of_last
    return {name: found[name] for name in results if found.get(name)}


def chosen(figures: LabelFree) -> str | None:
    """The round with the highest silhouette, the earlier one of equals; None where none has one."""
    known = [name for name in figures if CHOSEN_BY in figures[name]]
    return max(known, key=lambda name: figures[name][CHOSEN_BY], default=None)
