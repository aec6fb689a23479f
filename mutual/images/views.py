"""Views of images for training: flip, pad and crop, normalise, erase."""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from mutual.images.normalisation import IMAGENET, Normalisation, normalise
from mutual.machine.device import CPU, uploaded

ERASE_AREA = (0.02, 0.4)  # of the image's area
ERASE_ASPECT = 0.3  # height : width between this and its inverse
ERASE_ATTEMPTS = 100


def training_views(
    images: np.ndarray,
    rng: np.random.Generator,
    *,
    padding: int,
    flip: bool = True,
    erase_probability: float = 0.0,
    device: torch.device = CPU,
    normalisation: Normalisation = IMAGENET,
) -> Tensor:
    """One random view of each of the (B, H, W, 3) uint8 images: (B, 3, H, W) float32, channels-last, on the device.

    Horizontal flip with probability 1/2 (never without ``flip``), a crop of the original size out of the image padded
    with ``padding`` black pixels on each side, normalisation, and (Zhong et al., 2020) one erased rectangle with
    ``erase_probability``.
    """
    count, height, width, _ = images.shape
    flips = np.asarray(rng.random(count) < 0.5) & flip
    shifts = rng.integers(-padding, padding, (count, 2), endpoint=True)
    boxes = np.zeros((count, 4), np.int64)
    for i in np.flatnonzero(rng.random(count) < erase_probability):
        boxes[i] = erased_rectangle(height, width, rng)
    if device.type == "cpu":
        return compiled_views(images, flips, shifts, boxes, normalisation)
    there = [uploaded(each, device) for each in (images, flips, shifts, boxes)]
    return vectorised_views(*there, by=normalisation)


def vectorised_views(
    images: Tensor, flips: Tensor, shifts: Tensor, boxes: Tensor, *, by: Normalisation = IMAGENET
) -> Tensor:
    """Each (H, W, 3) uint8 image mirrored or not, moved down and right, normalised, its box filled.

    ``flips`` (B,) bool; ``shifts`` (B, 2) down and right; ``boxes`` (B, 4) top, left, height and width: int64. As
    operations on the whole batch, for a GPU: they take a CPU fifteen times as long as :func:`compiled_views`.
    """
    count, height, width, _ = images.shape
    image, y, x = (torch.arange(size, device=images.device) for size in (count, height, width))
    row, column = y - shifts[:, :1], x - shifts[:, 1:]  # (B, H), (B, W): where a pixel of the view comes from
    shown = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None]
    column = torch.where(flips[:, None], width - 1 - column, column)
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    views = normalise(images[image[:, None, None], row[:, :, None], column[:, None]] * shown[..., None], by)
    top, left, high, wide = boxes.T[..., None]
    erased = ((y >= top) & (y < top + high))[:, :, None] & ((x >= left) & (x < left + wide))[:, None]
    fill = uploaded(np.array(by.mean, np.float32), images.device)
    return torch.where(erased[..., None], fill, views.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def compiled_views(
    images: np.ndarray, flips: np.ndarray, shifts: np.ndarray, boxes: np.ndarray, by: Normalisation = IMAGENET
) -> Tensor:
    """The same views, image by image."""
    images = images.copy()
    # torch mirrors channels-last images by vector instructions
    images[flips] = torch.from_numpy(images[flips]).permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1).numpy()
    count, height, width, _ = images.shape
    mean, std = (np.tile(np.array(each, np.float32), width) for each in by)
    views = torch.empty(images.shape)
    rows = (count, height, 3 * width)
    _draw_views(images.reshape(rows), shifts, boxes, mean, std, views.numpy().reshape(rows))
    return views.permute(0, 3, 1, 2)


@njit(parallel=True, cache=True, error_model="numpy")
def _draw_views(
    images: np.ndarray,
    shifts: np.ndarray,
    boxes: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    views: np.ndarray,
) -> None:
    """Each (H, 3 W) image moved down and right, normalised, its box filled -> ``views``.

    A line is put together as bytes first, so that the arithmetic is vector instructions.
    """
    count, height, length = images.shape
    for i in prange(count):
        down, right = shifts[i, 0], 3 * shifts[i, 1]
        first, last = max(right, 0), max(right, 0, min(length + right, length))
        line, black = np.zeros(length, np.uint8), np.zeros(length, np.uint8)
        for y in range(height):
            shown, view = black, views[i, y]
            if 0 <= y - down < height:
                shown = line
                line[first:last] = images[i, y - down, first - right : last - right]
            for k in range(length):
                view[k] = (np.float32(shown[k]) / np.float32(255) - mean[k]) / std[k]
        top, left, high, wide = boxes[i]
        for y in range(top, top + high):
            for k in range(3 * left, 3 * (left + wide)):
                # as the authors do, after normalisation: nearly black, not grey
                views[i, y, k] = mean[k]


def erased_rectangle(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random rectangle inside the image; empty when no attempt fits."""
    for _ in range(ERASE_ATTEMPTS):
        area = rng.uniform(*ERASE_AREA) * height * width
        aspect = rng.uniform(ERASE_ASPECT, 1 / ERASE_ASPECT)
        h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if h < height and w < width:
            return int(rng.integers(0, height - h, endpoint=True)), int(rng.integers(0, width - w, endpoint=True)), h, w
    return 0, 0, 0, 0
