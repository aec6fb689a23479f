"""Batches of P identities x K images, chosen across cameras."""

from collections.abc import Iterator

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
    pids: np.ndarray, camids: np.ndarray, batch_size: int, instances: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Endless batches: (batch_size,) row indices, cut from one pass after the other, each pass's remainder dropped.

    ``pids`` and ``camids`` are (N,) integers. Raises :class:`InputError` when a pass is shorter than a batch.
    """
    sizes = np.unique(pids, return_counts=True)[1]
    length = int(np.where(sizes > 1, instances, 1).sum())
    if length < batch_size:
        raise InputError(
            f"batch_size: {batch_size} images, {instances} of an identity, need {batch_size // instances} identities "
            f"of two images or more; there are {len(sizes)} identities, {int((sizes > 1).sum())} of them so"
        )
    return _cut(pids, camids, batch_size, instances, rng)


def _cut(
    pids: np.ndarray, camids: np.ndarray, batch_size: int, instances: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    while True:
        stream = identity_pass(pids, camids, instances, rng)
        yield from stream[: len(stream) // batch_size * batch_size].reshape(-1, batch_size)


def shuffled_batches(count: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless batches of (batch_size,) row indices below ``count``, in shuffled passes; a small set repeats itself."""
    while True:
        passes = -(-batch_size // count)
        stream = np.concatenate([rng.permutation(count) for _ in range(passes)])
        yield from stream[: len(stream) // batch_size * batch_size].reshape(-1, batch_size)
