"""Mixup (Zhang et al., 2018) of images and of their weights, as dynamic mutual training's authors have it."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.machine.device import CPU, uploaded

ALPHA = 0.75  # both parameters of the beta distribution


class Mix(NamedTuple):
    """Each of B images is this share itself, and for the rest the image that is in its place in another order."""

    share: float
    order: Tensor  # (B,) int64, a permutation


def draw_mix(rng: np.random.Generator, count: int, *, larger: bool, device: torch.device = CPU) -> Mix:
    """One share for all ``count`` images, of Beta(0.75, 0.75).

    With ``larger``, as on pseudo labels, it is the larger of both parts, so that an image stays mostly itself; while
    there are given labels only the authors leave it as it is drawn.
    """
    share = float(rng.beta(ALPHA, ALPHA))
    return Mix(max(share, 1 - share) if larger else share, uploaded(rng.permutation(count), device))


def mixed(values: Tensor, mix: Mix) -> Tensor:
    """(B, ...) images, or weights -> the same, mixed."""
    return mix.share * values + (1 - mix.share) * values[mix.order]


def mixed_loss(logits: Tensor, labels: Tensor, weights: Tensor, mix: Mix) -> Tensor:
    """Of mixed images: the sum of mixed weight x mixed cross entropy, over B.

    (B, C) logits of the mixed images; (B,) int64 labels and (B,) weights of the images as they were.
    """
    first, second = (F.cross_entropy(logits, each, reduction="none") for each in (labels, labels[mix.order]))
    return (mixed(weights, mix) * (mix.share * first + (1 - mix.share) * second)).mean()
