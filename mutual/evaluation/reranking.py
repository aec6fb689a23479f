"""k-reciprocal re-ranking of a gallery (Zhong et al., 2017)."""

from collections.abc import Iterator

import numpy as np
import torch

from mutual.clusters.encodings import encodings
from mutual.clusters.jaccard import jaccard_rows
from mutual.clusters.neighbours import nearest


def reranked(
    query: np.ndarray, gallery: np.ndarray, device: torch.device, *, k1: int = 20, k2: int = 6, share: float = 0.3
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks (first query, (b, G) float32) of distances of the (Q, D) query and (G, D) gallery features.

    (1 - share) of the Jaccard distance, neighbours sought among query and gallery together, + share of the relative
    Euclidean one. The authors' code squares squared distances here, hence the powers of 2.
    """
    features = np.concatenate([query, gallery])
    found = nearest(features, min(max(k1 + 1, k2), len(features)), device)
    encoded = encodings(features, found, k1, k2, power=2)
    columns = torch.from_numpy(gallery).to(device)
    norms = columns.square().sum(1)
    for start, block in jaccard_rows(encoded, len(query)):
        rows = torch.from_numpy(query[start : start + len(block)]).to(device)
        squared = (norms + rows.square().sum(1)[:, None] - 2 * rows @ columns.T).clamp(min=0).cpu().numpy()
        relative = (squared / found.farthest[start : start + len(block), None]) ** 2
        yield start, (1 - share) * block[:, len(query) :] + share * relative
