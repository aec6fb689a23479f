"""The figures at the top of the page: each protocol by itself, against direct transfer."""

from collections.abc import Mapping
from dataclasses import dataclass

from mutual.base.params import FIRST_ROUND, round_number
from mutual.experiments.choice import LABEL_FREE, LabelFree, chooser, chosen
from mutual.experiments.results import ACCURACY, Result
from mutual.experiments.summary import best_on_test, mean_of_peers

TITLES = {"mAP": "mAP", "rank1": "rank-1", "rank5": "rank-5", "rank10": "rank-10"}


@dataclass(frozen=True)
class Protocol:
    """How one of all networks was chosen, and what it reaches: figures that are there, shares 0 .. 1."""

    title: str
    note: str
    figures: Mapping[str, float]
    by_test: bool = False  # whether labels of the test set chose it


def protocols(results: Mapping[str, Result], label_free: LabelFree) -> list[Protocol]:
    """Direct transfer, last, chosen, best on test, in this order; those without figures are left out.

    ``results`` are those of r00 and of the rounds, in their order, ``label_free`` what needs no label.
    """
    last = list(results)[-1]
    found = [
        Protocol("Direct transfer", "before any adaptation, mean of the peers", mean_of_peers(results[FIRST_ROUND])),
        Protocol("Last round", f"round {round_number(last)}, mean of the peers", mean_of_peers(results[last])),
    ]
    if (choice := chosen(label_free)) is not None:
        note = f"round {round_number(choice)}, highest {LABEL_FREE[chooser(label_free)]}, mean of the peers"
        found.append(Protocol("Chosen without labels", note, mean_of_peers(results[choice])))
    if all(found[0].figures.get(key) is not None for key in ACCURACY):
        name, peer, best = best_on_test(results)
        note = f"the authors' protocol: round {round_number(name)}, peer {peer}, chosen by the target's test labels"
        found.append(Protocol("Best on test", note, {key: best[key] for key in ACCURACY}, by_test=True))
    return [protocol for protocol in found if protocol.figures]
