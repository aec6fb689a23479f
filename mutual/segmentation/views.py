"""Views of labelled pictures for training: another size, a crop, a mirror image; the labels move along.

What is random is drawn first, for each picture by itself; what is then done with it depends on that alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.machine.device import CPU, uploaded
from mutual.segmentation.colours import IMAGENET, Colours, entering
from mutual.segmentation.iou import IGNORED
from mutual.segmentation.params import Views as Chosen


@dataclass(frozen=True)
class Cut:
    """What views are cut by."""

    height: int  # of a view
    width: int
    scales: tuple[float, float]  # between which a picture is scaled: 0.5 and 1.5 with the authors
    flip: bool = True


def cut_of(views: Chosen) -> Cut:
    """By the parameters."""
    return Cut(views.crop_height, views.crop_width, (views.least_scale, views.most_scale), views.flip)


class View(NamedTuple):
    """One picture's draw. A scaled picture that is smaller than a view is padded at its bottom and right."""

    height: int  # of the scaled picture
    width: int
    top: int  # of the crop, in the scaled and padded picture
    left: int
    flipped: bool


class Views(NamedTuple):
    """A batch, on the device."""

    images: Tensor  # (B, 3, h, w) float32, channels-last
    labels: Tensor  # (B, h, w) int64, 255 outside the picture
    confidences: Tensor  # (B, h, w) float32, 0 outside the picture


def drawn_view(rng: np.random.Generator, height: int, width: int, cut: Cut) -> View:
    """How a (height, width) picture is seen: four numbers are drawn, whatever the cut. A side is at least a pixel."""
    scale = rng.uniform(*cut.scales)
    high, wide = max(1, int(height * scale)), max(1, int(width * scale))
    top = int(rng.integers(0, max(high - cut.height, 0), endpoint=True))
    left = int(rng.integers(0, max(wide - cut.width, 0), endpoint=True))
    return View(high, wide, top, left, bool(rng.random() < 0.5) and cut.flip)


def training_views(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    confidences: Sequence[np.ndarray | None],
    rng: np.random.Generator,
    cut: Cut,
    *,
    colours: Colours = IMAGENET,
    device: torch.device = CPU,
) -> Views:
    """A random view of each (H, W, 3) uint8 picture with its (H, W) uint8 labels and float32 confidences, None: all 1.

    Pictures are uploaded as bytes; all arithmetic is the device's.
    """
    draws = [drawn_view(rng, image.shape[0], image.shape[1], cut) for image in images]
    seen = [
        applied_view(image, label, confidence, view, cut, device)
        for image, label, confidence, view in zip(images, labels, confidences, draws, strict=True)
    ]
    pixels, named, sure = (torch.stack(each) for each in zip(*seen, strict=True))
    return Views(entering(pixels, colours), named, sure)


def applied_view(
    image: np.ndarray,
    labels: np.ndarray,
    confidences: np.ndarray | None,
    view: View,
    cut: Cut,
    device: torch.device = CPU,
) -> tuple[Tensor, Tensor, Tensor]:
    """One view, before it is normalised: (h, w, 3) float32 in 0 .. 255, (h, w) int64, (h, w) float32.

    Pixels are interpolated (bilinear, corners not aligned, no antialiasing), labels and confidences are those of the
    nearest pixel. Outside the picture it is black.
    """
    whole = uploaded(np.array(image), device).permute(2, 0, 1)[None].float()
    scaled = F.interpolate(whole, size=(view.height, view.width), mode="bilinear", align_corners=False)[0]
    seen = scaled[:, view.top : view.top + cut.height, view.left : view.left + cut.width].permute(1, 2, 0)
    pixels = torch.zeros(cut.height, cut.width, 3, device=device)
    named = torch.full((cut.height, cut.width), IGNORED, device=device)
    sure = torch.zeros(cut.height, cut.width, device=device)
    inside = np.s_[: seen.shape[0], : seen.shape[1]]
    rows = uploaded(_nearest(image.shape[0], view.height, view.top, seen.shape[0]), device)[:, None]
    columns = uploaded(_nearest(image.shape[1], view.width, view.left, seen.shape[1]), device)
    pixels[inside] = seen
    named[inside] = uploaded(np.array(labels), device)[rows, columns].to(torch.int64)
    sure[inside] = 1.0 if confidences is None else uploaded(np.array(confidences), device)[rows, columns]
    if view.flipped:
        return pixels.flip(1), named.flip(1), sure.flip(1)
    return pixels, named, sure


def _nearest(before: int, after: int, start: int, count: int) -> np.ndarray:
    """(count,) where the places from ``start`` on come from, of a side of ``before`` pixels scaled to ``after``."""
    return np.arange(start, start + count) * before // after
