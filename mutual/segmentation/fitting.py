"""Trains a segmenter on true labels, or on true and pseudo labels, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mutual.few.order import Stream
from mutual.few.weighting import Weighting
from mutual.machine.optimizers import SGD
from mutual.machine.streams import numpy_stream
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.form import Form, logits_of
from mutual.segmentation.losses import weighted_loss
from mutual.segmentation.poly import polynomial
from mutual.segmentation.views import Cut, training_views

# a picture: (H, W, 3) uint8, (H, W) uint8 labels, (H, W) float32 confidences or None for those of people
Example = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    epochs: int  # passes over the pictures: of a phase those that are pseudo-labelled
    batch_size: int
    labelled: int  # of a batch of a phase
    lr: float  # at first
    power: float  # of its fall to 0
    momentum: float
    weight_decay: float


class Said(NamedTuple):
    """Of an iteration: scalars on the device."""

    loss: torch.Tensor
    weight: torch.Tensor  # mean over the pixels that have a label


class Source(NamedTuple):
    """Pictures, and how many of them are in a batch."""

    rows: np.ndarray  # (N,) int64
    example: Callable[[int], Example]  # of a row
    taken: int
    purpose: str


def fit(
    network: DeepLab,
    form: Form,
    plan: Plan,
    cut: Cut,
    pseudo: Source | None,
    labelled: Source,
    weighting: Weighting,
    stream: tuple[int, str, int],
    iterations: int,
) -> Iterator[Said]:
    """Train: a batch is so many pseudo-labelled pictures, if there are any, and so many labelled by people.

    ``stream``: the seed, what all is drawn for, and the phase's number. Weights are those of the pass that learns.
    """
    seed, purpose, number = stream
    device = next(network.parameters()).device
    optimizer = SGD(network.parameters(), plan.lr, plan.momentum, weight_decay=plan.weight_decay, fused=True)
    sources = [source for source in (pseudo, labelled) if source is not None]
    orders = [Stream(len(source.rows), seed, f"{purpose}, {source.purpose}", number) for source in sources]
    by_people = torch.tensor([source is labelled for source in sources for _ in range(source.taken)], device=device)
    network.train()
    for iteration in range(iterations):
        rows = [(each, row) for each, order in zip(sources, orders, strict=True) for row in order.take(each.taken)]
        images, masks, sure = zip(*(each.example(int(each.rows[row])) for each, row in rows), strict=True)
        rng = numpy_stream(seed, f"{purpose}, views", number, iteration)
        views = training_views(images, masks, sure, rng, cut, colours=form.seen, device=device)
        logits = logits_of(network, views.images, form.precision)
        loss = weighted_loss(logits, views.labels, views.confidences, by_people, weighting)
        for group in optimizer.param_groups:
            group["lr"] = polynomial(iteration, iterations, plan.lr, plan.power)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        yield Said(loss.total.detach(), loss.weight)
    network.eval()
