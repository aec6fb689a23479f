"""The nearest neighbours of every image among all images, exactly, and how far the farthest image is."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mutual.base.progress import Progress

TILE = (2048, 4096)  # of the distances, 32 MB: whose transpose is cheap, and whose neighbours are found in caches


@dataclass(frozen=True)
class Neighbours:
    """The K images nearest to each of the N, itself among them, nearest first; of equals the lower row."""

    index: np.ndarray  # (N, K) int64
    squared: np.ndarray  # (N, K) float32 squared Euclidean distance
    farthest: np.ndarray  # (N,) float32 squared distance of the image that is farthest away


def nearest(features: np.ndarray, k: int, device: torch.device) -> Neighbours:
    """Exact search among the (N, D) float32 features; ``k`` counts the image itself.

    Distances are symmetric, so only tiles on and above the diagonal are computed: each serves its rows and its columns.
    The features must be finite.
    """
    count = len(features)
    columns = torch.from_numpy(features).to(device, torch.float32)  # whose bits are sorted below
    norms = columns.square().sum(1)
    found = torch.full((count, k), torch.iinfo(torch.int64).max, dtype=torch.int64, device=device)
    farthest = torch.zeros(count, device=device)
    high, wide = TILE
    tiles = [(top, left) for top in range(0, count, high) for left in range(top, count, wide)]
    for top, left in Progress(tiles, desc="neighbours", unit="tile"):
        rows, across = slice(top, min(top + high, count)), slice(left, min(left + wide, count))
        squared = (norms[rows, None] + norms[across]).addmm_(columns[rows], columns[across].T, alpha=-2).clamp_(min=0)
        if left == top:
            squared.diagonal().zero_()  # rounding may leave more
        _keep_nearest(found[rows], farthest[rows], squared, left)
        beyond = slice(max(rows.stop, left), across.stop)  # the square on the diagonal has served both
        if beyond.start < beyond.stop:
            _keep_nearest(found[beyond], farthest[beyond], squared[:, beyond.start - left :].T.contiguous(), top)
    found = found.cpu()
    values = (found >> 32).to(torch.int32).view(torch.float32)
    return Neighbours((found & 0xFFFFFFFF).numpy(), values.numpy(), farthest.cpu().numpy())


def _keep_nearest(found: Tensor, farthest: Tensor, squared: Tensor, first: int) -> None:
    """Update the (b, k) nearest and (b,) farthest with (b, c) squared distances to the images from ``first`` on.

    Distances of at least 0 are ordered as their bits are: a key is the bits of the distance, then the image's row.
    """
    torch.maximum(farthest, squared.amax(1), out=farthest)
    keys = squared.view(torch.int32).to(torch.int64) << 32
    keys += torch.arange(first, first + keys.shape[1], device=keys.device)
    k = found.shape[1]
    nearest = keys.topk(min(k, keys.shape[1]), largest=False).values
    found.copy_(torch.cat([found, nearest], 1).topk(k, largest=False).values)
