"""The order in which images come into batches."""

import numpy as np

from mutual.machine.streams import numpy_stream


class Stream:
    """Rows 0 .. count - 1 without end: pass after pass, each shuffled by a stream of its own."""

    def __init__(self, count: int, seed: int, purpose: str, number: int) -> None:
        self.count, self.seed, self.purpose, self.number = count, seed, purpose, number
        self.passes, self.waiting = 0, np.empty(0, np.int64)

    def take(self, wanted: int) -> np.ndarray:
        """(wanted,) int64: the next ones."""
        while len(self.waiting) < wanted:
            order = numpy_stream(self.seed, self.purpose, self.number, self.passes).permutation(self.count)
            self.waiting, self.passes = np.concatenate([self.waiting, order]), self.passes + 1
        taken, self.waiting = self.waiting[:wanted], self.waiting[wanted:]
        return taken


def iterations_of(epochs: int, images: int, batch: int) -> int:
    """How many batches so many passes over the images are."""
    return -(-epochs * images // batch)
