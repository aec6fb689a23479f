"""Supervised training on labels that may be wrong: epochs of plainly shuffled batches, whichever refinery learns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.images.views import training_views
from mutual.learning.adaptation import Round, step
from mutual.learning.batches import Batch
from mutual.learning.schedule import warmup_multistep
from mutual.machine.device import uploaded
from mutual.machine.optimizers import SGD
from mutual.machine.streams import integer_seed, numpy_stream
from mutual.noise.network import SupervisedNetwork
from mutual.refineries.contract import Refinery, Targets


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    epochs: int
    batch_size: int
    backbone_lr: float  # until the first milestone
    head_lr: float
    milestones: Sequence[int]  # epochs, from 0, before which both rates fall to a tenth
    momentum: float  # Nesterov's
    weight_decay: float
    padding: int  # pixels of black around an image before it is cropped at random
    flip: bool


def rates(plan: Plan, epoch: int) -> tuple[float, float]:
    """The learning rates of an epoch (from 0): of the backbone, and of all that follows it."""
    backbone, head = (warmup_multistep(epoch, lr, 0, plan.milestones) for lr in (plan.backbone_lr, plan.head_lr))
    return backbone, head


def shuffled(count: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows of an epoch in batches; the last is what is left."""
    return np.split(rng.permutation(count), range(batch_size, count, batch_size))


def fit(
    refinery: Refinery,
    networks: Sequence[SupervisedNetwork],
    images: np.ndarray,
    labels: np.ndarray,
    plan: Plan,
    seed: int,
    device: torch.device,
) -> Iterator[float]:
    """Train all networks, on the same views; after each epoch yield its mean loss, the sum over the networks.

    ``images`` are (N, H, W, 3) uint8, ``labels`` (N,) int64 0 .. C - 1. A round of the refinery is an epoch, and so is
    a pass over the images. The networks are then in eval mode, whatever they are used for meanwhile. Raises
    :class:`InputError` for a batch of one image, which batch norms cannot normalise, and a loss that is not finite.
    """
    count = len(images)
    if count % plan.batch_size == 1:
        raise InputError(f"batch_size: expected another than {plan.batch_size}, which leaves one of {count} images")
    body = [p for network in networks for p in network.backbone.parameters()]
    own = {id(p) for p in body}
    head = [p for network in networks for p in network.parameters() if id(p) not in own]
    groups = [{"params": body, "lr": plan.backbone_lr}, {"params": head, "lr": plan.head_lr}]
    optimizer = SGD(groups, momentum=plan.momentum, nesterov=True, weight_decay=plan.weight_decay, fused=True)
    for network in networks:
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    refinery.begin(1, labels, list)
    batches = -(-count // plan.batch_size)
    view_at: Callable[[int], np.random.Generator] = partial(numpy_stream, seed, "views with wrong labels", 0)
    for epoch in range(plan.epochs):
        for network in networks:
            network.train()
        for group, lr in zip(optimizer.param_groups, rates(plan, epoch), strict=True):
            group["initial_lr"] = lr
        within = Round(epoch + 1, plan.epochs * batches, 0, networks[0].classifier.out_features, 0.0)
        losses = []
        for i, rows in enumerate(shuffled(count, plan.batch_size, numpy_stream(seed, "wrong labels", 0, epoch))):
            iteration = epoch * batches + i
            torch.manual_seed(integer_seed(seed, "dropout with wrong labels", 0, iteration))
            view = training_views(
                images[rows],
                view_at(iteration),
                padding=plan.padding,
                flip=plan.flip,
                device=device,
                normalisation=networks[0].normalisation,
            )
            targets = Targets(uploaded(labels[rows], device))
            batch = Batch(uploaded(rows, device), targets, [view] * len(networks))
            found = step(refinery, networks, None, batch, None, optimizer, iteration, within)
            losses.append(found[0] * (len(rows) / count))
        mean = float(torch.stack(losses).sum())
        if not np.isfinite(mean):
            raise InputError(f"head_lr: the loss is not finite in epoch {epoch + 1}: expected lower rates")
        for network in networks:
            network.eval()
        yield mean
