"""A picture and its mask, from files to arrays: as they are stored, neither turned nor with palettes applied."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from mutual.base.errors import InputError
from mutual.datasets.depth import check_colours, is_deep, resized_to_8_bits
from mutual.datasets.folders import shown
from mutual.datasets.looks import ORIENTATION, TURNED
from mutual.datasets.packing import opened, quietly
from mutual.segmentation.entries import Entry
from mutual.segmentation.iou import IGNORED

MASK_MODES = ("P", "L", "1", "I", "I;16", "I;16L", "I;16B", "I;16N")
SPREAD = {"2": 85, "4": 17}  # what Pillow multiplies grey values of so many bits with


def size_of(entry: Entry) -> tuple[int, int]:
    """Height and width of a picture, as its head says; :class:`InputError` where its mask has others."""
    with quietly():
        with opened(str(entry.image)) as image:
            size, turned = image.size, image.getexif().get(ORIENTATION) in TURNED
        if entry.mask is not None:
            with opened(str(entry.mask)) as mask:
                found = mask.size
            if found != size:
                hint = ": its EXIF says to turn it, which is not done here" if turned and found == size[::-1] else ""
                wanted = f"expected {size[0]} x {size[1]} pixels, as {shown(entry.name)} has{hint}"
                raise InputError(f"{shown(entry.mask)}: {wanted}, found {found[0]} x {found[1]}")
    return size[1], size[0]


def decoded(entry: Entry, table: np.ndarray, shrink: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB and (H, W) uint8 labels, 255 where there are none.

    ``table``: (256,) int16, see :func:`mutual.segmentation.sources.label_table`. Sides are divided by ``shrink`` and
    rounded up: an image's pixels are means of so many a side, of a mask's the middle one is taken. Raises
    :class:`InputError` for what cannot be read, a mask of several channels and a label that may not be.
    """
    with quietly():
        pixels = _pixels(entry.image, shrink)
        if entry.mask is None:
            return pixels, np.full(pixels.shape[:2], IGNORED, np.uint8)
        labels = _labels(entry.mask, table)
    y, x = (np.minimum(np.arange(0, n, shrink) + shrink // 2, n - 1) for n in labels.shape)
    return pixels, labels[y[:, None], x]


def _pixels(path: Path, shrink: int) -> np.ndarray:
    with opened(str(path)) as image:
        stored = str(image.tile[0][3]) if image.tile else image.mode
        rgb: Image.Image = image
        if is_deep(image):
            rgb = Image.fromarray(resized_to_8_bits(image, image.size))
        else:
            check_colours(image, stored)
            rgb = image if image.mode == "RGB" else image.convert("RGB")
        return np.asarray(rgb.reduce(shrink) if shrink > 1 else rgb)


def _labels(path: Path, table: np.ndarray) -> np.ndarray:
    values, mode = None, ""
    with opened(str(path)) as image:
        mode = image.mode
        few = re.search(r"\bL;([24])\b", str(image.tile[0][3])) if mode == "L" and image.tile else None
        if mode in MASK_MODES:
            values = np.asarray(image).astype(np.int64) // (SPREAD[few[1]] if few else 1)
    if values is None:
        raise InputError(f"{shown(path)}: expected a mask of one channel, palette or grey, found {mode}")
    labels = np.where((values >= 0) & (values < len(table)), table[values.clip(0, len(table) - 1)], -1)
    if (refused := labels < 0).any():
        known = np.flatnonzero(table >= 0)
        highest = known[known != IGNORED].max()
        value = int(values[refused][0])
        raise InputError(f"{shown(path)}: expected labels 0 to {highest} and {IGNORED}, found {value}")
    return labels.astype(np.uint8)
