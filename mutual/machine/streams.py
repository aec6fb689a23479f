"""Random streams that derive from (seed, purpose, round, iteration): any step can be rerun alone."""

import zlib

import numpy as np


def seed_sequence(seed: int, purpose: str, round_number: int = 0, iteration: int = 0) -> np.random.SeedSequence:
    """The root of one stream. ``purpose`` names what the numbers are for: two purposes never share a stream.

    ``iteration`` counts what the purpose draws for one by one: iterations, or passes over the identities.
    """
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), round_number, iteration])


def numpy_stream(seed: int, purpose: str, round_number: int = 0, iteration: int = 0) -> np.random.Generator:
    """A NumPy generator (PCG64) for (seed, purpose, round, iteration)."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, purpose, round_number, iteration)))


def integer_seed(seed: int, purpose: str, round_number: int = 0, iteration: int = 0) -> int:
    """A seed in 0 .. 2**31 - 1 for libraries that take an integer, as torch does."""
    return int(seed_sequence(seed, purpose, round_number, iteration).generate_state(1)[0] >> 1)
