"""Trains a classifier on true labels, or on true and pseudo labels, batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.classification.average import copy_statistics, update_average
from mutual.classification.losses import joint_weights, weighted_loss
from mutual.classification.mixup import draw_mix, mixed, mixed_loss
from mutual.classification.schedule import cosine_rate, ramped
from mutual.classification.views import CIFAR, Augment, classifier_views
from mutual.classification.wide_resnet import WideResNet
from mutual.few.order import Stream
from mutual.few.weighting import Weighting
from mutual.machine.device import uploaded
from mutual.machine.optimizers import SGD
from mutual.machine.streams import numpy_stream

ORDER, VIEWS, MIXES = "order of images with few labels", "views with few labels", "mixes with few labels"


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    epochs: int  # passes over the images: of a phase those that are pseudo-labelled
    batch_size: int
    labelled: int  # of a batch of a phase
    lr: float  # at first; it falls to 0 along half a cosine
    momentum: float
    weight_decay: float
    kept: float  # of the averaged network, an iteration
    mixup: bool


@dataclass(frozen=True)
class Views:
    """What is done to images: see :func:`mutual.classification.views.classifier_views`."""

    augment: Augment
    padding: int
    flip: bool


@dataclass(frozen=True)
class Pseudo:
    """The images that another network labelled, and which a phase uses."""

    rows: np.ndarray  # (P,) int64
    labels: np.ndarray  # (P,) int64
    confidences: np.ndarray  # (P,) float32


@dataclass(frozen=True)
class Dynamics:
    """How pseudo labels count over a phase."""

    weighting: Weighting
    ramp: bool  # whether the exponents rise
    first_full: bool  # whether the first iteration has them in full nevertheless, as in the authors' code


class Judged(NamedTuple):
    """The pseudo-labelled images of a batch, its first ones, and how they count."""

    weighting: Weighting
    confidences: torch.Tensor  # (P,) float32
    factor: float  # of the exponents


class Said(NamedTuple):
    """Of an iteration, on the device."""

    loss: torch.Tensor  # scalar
    weights: torch.Tensor  # (P,) of the pseudo-labelled images; of all where none is


class Trainer:
    """A network, its average, and what moves them; iterations are counted from 0."""

    def __init__(
        self,
        network: WideResNet,
        average: WideResNet,
        plan: Plan,
        views: Views,
        iterations: int,
        seed: int,
        number: int,
    ) -> None:
        self.network, self.average, self.plan, self.views = network, average, plan, views
        self.iterations, self.seed, self.number = iterations, seed, number
        self.device = next(network.parameters()).device
        self.optimizer = SGD(network.parameters(), plan.lr, plan.momentum, weight_decay=plan.weight_decay, fused=True)
        network.train()

    def views_of(self, images: np.ndarray, rows: np.ndarray, iteration: int) -> torch.Tensor:
        """A view of each of these images."""
        return classifier_views(
            images[rows],
            numpy_stream(self.seed, VIEWS, self.number, iteration),
            padding=self.views.padding,
            flip=self.views.flip,
            augment=self.views.augment,
            normalisation=CIFAR,
            device=self.device,
        )

    def step(self, views: torch.Tensor, labels: np.ndarray, iteration: int, pseudo: Judged | None = None) -> Said:
        """Learn from a batch whose first images are pseudo-labelled, if any are."""
        targets = uploaded(labels, self.device)
        weights = torch.ones(len(views), device=self.device)
        if self.plan.mixup:
            if pseudo is not None and pseudo.weighting.form != "ones":
                # of the images as they are, by a pass of its own: batch norms see the batch twice, as the authors' do
                with torch.no_grad():
                    weights = joint_weights(pseudo.weighting, self.network(views), targets, *pseudo[1:])
            rng = numpy_stream(self.seed, MIXES, self.number, iteration)
            mix = draw_mix(rng, len(views), larger=pseudo is not None, device=self.device)
            loss = mixed_loss(self.network(mixed(views, mix)), targets, weights, mix)
        else:
            logits = self.network(views)
            if pseudo is not None:
                weights = joint_weights(pseudo.weighting, logits, targets, *pseudo[1:])
            loss = weighted_loss(logits, targets, weights)
        for group in self.optimizer.param_groups:
            group["lr"] = cosine_rate(self.plan.lr, iteration, self.iterations)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        update_average(self.average, self.network, self.plan.kept)
        return Said(loss.detach(), weights[: len(weights) if pseudo is None else len(pseudo.confidences)])

    def finish(self) -> None:
        """Leave the average in eval mode, with the network's last batch norm statistics."""
        copy_statistics(self.average, self.network)
        self.average.eval()


def fit_labelled(trainer: Trainer, images: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> Iterator[Said]:
    """Learn from true labels alone: (L,) int64 ``rows`` of the images and their ``labels``.

    A batch larger than the set has images several times, in views of their own.
    """
    stream = Stream(len(rows), trainer.seed, f"{ORDER}: labelled", trainer.number)
    for iteration in range(trainer.iterations):
        picked = stream.take(trainer.plan.batch_size)
        yield trainer.step(trainer.views_of(images, rows[picked], iteration), labels[picked], iteration)
    trainer.finish()


def fit_phase(
    trainer: Trainer,
    images: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    pseudo: Pseudo,
    how: Dynamics,
    counted: torch.Tensor,
) -> Iterator[Said]:
    """Learn from pseudo labels, and from true ones, (L,) ``labels`` of ``rows``, which go round in a circle.

    ``counted``: (2, P) float32 on the device, to whose rows each pseudo-labelled image's weights and number are added.
    """
    plan = trainer.plan
    named = Stream(len(rows), trainer.seed, f"{ORDER}: labelled", trainer.number)
    others = Stream(len(pseudo.rows), trainer.seed, f"{ORDER}: pseudo-labelled", trainer.number)
    for iteration in range(trainer.iterations):
        first, second = others.take(plan.batch_size - plan.labelled), named.take(plan.labelled)
        views = trainer.views_of(images, np.concatenate([pseudo.rows[first], rows[second]]), iteration)
        factor = ramped(1.0, iteration + 1, trainer.iterations, how.first_full) if how.ramp else 1.0
        judged = Judged(how.weighting, uploaded(pseudo.confidences[first], trainer.device), factor)
        said = trainer.step(views, np.concatenate([pseudo.labels[first], labels[second]]), iteration, judged)
        # in a fixed order, by deterministic algorithms: where a pass ends in a batch an image may be in it twice
        counted.index_add_(
            1, uploaded(first, trainer.device), torch.stack([said.weights, torch.ones_like(said.weights)])
        )
        yield said
    trainer.finish()


def check_enough(pseudo: Pseudo, plan: Plan) -> None:
    """Raise :class:`InputError` where a phase uses fewer images than a batch has of them."""
    wanted = plan.batch_size - plan.labelled
    if len(pseudo.rows) < wanted:
        raise InputError(
            f"batch_size: expected at most the {len(pseudo.rows)} images that the phase uses beside "
            f"labelled_in_batch {plan.labelled}, got {plan.batch_size}: lower it, or raise the phase's share"
        )
