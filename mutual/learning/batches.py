"""Batches of views as functions of the iteration: of labelled images drawn by identity, and of unlabelled ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mutual.clusters.pseudo_labels import PseudoLabels
from mutual.images.normalisation import IMAGENET, Normalisation
from mutual.images.views import training_views
from mutual.learning.sampler import identity_batches, shuffled_batches
from mutual.machine.device import uploaded
from mutual.machine.streams import numpy_stream
from mutual.refineries.contract import Targets


@dataclass(frozen=True)
class Streams:
    """Where the random numbers of a round's batches and views come from: streams that no other round shares."""

    seed: int
    round_number: int = 0

    def of(self, purpose: str) -> Callable[[int], np.random.Generator]:
        """Iteration, or pass -> its generator."""
        return partial(numpy_stream, self.seed, purpose, self.round_number)


@dataclass(frozen=True)
class TrainingSet:
    """Labelled images."""

    images: np.ndarray  # (N, H, W, 3) uint8
    labels: PseudoLabels
    camids: np.ndarray  # (N,) int64


@dataclass(frozen=True)
class Cut:
    """How batches and views are cut, and where they go."""

    batch_size: int
    instances: int  # images of an identity
    padding: int
    device: torch.device
    flip: bool = True
    erase_probability: float = 0.0
    normalisation: Normalisation = IMAGENET  # of the networks that see them

    def erasing(self, probability: float) -> "Cut":
        """The same with random erasing."""
        return replace(self, erase_probability=probability)


@dataclass(frozen=True)
class Batch:
    """A batch on the device: which images, their labels, and a (B, 3, H, W) view of them for each peer."""

    rows: Tensor  # (B,) int64, of the packed array
    targets: Targets
    views: list[Tensor]


def labelled_batches(
    of: TrainingSet, streams: Streams, purpose: str, view_purposes: Sequence[str], cut: Cut
) -> Callable[[int], Batch]:
    """The function iteration -> :class:`Batch` of the images, drawn by identity.

    Images that the labels leave out are never drawn. ``purpose`` names the stream of the batches, ``view_purposes`` one
    of views for each peer. Raises :class:`InputError` when a batch cannot be filled.
    """
    trained = np.flatnonzero(of.labels.trained)
    pids, camids = of.labels.classes[trained], of.camids[trained]
    chosen = identity_batches(pids, camids, cut.batch_size, cut.instances, streams.of(purpose))
    draw = partial(
        training_views,
        padding=cut.padding,
        flip=cut.flip,
        erase_probability=cut.erase_probability,
        device=cut.device,
        normalisation=cut.normalisation,
    )
    of_peers = [streams.of(each) for each in view_purposes]

    def batch(iteration: int) -> Batch:
        rows = trained[chosen(iteration)]
        pixels = of.images[rows]
        classes, *beliefs = of.labels.of(rows)
        weights, soft = (None if each is None else uploaded(each, cut.device) for each in beliefs)
        views = [draw(pixels, stream(iteration)) for stream in of_peers]
        return Batch(uploaded(rows, cut.device), Targets(uploaded(classes, cut.device), weights, soft), views)

    return batch


def unlabelled_views(
    images: np.ndarray, streams: Streams, purpose: str, view_purpose: str, cut: Cut
) -> Callable[[int], Tensor]:
    """The function iteration -> (B, 3, H, W) views of (N, H, W, 3) uint8 images, plainly shuffled."""
    rows = shuffled_batches(len(images), cut.batch_size, streams.of(purpose))
    stream = streams.of(view_purpose)
    draw = partial(
        training_views, padding=cut.padding, flip=cut.flip, device=cut.device, normalisation=cut.normalisation
    )
    return lambda i: draw(images[rows(i)], stream(i))
