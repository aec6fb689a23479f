"""What networks expect of images: floats of a mean and a deviation, in channels-last memory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mutual.machine.device import uploaded

MEAN = (0.485, 0.456, 0.406)  # ImageNet, RGB, of values in 0 .. 1
STD = (0.229, 0.224, 0.225)


class Normalisation(NamedTuple):
    """What images are normalised with: RGB of values in 0 .. 1."""

    mean: Sequence[float]
    std: Sequence[float]


IMAGENET = Normalisation(MEAN, STD)


def normalise(images: Tensor, by: Normalisation = IMAGENET) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in channels-last memory, as networks of this normalisation expect."""
    mean, std = (uploaded(np.array(each, np.float32), images.device) for each in by)
    return images.to(torch.float32).div_(255).sub_(mean).div_(std).permute(0, 3, 1, 2)
