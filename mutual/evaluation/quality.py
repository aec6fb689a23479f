"""How well pseudo labels agree with true identities: a diagnosis, never an input of training."""

from pathlib import Path
from typing import Any

import numpy as np

from mutual.clusters.pseudo_labels import check_figures, read_figures, read_pseudo_labels, singletons
from mutual.images.index import UNKNOWN, Index


def diagnosis(folder: Path, train: Index) -> tuple[dict[str, Any], dict[str, float]]:
    """Number of clusters, share of outliers, and agreement of a round's pseudo labels with the true identities.

    The agreement is that of the images whose identity is known; where none is, it is left out. Second, the figures that
    need no identity: see :mod:`mutual.clusters.label_free`.
    """
    labels = read_pseudo_labels(folder / "pseudo_labels.csv", train.file).classes
    figures = read_figures(folder / "clustering.json")
    check_figures(folder, labels, figures)
    known = train.pid != UNKNOWN
    quality = label_quality(train.pid[known], labels[known]) if (labels[known] >= 0).any() else {}
    sizes = {"clusters": figures["clusters"], "outliers": float((labels < 0).mean())}
    return sizes | quality, figures.get("label_free", {})


def believed_quality(believed: np.ndarray, train: Index) -> dict[str, float]:
    """``nmi`` and ``ari`` of what networks believe, (P, N) classes, mean over the P; nothing where no pid is known."""
    known = train.pid != UNKNOWN
    if not known.any():
        return {}
    found = [label_quality(train.pid[known], labels[known]) for labels in believed]
    return {key: float(np.mean([each[key] for each in found])) for key in ("nmi", "ari")}


def label_quality(pids: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """NMI, ARI and purity of the (N,) pseudo labels against the (N,) pids; outliers have the label -1.

    NMI, the mutual information over the mean of both entropies, and purity, the share of images with their cluster's
    most frequent pid, are in 0 .. 1; ARI, the share of pairs on which both agree, adjusted for chance, is at most 1.
    All three leave outliers out, so that a few sure clusters score well whatever they left; ``nmi_singletons`` and
    ``ari_singletons`` are those of all images, each outlier a cluster of its own.
    """
    # takes a second to import, which direct transfer need not wait for
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    kept, alone = labels >= 0, singletons(labels)
    known, clustered = pids[kept], labels[kept]
    return {
        "nmi": float(normalized_mutual_info_score(known, clustered)),
        "ari": float(adjusted_rand_score(known, clustered)),
        "purity": float(contingency_matrix(known, clustered).max(0).sum() / len(known)),
        "nmi_singletons": float(normalized_mutual_info_score(pids, alone)),
        "ari_singletons": float(adjusted_rand_score(pids, alone)),
    }
