"""A mild augmentation for tiny pictures, such as digits of 8 x 8 pixels, of which whole pixels' shifts leave little."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mutual.classification.warping import centred, interpolated
from mutual.machine.device import uploaded

ANGLE = 10.0  # degrees, at most, either way
SCALES = (0.9, 1.1)
SHIFT = 0.5  # pixels, at most, either way, of both directions
NOISE = 0.05  # standard deviation, of the range of values


class Plan(NamedTuple):
    """What is done to each of B images."""

    angle: np.ndarray  # (B,) float64, radians, counter-clockwise
    scale: np.ndarray  # (B,) float64, larger than 1 enlarges
    shift: np.ndarray  # (B, 2) float64, pixels to the right and down
    noise: np.ndarray  # (B, H, W) float32, of the range 0 .. 1, the same for the three colours: grey stays grey


def draw(rng: np.random.Generator, count: int, height: int, width: int) -> Plan:
    """All uniform but the noise, which is normal."""
    angle = np.deg2rad(rng.uniform(-ANGLE, ANGLE, count))
    scale, shift = rng.uniform(*SCALES, count), rng.uniform(-SHIFT, SHIFT, (count, 2))
    return Plan(angle, scale, shift, rng.standard_normal((count, height, width), np.float32) * np.float32(NOISE))


def apply(images: Tensor, plan: Plan) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 of 0 .. 255, beyond which the noise may reach; edges go on outside the image."""
    height, width = images.shape[2:]
    where = centred(plan.angle, plan.scale, height, width)
    where[:, :, 2] -= (where[:, :, :2] @ plan.shift[:, :, None])[:, :, 0]
    noise = uploaded(plan.noise, images.device)[:, None]
    return torch.add(interpolated(images.float(), where), noise, alpha=255.0)
