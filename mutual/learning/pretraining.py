"""Pre-training of one network on the labelled source, while unlabelled target images move its batch statistics."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam

from mutual.base.errors import InputError
from mutual.base.store import write_text
from mutual.clusters.pseudo_labels import PseudoLabels
from mutual.images.index import Index, relabel
from mutual.learning.batches import Batch, Cut, Streams, TrainingSet, labelled_batches, unlabelled_views
from mutual.learning.schedule import warmup_multistep
from mutual.networks.reid import ReidNetwork
from mutual.refineries.losses import hard_losses


@dataclass(frozen=True)
class Plan:
    """How long, how fast, and how often it is tested."""

    epochs: int
    iterations: int  # of an epoch
    lr: float  # after the warm-up
    warmup_epochs: int
    milestones: Sequence[int]
    eval_epochs: int  # epochs between two tests
    label_smoothing: float
    weight_decay: float


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; ``accuracy`` is None where it was not tested."""

    number: int  # from 1
    lr: float
    cross_entropy: float
    triplet: float
    accuracy: float | None


def batches_of(
    images: np.ndarray, index: Index, target: np.ndarray, streams: Streams, cut: Cut
) -> tuple[Callable[[int], Batch], Callable[[int], Tensor]]:
    """The functions iteration -> batch of the source's (N, H, W, 3) uint8 images, and -> views of the target's."""
    labelled = TrainingSet(images, PseudoLabels(relabel(index.pid)), index.camid)
    return (
        labelled_batches(labelled, streams, "source batches", ["source views"], cut),
        unlabelled_views(target, streams, "target batches", "target views", cut),
    )


def pretrain(
    network: ReidNetwork,
    source_at: Callable[[int], Batch],
    target_at: Callable[[int], Tensor],
    plan: Plan,
    accuracy: Callable[[ReidNetwork], float],
    dropout_seed: Callable[[int], int],
) -> Iterator[tuple[Epoch, ReidNetwork]]:
    """The epochs, each with the network that ``accuracy`` liked best so far: (epoch, best).

    ``source_at`` and ``target_at`` give the batches of an iteration, counted over all epochs. Raises
    :class:`InputError` when the loss is not finite.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = Adam(trained, plan.lr, weight_decay=plan.weight_decay, fused=True)
    best, best_accuracy = network, -1.0
    for epoch in range(plan.epochs):
        lr = warmup_multistep(epoch, plan.lr, plan.warmup_epochs, plan.milestones)
        for group in optimizer.param_groups:
            group["lr"] = lr
        network.train()
        history = []
        for iteration in range(epoch * plan.iterations, (epoch + 1) * plan.iterations):
            torch.manual_seed(dropout_seed(iteration))
            batch, target = source_at(iteration), target_at(iteration)
            history.append(train_step(network, optimizer, batch, target, plan.label_smoothing))
        ce, triplet = torch.stack(history).double().mean(0).tolist()
        if not np.isfinite(ce + triplet):
            raise InputError(
                f"pretrain_lr: the loss is not finite in epoch {epoch + 1}: expected a lower rate than {lr}"
            )
        found = None
        if (epoch + 1) % plan.eval_epochs == 0 or epoch + 1 == plan.epochs:
            found = accuracy(network)
            if found > best_accuracy:
                best, best_accuracy = deepcopy(network), found
        yield Epoch(epoch + 1, lr, ce, triplet, found), best


def train_step(network: ReidNetwork, optimizer: Adam, batch: Batch, target: Tensor, label_smoothing: float) -> Tensor:
    """One step on the labelled batch; the (B, 3, H, W) target views only pass through. Its two losses: (2,)."""
    pooled, logits = network(batch.views[0])
    with torch.no_grad():
        network(target)
    ce, triplet = hard_losses(pooled, logits, batch.targets, label_smoothing)
    optimizer.zero_grad()
    (ce + triplet).backward()
    optimizer.step()
    return torch.stack([ce.detach(), triplet.detach()])


def write_curve(path: Path, epochs: Sequence[Epoch]) -> None:
    """The epochs as CSV, a line each; the accuracy is empty where it was not tested."""
    lines = ["epoch,lr,cross_entropy,triplet,source_mAP"]
    for epoch in epochs:
        tested = "" if epoch.accuracy is None else f"{epoch.accuracy:.6f}"
        lines.append(f"{epoch.number},{epoch.lr:.6g},{epoch.cross_entropy:.6f},{epoch.triplet:.6f},{tested}")
    write_text(path, "\n".join(lines) + "\n")
