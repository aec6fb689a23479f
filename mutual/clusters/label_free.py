"""What can be said of a network and of its pseudo labels where no label of the target is known.

Each figure is one of a network's features and of the clusters made of them. None is used in training: they choose among
rounds, and warn (alarms.py).
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.clusters.neighbours import nearest
from mutual.clusters.pseudo_labels import singletons

NEIGHBOURS = 10  # of an image, in the agreement of the peers
SAMPLE = 4096  # images that the agreement and silhouettes are computed of: their cost grows with the square
BLOCK_VALUES = 1 << 24  # of a block of distances: 64 MB


def label_free(
    features: np.ndarray, labels: np.ndarray, again: np.ndarray | None, camids: np.ndarray, before: np.ndarray | None
) -> dict[str, float]:
    """Figures of (N, D) features and their (N,) labels, -1 for outliers.

    ``again`` (N,) are the labels of a second clustering of the same features, where there is one, ``camids`` (N,) the
    cameras, ``before`` (N,) the labels of the round before, where there was one. An outlier counts as a cluster of its
    own.

    - ``silhouette``: how much nearer an image is to its own cluster than to the next, -1 .. 1; outliers left out;
    - ``consistency``: the Jaccard index of an image's cluster in both clusterings, 0 .. 1, mean over images;
    - ``camera_nmi``: mutual information of clusters and cameras, adjusted for chance: near 0 where clusters do not
      follow the cameras; left out where there is one camera, or one for each image;
    - ``stability``: adjusted Rand index of labels and ``before``, 1 where nothing changed;
    - ``variance``: of the features, as a share of their mean squared length, 0 .. 1.

    Raises :class:`InputError` where ``before`` are labels of other images.
    """
    if before is not None and len(before) != len(labels):
        raise InputError(f"labels of the round before: expected {len(labels)}, an image each, found {len(before)}")
    # takes a second to import
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    single = singletons(labels)
    figures = {"silhouette": silhouette(features, labels)}
    if again is not None:
        figures["consistency"] = consistency(labels, again)
    if 1 < len(np.unique(camids)) < len(camids):
        figures["camera_nmi"] = float(adjusted_mutual_info_score(camids, single))
    if before is not None:
        figures["stability"] = float(adjusted_rand_score(singletons(before), single))
    return figures | {"variance": variance(features)}


def silhouette(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette, Euclidean, of (N, D) features in their (N,) clusters, outliers left out; 0 of one cluster.

    Of more than 4,096 images every second, third, … is taken.
    """
    from sklearn.metrics import silhouette_score

    inliers = np.flatnonzero(labels >= 0)
    rows = inliers[:: -(-len(inliers) // SAMPLE) or 1]
    if not 1 < len(np.unique(labels[rows])) < len(rows):
        return 0.0
    return float(silhouette_score(features[rows], labels[rows]))


def consistency(labels: np.ndarray, others: np.ndarray) -> float:
    """The mean, over N images, of |A and B| / |A or B|: A is its cluster among (N,) ``labels``, B among ``others``."""
    a, b = singletons(labels), singletons(others)
    pairs, pair_of, common = np.unique(np.stack([a, b]), axis=1, return_inverse=True, return_counts=True)
    either = np.bincount(a)[pairs[0]] + np.bincount(b)[pairs[1]] - common
    return float((common / either)[pair_of.ravel()].mean())


def variance(features: np.ndarray) -> float:
    """1 - |mean|^2 / mean |x|^2 of (N, D) features: 0 where all are the same, near 1 where they point everywhere."""
    mean = features.mean(0, dtype=np.float64)
    return float(1 - mean @ mean / np.square(features).sum(1, dtype=np.float64).mean())


def agreement(peers: Sequence[np.ndarray], device: torch.device) -> dict[str, float]:
    """``agreement``: the share of an image's 10 nearest others that two peers have in common, 0 .. 1, mean over pairs.

    ``peers`` are (N, D) float32 features of the same images. One peer, or one image, has none. Of more than 4,096
    images it is that of every second, third, …, among all.
    """
    count = len(peers[0])
    others, step = min(NEIGHBOURS, count - 1), -(-count // SAMPLE)
    if len(peers) < 2 or others < 1:
        return {}
    if step == 1:
        found = [_nearest_others(features, others, device) for features in peers]
    else:
        found = [_nearest_to(np.arange(0, count, step), features, others, device) for features in peers]
    common = [
        np.mean([len(np.intersect1d(*rows, assume_unique=True)) for rows in zip(a, b, strict=True)])
        for a, b in combinations(found, 2)
    ]
    return {"agreement": float(np.mean(common)) / others}


def _nearest_others(features: np.ndarray, count: int, device: torch.device) -> np.ndarray:
    """(N, count) int64: the rows nearest to each row, without itself, which copies of it may push to a later place."""
    index = nearest(features, count + 1, device).index
    itself = index == np.arange(len(index))[:, None]
    itself[~itself.any(1), -1] = True
    return index[~itself].reshape(len(index), count)


def _nearest_to(rows: np.ndarray, features: np.ndarray, count: int, device: torch.device) -> np.ndarray:
    """(R, count) int64: the rows of the (N, D) features nearest to each of these rows, without itself."""
    columns, found = torch.from_numpy(features).to(device), []
    norms = columns.square().sum(1)
    for part in torch.from_numpy(rows).to(device).split(max(1, BLOCK_VALUES // len(features))):
        distances = norms - 2 * columns[part] @ columns.T  # the squared ones, but for what is the same in a row
        distances.scatter_(1, part[:, None], torch.inf)
        found.append(distances.topk(count, largest=False).indices.cpu())
    return torch.cat(found).numpy()
