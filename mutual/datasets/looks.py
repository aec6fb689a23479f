"""What a picture looks like in a few numbers: its size, whether it has colours, and by what copies of it are known."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.packing import CHUNK, CHUNKS_WORTH_A_PROCESS, opened, quietly, resized
from mutual.machine.processes import in_order

SIDE = 32  # pixels a side that a picture is looked at in
COLOURLESS = 3.0  # mean distance of the largest from the smallest of red, green and blue up to which it is grey
PLAIN = 3.0  # standard deviation of the grey values, 0 .. 255, below which there is nothing to be recognised
KEPT = 11  # cosines a side, among whose products are the 64 lowest
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: the tag, and those of its values that exchange width and height


@dataclass(frozen=True)
class Look:
    """One picture that can be read."""

    width: int  # pixels, upright
    height: int
    grey: bool
    digest: bytes  # SHA-256 of the file
    fingerprint: int  # 64 bits, see below
    thumbnail: np.ndarray  # (768,) uint8: 16 x 16 pixels
    plain: bool  # of nearly one colour: neither says anything


def looks(root: Path, files: Sequence[str], workers: int) -> Iterator[list[Look | InputError]]:
    """Of each file below ``root``, a chunk at a time, the look, or what packing it would end with."""
    paths = [str(root / file) for file in files]
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    yield from in_order(_looks, chunks, min(workers, len(chunks) // CHUNKS_WORTH_A_PROCESS), str(root))


def _looks(paths: list[str]) -> list[Look | InputError]:
    with quietly():
        return [_look(path) for path in paths]


def _look(path: str) -> Look | InputError:
    try:
        try:
            width, height, pixels = _seen(path, quickly=True)
        except InputError:  # refused in the words of packing, or not at all
            width, height, pixels = _seen(path, quickly=False)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except InputError as error:
        return error
    grey = pixels.mean(2)
    colourless = float(np.ptp(pixels, axis=2).mean()) < COLOURLESS
    thumbnail = pixels.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean((1, 3)).round().astype(np.uint8).reshape(-1)
    return Look(width, height, colourless, digest, fingerprint(grey), thumbnail, bool(grey.std() < PLAIN))


def _seen(path: str, *, quickly: bool) -> tuple[int, int, np.ndarray]:
    """Width and height of a picture, upright, and itself: (SIDE, SIDE, 3) uint8. A JPEG is decoded small, quickly."""
    with opened(path) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION) in TURNED:
            width, height = height, width
        if quickly:
            image.draft(None, (4 * SIDE, 4 * SIDE))
        pixels = resized(image, SIDE, SIDE)
    return width, height, pixels


def fingerprint(grey: np.ndarray) -> int:
    """64 bits of a grey picture (SIDE, SIDE), of which few change when it is resized, recompressed or brightened.

    Of the cosine transform the 64 lowest frequencies but the mean, each against their median: the idea of pHash
    (Zauner, 2010).
    """
    cosines = np.cos(np.pi * np.arange(KEPT)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE))
    row, column = np.divmod(np.arange(KEPT**2), KEPT)
    lowest = np.lexsort((row, row + column))[1:65]
    found = (cosines @ grey.astype(np.float64) @ cosines.T).reshape(-1)[lowest]
    bits = found > np.median(found)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
