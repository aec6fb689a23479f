"""Which pictures of a data set are copies of each other: byte for byte, or recompressed, resized, a little cropped."""

from collections.abc import Iterator, Sequence

import numpy as np

from mutual.datasets.looks import Look

# Of 1,600 drawn pictures of 100 x 50 pixels and 320 copies of each of these kinds, recompressed (quality 50 and 20),
# made smaller, brighter, richer in contrast, cropped by a pixel: 10 bits held all copies and 67 of 1.3 million pairs of
# different pictures, none of which correlated by 0.95; of the copies all but those of quality 20 and of half the size
# did by 0.97. Real pictures that follow each other in a film may well pass both.
BITS = 10  # of 64 that may differ between two fingerprints
ALIKE = 0.97  # correlation of two thumbnails from which they are near copies
BLOCK = 16  # rows of the table of distances that are held at once: more do not fit a processor's cache
PAIRS = 2_000_000  # pairs of similar fingerprints after which no more are looked for


def same_bytes(looks: Sequence[Look]) -> np.ndarray:
    """(N,) int64: the place of the first picture whose file is the same, its own where it is the first."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(look.digest, place) for place, look in enumerate(looks)], np.int64)


def similar(fingerprints: np.ndarray, bits: int = BITS) -> Iterator[np.ndarray]:
    """Pairs (P, 2) int64 of places in (N,) uint64 that differ in so many bits at the most, block by block.

    Each pair once, the smaller place first. Every fingerprint is compared with every later one, so that none is
    missed: 5 10^9 comparisons of 100,000, which take a processor about a minute.
    """
    for start in range(0, len(fingerprints), BLOCK):
        block = fingerprints[start : start + BLOCK, None]
        first, second = np.nonzero(np.bitwise_count(block ^ fingerprints[None, start:]) <= bits)
        yield start + np.stack([first, second], 1)[first < second]


def alike(pairs: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """(P,) bool: whether the thumbnails, (N, D) uint8, of each pair of places (P, 2) correlate by ``ALIKE``."""
    kept = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), 4096):
        part = slice(start, start + 4096)
        one, other = (_standard(thumbnails[pairs[part, side]]) for side in (0, 1))
        kept[part] = (one * other).sum(1) >= ALIKE
    return kept


def _standard(rows: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1; of one colour, of length 0."""
    centred = rows.astype(np.float64) - rows.mean(1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)


def near_copies(looks: Sequence[Look]) -> Iterator[np.ndarray]:
    """Pairs (P, 2) int64 of near copies that are not the same bytes, block by block: there are ``blocks(looks)``.

    Plain pictures are left out. Ends early after ``PAIRS`` of similar fingerprints.
    """
    places = _compared(looks)
    fingerprints = np.array([looks[place].fingerprint for place in places], np.uint64)
    thumbnails = np.array([looks[place].thumbnail for place in places], np.uint8).reshape(len(places), -1)
    found = 0
    for pairs in similar(fingerprints):
        yield places[pairs[alike(pairs, thumbnails)]].reshape(-1, 2)
        found += len(pairs)
        if found > PAIRS:
            return


def blocks(looks: Sequence[Look]) -> int:
    """How many blocks :func:`near_copies` yields, unless it ends early."""
    return -(-len(_compared(looks)) // BLOCK)


def _compared(looks: Sequence[Look]) -> np.ndarray:
    """The places of the first pictures of the same bytes that are not plain."""
    first = same_bytes(looks)
    return np.array([place for place, look in enumerate(looks) if first[place] == place and not look.plain], np.int64)
