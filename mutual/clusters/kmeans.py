"""Pseudo labels by k-means: Lloyd's iterations, with clusters merged and split in between where that pays.

Lloyd's iterations end in the nearest local optimum, which depends on the start: two identities that share a cluster
stay together, one that was cut in two stays cut. Ten starts help little with hundreds of clusters, since each is wrong
somewhere. Here the clusters that are missed least are dissolved, in favour of a second centroid for those that gain
most by one, as long as the inertia falls.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mutual.base.progress import Progress

SETTLING = 3  # Lloyd's iterations between two exchanges
# an exchange is tried when it saves this share of its cost: settling saves more; if that fails, only what saves all
WORTH_TRYING = (0.7, 1.0)
LEAST_FALL = 1e-4  # of the inertia, for another exchange to follow
BLOCK_VALUES = 1 << 24  # of distances to centroids: 64 MB of float32
DIRECTION_STEPS = 4  # of power iteration, which need not converge: the halves are settled after it
HALVES_STEPS = 3


@dataclass
class Clusters:
    """Centroids and the images nearest to them. Moving some centroids costs the distances to these alone."""

    points: Tensor  # (N, D) float32
    norms: Tensor  # (N,) float32, squared
    centroids: Tensor  # (C, D) float32
    relative: Tensor  # (N, C) float32: squared distance to each centroid less the image's norm, which ranks as it does
    labels: Tensor  # (N,) int64, of the nearest centroid

    @classmethod
    def around(cls, points: Tensor, centroids: Tensor) -> "Clusters":
        """The clusters of the (N, D) points around (C, D) centroids."""
        found = cls(
            points,
            points.square().sum(1),
            torch.full_like(centroids, torch.nan),
            points.new_empty(len(points), len(centroids)),
            torch.zeros(len(points), dtype=torch.int64, device=points.device),
        )
        found.move(centroids)
        return found

    @property
    def inertia(self) -> float:
        """Sum of the squared distances to the nearest centroid."""
        nearest = self.relative.gather(1, self.labels[:, None])[:, 0]
        return float((nearest + self.norms).clamp_(min=0).sum(dtype=torch.float64))

    def copy(self) -> "Clusters":
        """Clusters that move on their own."""
        return replace(self, relative=self.relative.clone())

    def move(self, centroids: Tensor) -> bool:
        """Put the centroids here; returns whether an image changed its cluster."""
        moved = (centroids != self.centroids).any(1).nonzero()[:, 0]
        there = centroids[moved]
        norms = there.square().sum(1)
        step = max(1, BLOCK_VALUES // max(1, len(moved)))
        for points, relative in zip(self.points.split(step), self.relative.split(step), strict=True):
            relative.index_copy_(1, moved, torch.addmm(norms, points, there.T, alpha=-2))
        before, self.centroids, self.labels = self.labels, centroids, self.relative.min(1).indices
        return not torch.equal(before, self.labels)

    def means(self) -> Tensor:
        """The (C, D) means of the clusters; where there is no image the centroid."""
        counts = torch.bincount(self.labels, minlength=len(self.centroids))[:, None]
        sums = torch.zeros_like(self.centroids).index_add_(0, self.labels, self.points)
        return torch.where(counts > 0, sums / counts.clamp(min=1), self.centroids)

    def costs(self) -> list[float]:
        """What the inertia rises by when a cluster is dissolved and its images go to their second nearest centroid."""
        nearest = self.relative.topk(2, largest=False).values
        cost = torch.zeros(len(self.centroids), dtype=torch.float64, device=nearest.device)
        costs: list[float] = cost.index_add_(0, self.labels, (nearest[:, 1] - nearest[:, 0]).double()).tolist()
        return costs


@dataclass(frozen=True)
class Halves:
    """A cluster cut in two."""

    means: Tensor  # (2, D)
    saved: float  # of the inertia


@dataclass(frozen=True)
class Exchange:
    """A cluster is cut in two, and another gives its centroid for it."""

    split: int
    dissolved: int
    means: Tensor  # (2, D) of the halves
    saved: float  # inertia, by the cut
    cost: float  # inertia, by dissolving the other


def kmeans(
    features: np.ndarray, clusters: int, *, iterations: int, stream: np.random.Generator, device: torch.device
) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels (N,) int64, centroids (C, D) float32 and inertia of ``clusters`` clusters.

    ``features`` is (N, D) float32; ``stream`` draws the images that are the first centroids. It ends when neither
    Lloyd's iterations nor an exchange of clusters changes anything, or after ``iterations`` of the former. Clusters
    that end empty are left out and the others renumbered, so C may be below ``clusters`` (when features coincide).
    The features must be finite, and at least as many as the clusters.
    """
    points = torch.from_numpy(np.ascontiguousarray(features, np.float32).copy()).to(device)
    start = stream.choice(len(features), clusters, replace=False)
    halves: dict[int, Halves | None] = {}
    with Progress(desc="k-means", unit="it") as bar:
        best = Clusters.around(points, points[torch.from_numpy(start).to(device)])
        _lloyd(best, min(SETTLING, iterations), bar)
        falling = clusters > 1
        while falling:
            falling, labels = False, best.labels
            exchanges = _exchanges(best.costs(), _all_halves(points, labels, halves))
            for worth in WORTH_TRYING:
                chosen = [each for each in exchanges if each.saved > worth * each.cost]
                if falling or not chosen or bar.n + SETTLING > iterations:
                    continue
                trial = best.copy()
                trial.move(_exchanged(best.centroids, chosen))
                _lloyd(trial, SETTLING, bar)
                if trial.inertia < (1 - LEAST_FALL) * best.inertia:
                    best, falling = trial, True
            for cluster in _changed(labels, best.labels):
                halves.pop(cluster, None)
        _lloyd(best, iterations - int(bar.n), bar)
    occupied, assigned = np.unique(best.labels.cpu().numpy(), return_inverse=True)
    return assigned.astype(np.int64), best.centroids.cpu().numpy()[occupied], best.inertia


