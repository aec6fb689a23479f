"""Small versions of pictures, their proportions kept."""

from pathlib import Path

import numpy as np
from PIL import Image

from mutual.base.errors import InputError
from mutual.datasets.folders import formats, shown
from mutual.datasets.packing import decode

ORIENTATION, TURNED = 0x0112, range(5, 9)  # of Exif: these values turn by a quarter


def thumbnail(path: Path, width: int, height: int, *, enlarge: bool = False) -> Image.Image:
    """The picture as RGB, as large as fits ``width`` x ``height`` pixels; a smaller one stays unless ``enlarge``.

    It is decoded as the network sees it. Raises :class:`InputError` where it cannot be read.
    """
    own_width, own_height = _size(path)
    scale = min(width / own_width, height / own_height)
    if not enlarge:
        scale = min(scale, 1)
    small = max(1, round(own_width * scale)), max(1, round(own_height * scale))
    return Image.fromarray(np.ascontiguousarray(decode([str(path)], small[1], small[0])[0]))


def _size(path: Path) -> tuple[int, int]:
    """Width and height, upright."""
    try:
        with Image.open(path, formats=formats()) as image:
            turned = image.getexif().get(ORIENTATION) in TURNED
            return (image.height, image.width) if turned else image.size
    except Exception as error:  # decoding it tells the same in its own words
        raise InputError(f"{shown(path)}: cannot be read as an image: {error}") from None
