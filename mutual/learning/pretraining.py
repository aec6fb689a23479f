"""Pre-training of one network on the labelled source, while unlabelled target images move its batch statistics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from mutual.base.errors import InputError
from mutual.base.store import write_text
from mutual.clusters.pseudo_labels import PseudoLabels
from mutual.images.index import Index, relabel
from mutual.learning.batches import Batch, Cut, Streams, TrainingSet, labelled_batches, unlabelled_views
from mutual.learning.schedule import warmup_multistep
from mutual.machine.checkpoints import fill_networks, fill_optimizer, of_networks, of_optimizer, parameters_of
from mutual.machine.optimizers import Adam
from mutual.machine.ranks import ALONE, Ranks
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


class Pretraining:
    """A network that learns, and the one that ``accuracy`` liked best so far.

    ``source_at`` and ``target_at`` give the batches of an iteration, counted over all epochs; ``ranks`` share them, of
    whom the first tests.
    """

    def __init__(
        self,
        network: ReidNetwork,
        source_at: Callable[[int], Batch],
        target_at: Callable[[int], Tensor],
        plan: Plan,
        accuracy: Callable[[ReidNetwork], float],
        dropout_seed: Callable[[int], int],
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.network, self.source_at, self.target_at = network, source_at, target_at
        self.plan, self.accuracy, self.dropout_seed = plan, accuracy, dropout_seed
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = Adam(trained, plan.lr, weight_decay=plan.weight_decay, fused=True)
        self.best, self.best_accuracy = network, -1.0
        self.epochs: list[Epoch] = []  # those that are over
        self.losses: list[Tensor] = []  # of the iterations of the epoch that is not

    @property
    def iterations(self) -> int:
        """How many are done, over all epochs."""
        return len(self.epochs) * self.plan.iterations + len(self.losses)

    def left(self) -> Iterator[Epoch | None]:
        """None after each iteration, and after the last one of an epoch what the epoch came to.

        Raises :class:`InputError` when the loss is not finite.
        """
        plan = self.plan
        while len(self.epochs) < plan.epochs:
            done = len(self.epochs)
            lr = warmup_multistep(done, plan.lr, plan.warmup_epochs, plan.milestones)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.network.train()
            while len(self.losses) < plan.iterations:
                iteration = self.iterations
                torch.manual_seed(self.dropout_seed(iteration))
                batch, target = self.source_at(iteration), self.target_at(iteration)
                found = train_step(self.network, self.optimizer, batch, target, plan.label_smoothing, self.ranks)
                self.losses.append(found)
                if len(self.losses) < plan.iterations:
                    yield None
            yield self._ended(lr)

    def _ended(self, lr: float) -> Epoch:
        """What the epoch came to."""
        number = len(self.epochs) + 1
        ce, triplet = torch.stack(self.losses).double().mean(0).tolist()
        if not np.isfinite(ce + triplet):
            raise InputError(f"pretrain_lr: the loss is not finite in epoch {number}: expected a lower rate than {lr}")
        found = None
        if number % self.plan.eval_epochs == 0 or number == self.plan.epochs:
            found = self.ranks.as_first(self.accuracy(self.network) if self.ranks.first else 0.0)
            if found > self.best_accuracy:
                self.best, self.best_accuracy = deepcopy(self.network), found
        epoch = Epoch(number, lr, ce, triplet, found)
        self.epochs.append(epoch)
        self.losses.clear()
        return epoch

    def tensors(self) -> dict[str, Tensor]:
        """To go on from; with :meth:`note` all that an iteration changes."""
        losses = {"losses": torch.stack(self.losses)} if self.losses else {}
        best = [] if self.best is self.network else [self.best]
        networks = of_networks("network", [self.network]) | of_networks("best", best)
        return networks | of_optimizer(self.optimizer) | losses

    def note(self) -> dict[str, Any]:
        """What is no tensor."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "best_accuracy": self.best_accuracy}

    def go_on(self, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
        """Stand where these were taken."""
        fill_networks("network", [self.network], tensors)
        fill_optimizer(self.optimizer, tensors)
        self.epochs = [Epoch(**epoch) for epoch in note["epochs"]]
        self.best_accuracy = note["best_accuracy"]
        if self.best_accuracy >= 0:
            self.best = deepcopy(self.network)
            fill_networks("best", [self.best], tensors)
        if "losses" in tensors:
            self.losses = list(tensors["losses"].to(next(self.network.parameters()).device))


def train_step(
    network: ReidNetwork,
    optimizer: Optimizer,
    batch: Batch,
    target: Tensor,
    label_smoothing: float,
    ranks: Ranks = ALONE,
) -> Tensor:
    """One step on the labelled batch; the (B, 3, H, W) target views only pass through. Its two losses: (2,)."""
    pooled, logits = map(ranks.whole, network(ranks.share(batch.views[0])))
    with torch.no_grad():
        network(ranks.share(target))
    ce, triplet = hard_losses(pooled, logits, batch.targets, label_smoothing)
    optimizer.zero_grad()
    (ce + triplet).backward()
    ranks.sum_gradients(parameters_of(optimizer))
    optimizer.step()
    return torch.stack([ce.detach(), triplet.detach()])


def write_curve(path: Path, epochs: Sequence[Epoch]) -> None:
    """The epochs as CSV, a line each; the accuracy is empty where it was not tested."""
    lines = ["epoch,lr,cross_entropy,triplet,source_mAP"]
    for epoch in epochs:
        tested = "" if epoch.accuracy is None else f"{epoch.accuracy:.6f}"
        lines.append(f"{epoch.number},{epoch.lr:.6g},{epoch.cross_entropy:.6f},{epoch.triplet:.6f},{tested}")
    write_text(path, "\n".join(lines) + "\n")
