"""How pseudo labels change from round to round."""

from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array


def matched(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """For each of the clusters of ``after`` the one of ``before`` that it goes on as; -1 for none: (C,) int64.

    Both are (N,) labels of the same images, -1 for outliers. Clusters are matched one to one so that as many images as
    possible stay in theirs (the assignment problem; Kuhn, 1955).
    """
    both = (before >= 0) & (after >= 0)
    shape = int(before.max(initial=-1)) + 1, int(after.max(initial=-1)) + 1
    shared = coo_array((np.ones(both.sum()), (before[both], after[both])), shape).toarray()
    found = np.full(shape[1], -1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    overlap = shared[rows, columns] > 0
    found[columns[overlap]] = rows[overlap]
    return found


def changed(before: np.ndarray, after: np.ndarray) -> int:
    """How many of N images are in another cluster than before, clusters matched; outliers stay where both say so."""
    stays = np.append(matched(before, after), -1)[after]  # the last: outliers, whose label is -1
    kept = np.where(after < 0, before < 0, (stays == before) & (before >= 0))
    return int((~kept).sum())


def lineages(labels: list[np.ndarray]) -> list[np.ndarray]:
    """Labels of several rounds under names that stay: a cluster that goes on as another keeps its number.

    A cluster that goes on as none, or comes from none, gets a number that none had before; outliers are -1.
    """
    names, total = [labels[0]], int(labels[0].max(initial=-1)) + 1
    for before, after in pairwise(labels):
        of_before = np.full(int(before.max(initial=-1)) + 1, -1)
        of_before[before[before >= 0]] = names[-1][before >= 0]
        came = matched(before, after)
        own = np.where(came >= 0, np.append(of_before, -1)[came], -1)
        own[own < 0] = total + np.arange((own < 0).sum())
        total = max(total, int(own.max(initial=-1)) + 1)
        names.append(np.append(own, -1)[after])
    return names
