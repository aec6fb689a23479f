"""Weights and images that the stored network answers were computed with: derived from names, so nothing is shipped."""

from zlib import crc32

import numpy as np


def tensor_for(official_name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the tensor of this official name is filled with.

    The checksum of the name seeds a PCG64 generator; then scales and variances are uniform in 0.5 .. 1.5, shifts and
    means normal with deviation 0.1, filters normal with variance 1 / fan-in, and counters zero.
    """
    kind = official_name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    draw = np.random.Generator(np.random.PCG64(crc32(official_name.encode("ascii"))))
    if kind in ("bias", "running_mean"):
        return draw.normal(loc=0.0, scale=0.1, size=shape)
    if kind == "running_var" or len(shape) == 1:
        return draw.uniform(low=0.5, high=1.5, size=shape)
    fan_in = int(np.prod(shape[1:]))
    return draw.normal(loc=0.0, scale=np.sqrt(1.0 / fan_in), size=shape)


def image_batch(count: int, height: int, width: int) -> np.ndarray:
    """(count, 3, height, width) standard normal "images", the same for every network."""
    return np.random.Generator(np.random.PCG64(7)).normal(loc=0.0, scale=1.0, size=(count, 3, height, width))
