"""How well pseudo labels agree with true identities: a diagnosis, never an input of training."""

import numpy as np


def label_quality(pids: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """NMI, ARI and purity of the (N,) pseudo labels against the (N,) pids, outliers (label -1) left out.

    NMI, the mutual information over the mean of both entropies, and purity, the share of images with their cluster's
    most frequent pid, are in 0 .. 1; ARI, the share of pairs on which both agree, adjusted for chance, is at most 1.
    scikit-learn has the first two as well, but takes seconds to import in every round.
    """
    kept = labels >= 0
    table = contingency(pids[kept], labels[kept])
    by_pid, by_cluster, count = table.sum(1), table.sum(0), table.sum()
    return {
        "nmi": _normalised_mutual_information(table, by_pid, by_cluster, count),
        "ari": _adjusted_rand_index(table, by_pid, by_cluster, count),
        "purity": float(table.max(0).sum() / count),
    }


def contingency(pids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(P, C) int64: how many images each of the pids has in each of the clusters."""
    rows, row = np.unique(pids, return_inverse=True)
    columns, column = np.unique(labels, return_inverse=True)
    table = np.zeros((len(rows), len(columns)), np.int64)
    np.add.at(table, (row, column), 1)
    return table


def _normalised_mutual_information(
    table: np.ndarray, by_pid: np.ndarray, by_cluster: np.ndarray, count: np.int64
) -> float:
    if len(by_pid) == 1 and len(by_cluster) == 1:
        return 1.0
    joint = table / count
    chance = np.outer(by_pid, by_cluster) / count**2
    there = joint > 0
    mutual = float((joint[there] * np.log(joint[there] / chance[there])).sum())
    entropies = [float(-(share * np.log(share)).sum()) for share in (by_pid / count, by_cluster / count)]
    return max(mutual, 0.0) / (sum(entropies) / 2)


def _adjusted_rand_index(table: np.ndarray, by_pid: np.ndarray, by_cluster: np.ndarray, count: np.int64) -> float:
    together, of_pid, of_cluster = (int((n * (n - 1)).sum()) / 2 for n in (table, by_pid, by_cluster))
    pairs = int(count * (count - 1)) / 2
    if pairs == 0 or together == of_pid == of_cluster:
        return 1.0
    chance = of_pid * of_cluster / pairs
    return (together - chance) / ((of_pid + of_cluster) / 2 - chance)