def _lloyd(clusters: Clusters, iterations: int, bar: Progress) -> None:
    """Move the centroids to the means at most ``iterations`` times, fewer once no image changes its cluster."""
    for _ in range(iterations):
        bar.update()
        if not clusters.move(clusters.means()):
            break


def _all_halves(points: Tensor, labels: Tensor, known: dict[int, Halves | None]) -> dict[int, Halves | None]:
    """Complete what is ``known`` of clusters by the halves of all others."""
    counts = torch.bincount(labels).tolist()
    for cluster, members in enumerate(torch.argsort(labels, stable=True).split(counts)):
        if cluster not in known:
            known[cluster] = _halves(points[members])
    return known


def _changed(before: Tensor, after: Tensor) -> set[int]:
    """The clusters that won or lost an image."""
    other = before != after
    return {*before[other].tolist(), *after[other].tolist()}


def _exchanges(costs: list[float], halves: dict[int, Halves | None]) -> list[Exchange]:
    """The clusters that gain most by a second centroid, each with one of those that are missed least."""
    found = {cluster: each for cluster, each in halves.items() if each is not None}
    cheapest = iter(sorted(range(len(costs)), key=lambda c: costs[c]))
    exchanges, taken = [], set()
    for split in sorted(found, key=lambda c: -found[c].saved):
        if split in taken:
            continue
        taken.add(split)
        dissolved = next((c for c in cheapest if c not in taken), None)
        if dissolved is None:
            break
        taken.add(dissolved)
        exchanges.append(Exchange(split, dissolved, found[split].means, found[split].saved, costs[dissolved]))
    return exchanges


def _exchanged(centroids: Tensor, exchanges: list[Exchange]) -> Tensor:
    centroids = centroids.clone()
    for each in exchanges:
        centroids[each.split], centroids[each.dissolved] = each.means
    return centroids


def _halves(members: Tensor) -> Halves | None:
    """Two halves of the (M, D) images, cut across where they differ most; none where they coincide."""
    if len(members) < 2:
        return None
    mean = members.mean(0)
    around = members - mean
    direction = around[around.square().sum(1).argmax()]
    for _ in range(DIRECTION_STEPS):
        direction = (around @ direction) @ around
        direction = direction / direction.norm().clamp(min=torch.finfo(torch.float32).tiny)
    side = around @ direction > 0
    for _ in range(HALVES_STEPS):
        first, second = _means_of_halves(around, side)
        side = around @ (first - second) > (first.square().sum() - second.square().sum()) / 2
    count = int(side.sum())
    if not 0 < count < len(around):
        return None
    first, second = _means_of_halves(around, side)
    saved = count * first.square().sum() + (len(around) - count) * second.square().sum()
    return Halves(mean + torch.stack([first, second]), float(saved))


def _means_of_halves(around: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """The two means of the (M, D) images whose common mean is 0: on opposite sides of it, farther the fewer images."""
    count = side.sum()
    total = side.float() @ around
    return total / count.clamp(min=1), -total / (len(around) - count).clamp(min=1)
