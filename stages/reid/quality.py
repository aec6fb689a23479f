"""How well pseudo labels agree with true identities: a diagnosis, never an input of training."""

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix


def label_quality(pids: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """NMI, ARI and purity of the (N,) pseudo labels against the (N,) pids, outliers (label -1) left out.

    NMI and purity are in 0 .. 1, ARI at most 1; purity is the share of images with their cluster's most frequent pid.
    """
    kept = labels >= 0
    pids, labels = pids[kept], labels[kept]
    table = contingency_matrix(pids, labels)  # (pids, clusters)
    return {
        "nmi": float(normalized_mutual_info_score(pids, labels)),
        "ari": float(adjusted_rand_score(pids, labels)),
        "purity": float(table.max(0).sum() / len(labels)),
    }
