"""Views of images for training: flip, pad and crop, normalise, erase. On the CPU, by slices of the batch's arrays."""

import numpy as np
import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # ImageNet, RGB, of values in 0 .. 1
STD = (0.229, 0.224, 0.225)
ERASE_AREA = (0.02, 0.4)  # of the image's area
ERASE_ASPECT = 0.3  # height : width between this and its inverse
ERASE_ATTEMPTS = 100


def normalise(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in channels-last memory, as ImageNet networks expect it."""
    values = torch.from_numpy(images).to(torch.float32).div_(255)
    return values.sub_(torch.tensor(MEAN)).div_(torch.tensor(STD)).permute(0, 3, 1, 2)


def training_views(
    images: np.ndarray, rng: np.random.Generator, *, padding: int, erase_probability: float = 0.0
) -> Tensor:
    """One random view of each of the (B, H, W, 3) uint8 images: (B, 3, H, W) float32, channels-last.

    Horizontal flip with probability 1/2, a crop of the original size out of the image padded with ``padding`` black
    pixels on each side, normalisation, and (Zhong et al., 2020) one erased rectangle with ``erase_probability``.
    """
    cropped = np.zeros_like(images)
    flips = rng.random(len(images)) < 0.5
    offsets = rng.integers(-padding, padding, (len(images), 2), endpoint=True)
    for image, view, flip, (down, right) in zip(images, cropped, flips, offsets, strict=True):
        source = image[:, ::-1] if flip else image
        view[_target(down), _target(right)] = source[_target(-down), _target(-right)]
    views = normalise(cropped)
    erased = np.flatnonzero(rng.random(len(images)) < erase_probability)
    # the authors fill with the mean *after* normalisation: nearly black, not grey
    fill = torch.tensor(MEAN)[:, None, None]
    for i in erased:
        top, left, height, width = erased_rectangle(images.shape[1], images.shape[2], rng)
        views[i, :, top : top + height, left : left + width] = fill
    return views


def _target(shift: int) -> slice:
    """Rows that stay inside the image after moving it by ``shift``."""
    return slice(shift, None) if shift >= 0 else slice(None, shift)


def erased_rectangle(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random rectangle inside the image; empty when no attempt fits."""
    for _ in range(ERASE_ATTEMPTS):
        area = rng.uniform(*ERASE_AREA) * height * width
        aspect = rng.uniform(ERASE_ASPECT, 1 / ERASE_ASPECT)
        h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if h < height and w < width:
            return int(rng.integers(0, height - h, endpoint=True)), int(rng.integers(0, width - w, endpoint=True)), h, w
    return 0, 0, 0, 0
