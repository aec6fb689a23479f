"""The nearest neighbours of every image among all images, exactly, and how far the farthest image is."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mutual.base.progress import Progress
from mutual.machine.ranks import ALONE, Ranks

TILE = (2048, 4096)  # of the distances, 32 MB
NOBODY = (0x7F800000 << 32) + 0xFFFFFFFF  # a key: infinitely far
FEW = 16  # one of so many of a tile's images, at most, for which it is worth to look at them alone


@dataclass(frozen=True)
class Neighbours:
    """The K images nearest to each of the N, itself among them, nearest first; of equals the lower row."""

    index: np.ndarray  # (N, K) int64
    squared: np.ndarray  # (N, K) float32 squared Euclidean distance
    farthest: np.ndarray  # (N,) float32 squared distance of the image that is farthest away


def nearest(features: np.ndarray, k: int, device: torch.device, ranks: Ranks = ALONE) -> Neighbours:
    """Exact search among the (N, D) float32 features; ``k`` counts the image itself.

    Distances are symmetric, so only tiles on and above the diagonal are computed: each serves its rows and its columns.
    Several processes have a run of the tiles each, and all get what all found: in whichever tile an image was met, its
    key is the same, and so is the result. The features must be finite.
    """
    count = len(features)
    columns = torch.from_numpy(features).to(device, torch.float32)  # whose bits are sorted below
    norms = columns.square().sum(1)
    found = torch.full((count, k), NOBODY, dtype=torch.int64, device=device)
    farthest, everyone = torch.zeros(count, device=device), torch.arange(count, device=device)
    high, wide = TILE
    tiles = [(top, left) for top in range(0, count, high) for left in range(top, count, wide)]
    tiles = tiles[ranks.runs_of(len(tiles))[ranks.rank]]
    for top, left in Progress(tiles, desc="neighbours", unit="tile"):
        rows, across = slice(top, min(top + high, count)), slice(left, min(left + wide, count))
        squared = (norms[rows, None] + norms[across]).addmm_(columns[rows], columns[across].T, alpha=-2).clamp_(min=0)
        if left == top:
            squared.diagonal().zero_()  # rounding may leave more
        keep_nearest(found[rows], squared, everyone[across], 0)
        torch.maximum(farthest[rows], squared.amax(1), out=farthest[rows])
        beyond = slice(max(rows.stop, left), across.stop)  # the square on the diagonal has served both
        if beyond.start < beyond.stop:
            others = squared[:, beyond.start - left :]
            keep_nearest(found[beyond], others, everyone[rows], 1)
            torch.maximum(farthest[beyond], others.amax(0), out=farthest[beyond])
    if ranks.count > 1:
        every = ranks.whole(found).view(ranks.count, count, k)
        found = every.transpose(0, 1).reshape(count, ranks.count * k).topk(k, largest=False).values
        farthest = ranks.whole(farthest).view(ranks.count, count).amax(0)
    return neighbours_of(found, farthest)


def neighbours_of(found: Tensor, farthest: Tensor) -> Neighbours:
    """What (N, K) keys, ascending, say, and (N,) squared distances."""
    found = found.cpu()
    values = (found >> 32).to(torch.int32).view(torch.float32)
    return Neighbours((found & 0xFFFFFFFF).numpy(), values.numpy(), farthest.cpu().numpy())


def keep_nearest(found: Tensor, squared: Tensor, images: Tensor, of: int) -> Tensor:
    """Update, and return, the (b, k) keys of the nearest of a tile's rows (``of`` 0) or columns (1), each ascending.

    ``squared`` are the tile's distances; its columns, or rows, are these ``images``, (c,) int64. Distances of at least
    0 are ordered as their bits are: a key is the bits of the distance, then the image's row. Most images are farther
    away than those that are held: they never become keys, and nor does an image at a distance of NaN.
    """
    worst = (found[:, -1] >> 32).to(torch.int32).view(torch.float32)
    near = _places(squared <= worst.unsqueeze(1 - of))
    if len(near) * FEW > squared.numel():
        keys = (squared.T if of else squared).contiguous().view(torch.int32).to(torch.int64) << 32
        keys += images
        keys = keys.topk(min(found.shape[1], keys.shape[1]), largest=False).values
        return found.copy_(_least(found, keys))
    pair = near // squared.shape[1], near % squared.shape[1]
    key = (squared[pair].view(torch.int32).to(torch.int64) << 32) + images[pair[1 - of]]
    own, order = pair[of].sort(stable=True)
    some, row, count = own.unique_consecutive(return_inverse=True, return_counts=True)
    keys = found.new_full((len(some), int(count.max()) if len(some) else 0), NOBODY)
    keys[row, torch.arange(len(own), device=own.device) - (count.cumsum(0) - count)[row]] = key[order]
    found[some] = _least(found[some], keys)
    return found


def _least(found: Tensor, keys: Tensor) -> Tensor:
    """The (b, k) least of both, ascending."""
    return torch.cat([found, keys], 1).topk(found.shape[1], largest=False).values


def _places(chosen: Tensor) -> Tensor:
    """Where (b, c) bools are true, row by row: (P,) int64."""
    if chosen.device.type == "cpu":  # NumPy is several times as fast
        return torch.from_numpy(np.flatnonzero(chosen.numpy()))
    return chosen.flatten().nonzero()[:, 0]
