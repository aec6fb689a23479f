"""Endless batches of views: of labelled images drawn by identity, and of unlabelled ones."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mutual.images.views import training_views
from mutual.learning.sampler import identity_batches, shuffled_batches
from mutual.machine.device import uploaded


def labelled_views(
    images: np.ndarray,
    labels: np.ndarray,
    camids: np.ndarray,
    batch_stream: np.random.Generator,
    view_streams: Sequence[np.random.Generator],
    *,
    batch_size: int,
    instances: int,
    padding: int,
    device: torch.device,
    erase_probability: float = 0.0,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Endless (B,) int64 labels and, for each peer's stream, (B, 3, H, W) views of images drawn by identity.

    They are on the device; ``images`` is (N, H, W, 3) uint8; outliers (label -1) are never drawn.
    """
    inliers = np.flatnonzero(labels >= 0)
    views = partial(training_views, padding=padding, erase_probability=erase_probability, device=device)
    for chosen in identity_batches(labels[inliers], camids[inliers], batch_size, instances, batch_stream):
        rows = inliers[chosen]
        batch = images[rows]
        yield uploaded(labels[rows], device), [views(batch, rng) for rng in view_streams]


def unlabelled_views(
    images: np.ndarray,
    order: np.random.Generator,
    view_stream: np.random.Generator,
    *,
    batch_size: int,
    padding: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Endless (B, 3, H, W) views of (N, H, W, 3) uint8 images, plainly shuffled."""
    for rows in shuffled_batches(len(images), batch_size, order):
        yield training_views(images[rows], view_stream, padding=padding, device=device)
