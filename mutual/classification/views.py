"""Views of images for the training of classifiers: padded and cropped, mirrored, augmented, normalised."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mutual.classification import mild, randaugment
from mutual.images.normalisation import Normalisation, normalise
from mutual.machine.device import CPU, uploaded

Augment = Literal["none", "mild", "randaugment"]
CIFAR = Normalisation((0.49137, 0.48235, 0.44667), (0.24706, 0.24353, 0.26157))  # of CIFAR-10's training images
GREY = 128  # around an image


def cropped(images: Tensor, flips: Tensor, shifts: Tensor, fill: int) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) uint8: moved down and right by (B, 2) int64, then mirrored where (B,) bool.

    What comes in from outside is ``fill``.
    """
    count, height, width, _ = images.shape
    image, y, x = (torch.arange(size, device=images.device) for size in (count, height, width))
    x = torch.where(flips[:, None], width - 1 - x, x)  # (B, W): a column of the view before it is mirrored
    row, column = y - shifts[:, :1], x - shifts[:, 1:]
    shown = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None]
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    there = images[image[:, None, None], row[:, :, None], column[:, None]]
    return there.masked_fill_(~shown[..., None], fill).permute(0, 3, 1, 2)


def classifier_views(
    images: np.ndarray,
    rng: np.random.Generator,
    *,
    padding: int,
    flip: bool,
    augment: Augment,
    normalisation: Normalisation,
    fill: int = GREY,
    device: torch.device = CPU,
) -> Tensor:
    """One random view of each of the (B, H, W, 3) uint8 images: (B, 3, H, W) float32, channels-last, on the device.

    In this order: a crop of the original size out of the image with ``padding`` pixels of ``fill`` on each side, a
    horizontal flip with probability 1/2 (never without ``flip``), the augmentation, normalisation. The crop and the
    flip that are drawn do not depend on the augmentation.
    """
    count, height, width, _ = images.shape
    flips = np.asarray(rng.random(count) < 0.5) & flip
    shifts = rng.integers(-padding, padding, (count, 2), endpoint=True)
    views = cropped(uploaded(images, device), uploaded(flips, device), uploaded(shifts, device), fill)
    match augment:
        case "mild":
            views = mild.apply(views, mild.draw(rng, count, height, width))
        case "randaugment":
            views = randaugment.apply(views, randaugment.draw(rng, count))
    return classifier_input(views, normalisation)


def classifier_input(images: Tensor, normalisation: Normalisation) -> Tensor:
    """(B, 3, H, W) of 0 .. 255, uint8 or float32 -> float32, normalised, in channels-last memory."""
    copy = images.permute(0, 2, 3, 1).clone()  # float32 would be normalised where it is
    return normalise(copy, normalisation).contiguous(memory_format=torch.channels_last)
