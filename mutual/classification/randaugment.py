"""RandAugment (Cubuk et al., 2020) as dynamic mutual training's authors use it: one of 16 operations on each image.

The strength is a whole number m of 1 .. 10, and what is done is least + (most - least) m / 10 of :data:`RANGES`. Whole
batches are computed at once, on any device; images are (B, 3, H, W) uint8 RGB. The operations are those of Pillow,
which the authors call, to a grey level.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mutual.classification.warping import centred, moved
from mutual.machine.device import uploaded

SIDE = 32  # pixels of the images that the ranges of pixels below are meant for
STRONGEST = 10
RANGES = {  # least and most
    "autocontrast": (0.0, 0.0),
    "equalise": (0.0, 0.0),
    "invert": (0.0, 0.0),
    "rotate": (0.0, 30.0),  # degrees, either way
    "posterise": (0.0, 4.0),  # bits that are kept, at least one
    "solarise": (0.0, 256.0),  # from which value on it is inverted
    "solarise-add": (0.0, 110.0),  # what the darker half is lightened by
    "colour": (0.1, 1.9),  # 0 is grey, 1 the image itself
    "contrast": (0.1, 1.9),
    "brightness": (0.1, 1.9),
    "sharpness": (0.1, 1.9),
    "shear x": (0.0, 0.3),  # pixels a pixel, either way
    "shear y": (0.0, 0.3),
    "cutout": (0.0, 40.0),  # pixels of the side
    "translate x": (0.0, 100.0),  # pixels, either way
    "translate y": (0.0, 100.0),
}
OPERATIONS = tuple(RANGES)
GEOMETRIC = ("rotate", "shear x", "shear y", "translate x", "translate y")
ENHANCING = ("colour", "contrast", "brightness", "sharpness")
BLACK = (0, 0, 0)  # comes in from outside
CUT = (125, 123, 114)  # fills the square that is cut out: the mean of CIFAR-10


class Plan(NamedTuple):
    """What is done to each of B images."""

    operation: np.ndarray  # (B,) int64, place in OPERATIONS
    strength: np.ndarray  # (B,) int64, 1 .. 10
    sign: np.ndarray  # (B,) int64, -1 or 1: which way geometric ones go
    place: np.ndarray  # (B, 2) float64, 0 .. 1: where the middle of what is cut out lies, down and right


def draw(rng: np.random.Generator, count: int) -> Plan:
    """An operation, a strength, a direction and a place for each of ``count`` images, all alike likely."""
    operation = rng.integers(0, len(OPERATIONS), count)
    strength = rng.integers(1, STRONGEST, count, endpoint=True)
    return Plan(operation, strength, 2 * rng.integers(0, 2, count) - 1, rng.random((count, 2)))


def values(name: str, strength: np.ndarray) -> np.ndarray:
    """(B,) float64: what the operation does at these strengths, before pixels are scaled to the image's size."""
    least, most = RANGES[name]
    return least + (most - least) * strength / STRONGEST


def apply(images: Tensor, plan: Plan) -> Tensor:
    """(B, 3, H, W) uint8 -> the same, each image by the plan; the given ones stay as they are.

    Pixels of translations and cutouts are those of images of 32 x 32, and scale with the sides. The images of one
    operation are computed together, all geometric ones at once.
    """
    found = images.clone()
    moving = np.isin(plan.operation, [OPERATIONS.index(name) for name in GEOMETRIC])
    for name in (*(name for name in OPERATIONS if name not in GEOMETRIC), "geometric"):
        chosen = moving if name == "geometric" else plan.operation == OPERATIONS.index(name)
        rows = np.flatnonzero(chosen)
        if not len(rows):
            continue
        part = Plan(*(each[rows] for each in plan))
        places = uploaded(rows, images.device)
        found[places] = _moved(images[places], part) if name == "geometric" else _changed(images[places], name, part)
    return found


def _moved(images: Tensor, plan: Plan) -> Tensor:
    """Turned, sheared or shifted, nearest pixels, black from outside."""
    height, width = images.shape[2:]
    where = np.tile(np.eye(2, 3), (len(images), 1, 1))  # (B, 2, 3): x and y from which pixels at (x, y, 1) come
    for i, (operation, strength, sign) in enumerate(zip(plan.operation, plan.strength, plan.sign, strict=True)):
        name = OPERATIONS[operation]
        value = sign * values(name, strength)
        match name:
            case "rotate":  # counter-clockwise where positive
                where[i] = centred(np.deg2rad(value), 1.0, height, width)
            case "shear x":
                where[i, 0, 1] = value
            case "shear y":
                where[i, 1, 0] = value
            case "translate x":
                where[i, 0, 2] = value * width / SIDE
            case "translate y":
                where[i, 1, 2] = value * height / SIDE
    return moved(images, where, BLACK)


def _changed(images: Tensor, name: str, plan: Plan) -> Tensor:
    """Other colours, or a part covered."""
    from torchvision.transforms.v2 import functional as vision  # takes longer to import than torch itself

    plain: dict[str, Callable[[Tensor], Tensor]] = {
        "autocontrast": vision.autocontrast,
        "equalise": vision.equalize,
        "invert": vision.invert,
        "colour": lambda each: vision.rgb_to_grayscale(each, num_output_channels=3),
        "contrast": lambda each: _mean_grey(vision.rgb_to_grayscale(each)),
        "brightness": torch.zeros_like,
        "sharpness": lambda each: vision.adjust_sharpness(each, 0.0),
    }
    if name == "cutout":
        return _cut(images, plan)
    if name in plain and name not in ENHANCING:
        return plain[name](images)
    value = uploaded(values(name, plan.strength).astype(np.float32), images.device)[:, None, None, None]
    match name:
        case "posterise":
            dropped = 8 - value.to(torch.uint8).clamp(min=1)
            return images >> dropped << dropped
        case "solarise":
            return torch.where(images < value, images, 255 - images)
        case "solarise-add":
            lighter = (images + value.to(torch.int16)).clamp(max=255).to(torch.uint8)
            return torch.where(images < 128, lighter, images)
    without = plain[name](images).float()  # the image with nothing of it, from which it is blended, or away from it
    return (without + value * (images - without)).clamp(0, 255).to(torch.uint8)


def _mean_grey(grey: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 1, 1, 1) float32, the mean, rounded."""
    return grey.float().mean((1, 2, 3), keepdim=True).add_(0.5).floor_()


def _cut(images: Tensor, plan: Plan) -> Tensor:
    """With a rectangle, at 32 x 32 a square, filled; it may reach over the edge."""
    sides = np.array(images.shape[2:])
    middle = np.floor(plan.place * sides)
    half = values("cutout", plan.strength)[:, None] * sides / SIDE / 2
    y, x = (torch.arange(int(side), device=images.device) for side in sides)
    top, left = uploaded(np.ceil(middle - half).astype(np.int64), images.device).T[..., None]
    below, right = uploaded(np.ceil(middle + half).astype(np.int64), images.device).T[..., None]
    inside = ((y >= top) & (y < below))[:, None, :, None] & ((x >= left) & (x < right))[:, None, None, :]
    fill = uploaded(np.array(CUT, np.uint8), images.device)[:, None, None]
    return torch.where(inside, fill, images)
