"""Batches of P identities x K images, chosen across cameras."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mutual.base.errors import InputError


def identity_pass(pids: np.ndarray, camids: np.ndarray, instances: int, rng: np.random.Generator) -> np.ndarray:
    """One pass over the identities in random order: row indices, int64.

    Each gives a random anchor and ``instances`` - 1 more images: of other cameras where the identity has any there,
    else of its remaining ones; with replacement when there are fewer than ``instances`` candidates (authors' code). An
    identity with one image gives that image once.
    """
    order = np.argsort(pids, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(pids[order])) + 1)
    stream: list[np.ndarray] = []
    for k in rng.permutation(len(members)):
        rows = members[k]
        anchor = rng.choice(rows)
        candidates = rows[camids[rows] != camids[anchor]]
        if not len(candidates):
            candidates = rows[rows != anchor]
        stream.append(np.array([anchor]))
        if len(candidates) and instances > 1:
            stream.append(rng.choice(candidates, instances - 1, replace=len(candidates) < instances))
    return np.concatenate(stream)


def identity_batches(
    pids: np.ndarray, camids: np.ndarray, batch_size: int, instances: int, stream: Callable[[int], np.random.Generator]
) -> Callable[[int], np.ndarray]:
    """The function iteration (from 0) -> (batch_size,) row indices, of which every value can be asked for alone.

    Batches are cut from one pass after the other, each pass's remainder dropped; ``stream(n)`` draws pass n, whose
    length is the same for all. ``pids`` and ``camids`` are (N,) integers. Raises :class:`InputError` when a pass is
    shorter than a batch.
    """
    sizes = np.unique(pids, return_counts=True)[1]
    length = int(np.where(sizes > 1, instances, 1).sum())
    if length < batch_size:
        raise InputError(
            f"batch_size: {batch_size} images, {instances} of an identity, need {batch_size // instances} identities "
            f"of two images or more; there are {len(sizes)} identities, {int((sizes > 1).sum())} of them so"
        )
    return _cut(length // batch_size, batch_size, lambda number: identity_pass(pids, camids, instances, stream(number)))


def shuffled_batches(
    count: int, batch_size: int, stream: Callable[[int], np.random.Generator]
) -> Callable[[int], np.ndarray]:
    """The function iteration -> (batch_size,) row indices below ``count``, in shuffled passes; a small set repeats."""
    passes = -(-batch_size // count)

    def shuffled(number: int) -> np.ndarray:
        rng = stream(number)
        return np.concatenate([rng.permutation(count) for _ in range(passes)])

    return _cut(passes * count // batch_size, batch_size, shuffled)


def _cut(batches: int, batch_size: int, one_pass: Callable[[int], np.ndarray]) -> Callable[[int], np.ndarray]:
    """Batch after batch of the passes, ``batches`` of each."""
    latest = lru_cache(maxsize=1)(one_pass)  # the next batch is mostly of the same pass

    def rows(iteration: int) -> np.ndarray:
        number, place = divmod(iteration, batches)
        return latest(number)[place * batch_size : (place + 1) * batch_size]

    return rows
