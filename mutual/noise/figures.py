"""What a run came to: how well people are found again, and which labels were believed."""

import numpy as np

from mutual.evaluation.accuracy import accuracy
from mutual.evaluation.ranking import rank_distances
from mutual.images.index import Index
from mutual.noise.kept import Run


def beliefs(predicted: np.ndarray, given: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """What a network makes of its training images: shares, NaN where there are none of the kind.

    Of (N,) classes that it predicts, was given, and are true: of the images whose given label is wrong, ``repaired`` is
    the share for which it says the true one and ``fitted`` that for which it says the given one; ``kept`` is the share
    of the other images for which it says the given, true one.
    """
    wrong = given != true
    shares = {
        "repaired": (predicted == true)[wrong],
        "fitted": (predicted == given)[wrong],
        "kept": (predicted == given)[~wrong],
    }
    return {name: float(of.mean()) if len(of) else float("nan") for name, of in shares.items()}


def run_figures(run: Run, given: np.ndarray, true: np.ndarray, query: Index, gallery: Index) -> list[dict[str, float]]:
    """The figures of a run after each epoch that was tested."""
    found = []
    for features, others, predicted in zip(run.query, run.gallery, run.predicted, strict=True):
        distances = 2 - 2 * np.asarray(features @ others.T)
        accurate = accuracy(rank_distances(distances, query.pid, gallery.pid, query.camid, gallery.camid))
        found.append({name: accurate[name] for name in ("mAP", "rank1")} | beliefs(predicted, given, true))
    return found
