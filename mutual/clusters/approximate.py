"""Most of the nearest neighbours of every image, where there are too many images to compare all."""

import faiss
import numpy as np
import torch
from torch import Tensor

from mutual.base.progress import Progress
from mutual.clusters.neighbours import NOBODY, Neighbours, keep_nearest, neighbours_of

IMAGES_A_LIST = 39  # that its centre is learned from, as Faiss wants at least
ITERATIONS = 5  # of k-means, which need not converge
PROBED = 64  # lists in which an image's neighbours are sought
SAMPLE = 4096  # images among which the farthest is sought
BLOCK = (8192, 4096)  # of distances


def nearly_nearest(features: np.ndarray, k: int, device: torch.device) -> Neighbours:
    """What :func:`mutual.clusters.neighbours.nearest` finds among the (N, D) float32 features, but for some neighbours.

    Faiss's k-means divides the images into 4 sqrt(N) lists, or into fewer of 39 images on average; an image's
    neighbours are sought in the 64 lists whose centres are nearest to it, and among those who seek theirs in its own;
    its farthest among some 4,096 images. An image that has found fewer than ``k`` so is compared with all. The features
    must be finite.
    """
    count = len(features)
    columns = torch.from_numpy(features).to(device, torch.float32)
    norms = columns.square().sum(1)
    lists = max(1, min(round(4 * count**0.5), count // IMAGES_A_LIST))
    probed = _probed(columns, _centres(features, lists).to(device))
    members, seekers = _by_list(probed[:, :1].contiguous(), lists), _by_list(probed, lists)
    found = torch.full((count, k), NOBODY, dtype=torch.int64, device=device)
    for own, every in Progress(list(zip(members, seekers, strict=True)), desc="neighbours", unit="list"):
        _search(found, columns, norms, every, own, probed, lists)
    everyone = torch.arange(count, device=device)
    few = (found[:, -1] == NOBODY).nonzero()[:, 0]
    found[few] = NOBODY  # from the start: nobody is found twice
    _search(found, columns, norms, few, everyone)
    sample = everyone[:: max(1, count // SAMPLE)].contiguous()
    farthest = torch.cat([_squared(columns, norms, rows, sample).amax(1) for rows in everyone.split(BLOCK[0])])
    return neighbours_of(found, farthest)


def _search(
    found: Tensor,
    columns: Tensor,
    norms: Tensor,
    seekers: Tensor,
    others: Tensor,
    probed: Tensor | None = None,
    lists: int = 0,
) -> None:
    """Update the keys of the seekers' nearest with these others; both ascend.

    Where it is known which of so many lists are ``probed``, (N, P), the first an image's own, so are the keys of the
    others, with those seekers in whose list they do not seek themselves.
    """
    if not (len(seekers) and len(others)):
        return
    for rows in seekers.split(BLOCK[0]):
        for part in others.split(BLOCK[1]):
            squared = _squared(columns, norms, rows, part)
            found[rows] = keep_nearest(found[rows], squared, part, 0)
            if probed is not None:
                own = torch.zeros(len(part), lists, dtype=torch.bool, device=found.device)
                seen = own.scatter_(1, probed[part].long(), True)[:, probed[rows, 0].long()]
                found[part] = keep_nearest(found[part], squared.masked_fill_(seen.T, torch.nan), rows, 1)


def _centres(features: np.ndarray, lists: int) -> Tensor:
    """(L, D) centres of the lists, learned from images at equal steps."""
    learned = np.ascontiguousarray(features[:: max(1, len(features) // (IMAGES_A_LIST * lists))], np.float32)
    print(f"neighbours: {lists} lists, by k-means of {len(learned)} images", flush=True)
    search = faiss.Kmeans(features.shape[1], lists, niter=ITERATIONS, max_points_per_centroid=2 * IMAGES_A_LIST)
    search.train(learned)
    return torch.from_numpy(np.asarray(search.centroids))


def _probed(columns: Tensor, centres: Tensor) -> Tensor:
    """(N, P) int32: the lists whose centres are nearest to each image, nearest first."""
    norms, most = centres.square().sum(1), min(PROBED, len(centres))
    parts = (torch.addmm(norms, part, centres.T, alpha=-2) for part in columns.split(BLOCK[0]))
    return torch.cat([part.topk(most, largest=False).indices.to(torch.int32) for part in parts])


def _by_list(probed: Tensor, lists: int) -> list[Tensor]:
    """Of each list the images, ascending, that have it among theirs, (N, P)."""
    flat = probed.flatten()
    order = flat.argsort(stable=True) // probed.shape[1]
    return list(order.split(flat.bincount(minlength=lists).tolist()))


def _squared(columns: Tensor, norms: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """(R, O) squared distances; of an image to itself 0. ``others`` ascend, and so do ``rows``."""
    squared = (norms[rows, None] + norms[others]).addmm_(columns[rows], columns[others].T, alpha=-2).clamp_(min=0)
    place = torch.searchsorted(rows, others).clamp_(max=len(rows) - 1)
    itself = (rows[place] == others).nonzero()[:, 0]
    squared[place[itself], itself] = 0
    return squared
