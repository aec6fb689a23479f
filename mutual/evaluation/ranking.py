"""mAP and CMC of a query set against a gallery, by the Market-1501 protocol."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit, prange

from mutual.base.progress import Progress

QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Ranking:
    """What each of the Q queries found. Queries without a valid match hold NaN and rank 0 and do not count."""

    average_precision: np.ndarray  # (Q,) float64, 0 .. 1
    first_match: np.ndarray  # (Q,) int64: rank of the first match, from 1

    @property
    def measured(self) -> bool:
        """Whether any query counts; else there is nothing below."""
        return bool((self.first_match > 0).any())

    @property
    def mean_average_precision(self) -> float:
        """mAP, 0 .. 1."""
        return float(np.nanmean(self.average_precision))

    def rank(self, k: int) -> float:
        """CMC at rank k: the share of queries with a match among their first k, 0 .. 1."""
        first = self.first_match[self.first_match > 0]
        return float((first <= k).mean())


def rank_distances(
    distmat: np.ndarray,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
) -> Ranking:
    """Rank each row of the (Q, G) distances; pids and camids are (Q,) and (G,) integers; a pid below 0 is unknown.

    Gallery images of the query's own pid *and* camera are left out. The average precision is the mean, over a query's
    matches, of the share of matches among all images at most as far away (scikit-learn's definition, also with ties).
    Images as far away as the first match rank before it, so a tie is never a hit by luck.
    """
    ids = [np.asarray(each, np.int64) for each in (query_pids, gallery_pids, query_camids, gallery_camids)]
    return Ranking(*_ranked(np.asarray(distmat), *ids))


@njit(parallel=True, cache=True)
def _ranked(
    distmat: np.ndarray,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and rank of the first match of each query.

    For each match the images that are at most as far away are counted: that is faster than sorting, since matches are
    few and comparisons of a whole row with one number are vector instructions.
    """
    queries, count = distmat.shape
    average_precision = np.full(queries, np.nan)
    first_match = np.zeros(queries, np.int64)
    for q in prange(queries):
        own, total = 0, 0
        for g in range(count):
            own += gallery_pids[g] == query_pids[q]
            total += gallery_pids[g] == query_pids[q] and gallery_camids[g] != query_camids[q]
        if total == 0 or query_pids[q] < 0:  # nobody knows who is a match of an unknown
            continue
        # distances of the query's own pid: matches first, then what is left out
        same = np.empty(own, distmat.dtype)
        match, left_out = 0, total
        for g in range(count):
            if gallery_pids[g] == query_pids[q]:
                if gallery_camids[g] != query_camids[q]:
                    same[match] = distmat[q, g]
                    match += 1
                else:
                    same[left_out] = distmat[q, g]
                    left_out += 1
        precision, first = 0.0, count
        for m in range(total):
            matches, within = 0, 0
            for each in range(total):
                matches += same[each] <= same[m]
            for each in range(total, own):
                within -= same[each] <= same[m]
            for g in range(count):
                within += distmat[q, g] <= same[m]
            precision += matches / within
            first = min(first, within - matches + 1)
        average_precision[q] = precision / total
        first_match[q] = first
    return average_precision, first_match


def euclidean(query: np.ndarray, gallery: np.ndarray, device: torch.device) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks (first query, (b, G) float32) of squared distances of L2-normalised (Q, D) and (G, D) features."""
    columns = torch.from_numpy(gallery).to(device).T
    for start in Progress(range(0, len(query), QUERIES_AT_ONCE), desc="ranking", unit="block"):
        # of unit vectors: |q - g|^2 = 2 - 2 q.g, which ranks as the distance does
        block = torch.from_numpy(query[start : start + QUERIES_AT_ONCE]).to(device)
        yield start, (2 - 2 * (block @ columns)).cpu().numpy()


@dataclass(frozen=True)
class Nearest:
    """The K gallery images nearest to each of the Q queries, nearest first, those of its own pid *and* camera left out.

    Of equals the lower row comes first. Where there are fewer than K: row -1, distance infinity.
    """

    row: np.ndarray  # (Q, K) int32, of the gallery
    distance: np.ndarray  # (Q, K) float32


def rank_blocks(
    blocks: Iterator[tuple[int, np.ndarray]],
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
    kept: int = 0,
) -> tuple[Ranking, Nearest]:
    """Rank distances that come in blocks (first query, (b, G)), so that the (Q, G) matrix never exists.

    Also the ``kept`` nearest of each query. No query is no block.
    """
    parts = [Ranking(np.empty(0), np.empty(0, np.int64))]
    nearest = [(np.empty((0, kept), np.int32), np.empty((0, kept), np.float32))]
    ids = [np.asarray(each, np.int64) for each in (query_pids, gallery_pids, query_camids, gallery_camids)]
    for start, distmat in blocks:
        rows = slice(start, start + len(distmat))
        who = ids[0][rows], ids[1], ids[2][rows], ids[3]
        parts.append(rank_distances(distmat, *who))
        nearest.append(_nearest(np.asarray(distmat, np.float32), *who, kept))
    ranking = Ranking(
        np.concatenate([part.average_precision for part in parts]),
        np.concatenate([part.first_match for part in parts]),
    )
    return ranking, Nearest(np.concatenate([row for row, _ in nearest]), np.concatenate([d for _, d in nearest]))


@njit(parallel=True, cache=True)
def _nearest(
    distmat: np.ndarray,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
    kept: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances of the ``kept`` nearest, by insertion: few of a row are nearer than all before them."""
    queries, count = distmat.shape
    row = np.full((queries, kept), -1, np.int32)
    distance = np.full((queries, kept), np.inf, np.float32)
    for q in prange(queries):
        for g in range(count):
            value = distmat[q, g]
            if kept == 0 or not value < distance[q, kept - 1]:
                continue
            if gallery_pids[g] == query_pids[q] >= 0 and gallery_camids[g] == query_camids[q]:
                continue
            place = kept - 1
            while place > 0 and value < distance[q, place - 1]:
                row[q, place], distance[q, place] = row[q, place - 1], distance[q, place - 1]
                place -= 1
            row[q, place], distance[q, place] = g, value
    return row, distance
