"""One round of adaptation, whichever refinery learns: networks made ready, an optimiser's step, the loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mutual.base.errors import InputError
from mutual.base.store import write_text
from mutual.learning.batches import Batch
from mutual.machine.checkpoints import below, fill_networks, fill_optimizer, of_networks, of_optimizer, parameters_of
from mutual.machine.optimizers import Adam
from mutual.machine.ranks import ALONE, Ranks
from mutual.networks.norms import in_parts
from mutual.networks.peers import Role, read_network
from mutual.networks.reid import ReidNetwork
from mutual.refineries.contract import Output, Refinery, Step, Targets
from mutual.refineries.losses import hard_losses


@dataclass(frozen=True)
class Round:
    """What an iteration needs to know of its round."""

    number: int
    iterations: int
    done: int  # iterations of adaptation before it
    clusters: int  # classes of the target; those after them are the source's
    label_smoothing: float  # of the losses on the source
    source_weight: float = 0.0
    dsbn: bool = False  # whether the networks normalise the source apart
    ranks: Ranks = ALONE  # that share its batches


def for_training(
    network: ReidNetwork, classes: Tensor, groups: int = 1, dsbn: bool = False, ranks: Ranks = ALONE
) -> ReidNetwork:
    """The network on the device of ``classes`` in training mode, a class for each of the (C, D) rows.

    Teachers train too: they normalise with their own batches and move their own running statistics. ``groups``,
    ``dsbn``, and the processes that share the batches: see :func:`mutual.networks.norms.in_parts`. Raises
    :class:`InputError` for classes of another width.
    """
    if classes.shape[1] != network.backbone.width:
        raise InputError(f"centroids: {classes.shape[1]} columns, expected the network's {network.backbone.width}")
    network.to(classes.device)
    network.set_classifier(classes)
    in_parts(network, groups, dsbn, ranks)
    return network.train().to(memory_format=torch.channels_last)


def shares_of_lr(students: Sequence[ReidNetwork], lr: float, backbone_share: float) -> list[dict[str, Any]]:
    """The trained parameters of all students with their learning rate, in as few groups as there are rates."""
    groups: dict[float, list[nn.Parameter]] = {}
    for student in students:
        for name, parameter in student.named_parameters():
            if parameter.requires_grad:
                share = backbone_share if name.startswith("backbone.") else 1.0
                groups.setdefault(lr * share, []).append(parameter)
    return [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]


def trained_by(students: Sequence[ReidNetwork], lr: float, backbone_share: float, weight_decay: float) -> Adam:
    """One Adam over the parameters of all students, new in every round (authors' code)."""
    return Adam(shares_of_lr(students, lr, backbone_share), weight_decay=weight_decay, fused=True)


def ready(
    paths: Sequence[Path],
    classes: np.ndarray,
    device: torch.device,
    teaching: bool,
    groups: int,
    dsbn: bool,
    ranks: Ranks = ALONE,
) -> tuple[list[ReidNetwork], list[ReidNetwork] | None]:
    """Students and, with ``teaching``, teachers of these peers' files, ready for a round: see :func:`for_training`."""
    there = torch.from_numpy(classes).to(device)
    roles: list[Role] = ["student", "teacher"] if teaching else ["student"]
    students, *teachers = (
        [for_training(read_network(path, role), there, groups, dsbn, ranks) for path in paths] for role in roles
    )
    return students, teachers[0] if teachers else None


def terms_of(refinery: Refinery, source_weight: float) -> tuple[str, ...]:
    """What an iteration reports: the total, the refinery's terms, and the source's loss where it takes part."""
    return ("total", *refinery.terms, *(["source"] if source_weight > 0 else []))


def step(
    refinery: Refinery,
    students: Sequence[ReidNetwork],
    teachers: Sequence[ReidNetwork] | None,
    batch: Batch,
    source: Batch | None,
    optimizer: Optimizer,
    iteration: int,
    within: Round,
) -> Tensor:
    """One optimiser step of all students, and what the refinery does after it.

    With a ``source`` batch, both go through the networks together, and the hard losses of its part are added. Returns
    the losses in the order of :func:`terms_of`, NaN for those that are not computed.
    """
    views, count, ranks = batch.views, len(batch.rows), within.ranks
    if source is not None:
        views = [torch.cat(both) for both in zip(views, source.views, strict=True)]
    parts = 2 if within.dsbn else 1
    views = [ranks.share(view, parts) for view in views]

    def said(networks: Sequence[ReidNetwork]) -> list[Output]:
        """Of the whole batch."""
        shares = [network(view) for network, view in zip(networks, views, strict=True)]
        return [Output(*(ranks.whole(each, parts) for each in share)) for share in shares]

    outputs, taught = said(students), None
    if teachers is not None:
        with torch.no_grad():
            taught = said(teachers)
    done = within.done + iteration
    losses = dict(
        refinery.loss(
            Step(
                within.number,
                iteration,
                within.iterations,
                done,
                batch.rows,
                batch.targets,
                [Output(pooled[:count], logits[:count, : within.clusters]) for pooled, logits in outputs],
                taught and [Output(pooled[:count], logits[:count, : within.clusters]) for pooled, logits in taught],
            )
        )
    )
    if source is not None:
        of_source = Targets(source.targets.labels)
        smoothing = within.label_smoothing
        hard = [hard_losses(x[count:], y[count:, within.clusters :], of_source, smoothing) for x, y in outputs]
        losses["source"] = torch.stack([ce + tri for ce, tri in hard]).sum()
        losses["total"] = losses["total"] + within.source_weight * losses["source"]
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * refinery.lr_factor(iteration, within.iterations)
    optimizer.zero_grad()
    losses["total"].backward()
    ranks.sum_gradients(parameters_of(optimizer))
    optimizer.step()
    refinery.after_step(students, teachers, done)
    absent = losses["total"].new_tensor(torch.nan)
    return torch.stack([losses.get(term, absent).detach() for term in terms_of(refinery, within.source_weight)])


def adapt(
    refinery: Refinery,
    students: Sequence[ReidNetwork],
    teachers: Sequence[ReidNetwork] | None,
    batch_at: Callable[[int], Batch],
    source_at: Callable[[int], Batch] | None,
    optimizer: Optimizer,
    within: Round,
    dropout_seed: Callable[[int], int],
    first: int = 0,
) -> Iterator[Tensor]:
    """The iterations of a round from ``first`` on, each with its losses.

    Every random number is a function of the iteration.
    """
    for iteration in range(first, within.iterations):
        torch.manual_seed(dropout_seed(iteration))
        source = source_at(iteration) if source_at is not None else None
        yield step(refinery, students, teachers, batch_at(iteration), source, optimizer, iteration, within)


@dataclass(frozen=True)
class Standing:
    """All that an iteration changes."""

    students: Sequence[ReidNetwork]
    teachers: Sequence[ReidNetwork] | None
    optimizer: Optimizer
    refinery: Refinery

    def tensors(self, history: Sequence[Tensor]) -> dict[str, Tensor]:
        """To go on from, and the losses so far."""
        return {
            **of_networks("student", self.students),
            **of_networks("teacher", self.teachers or ()),
            **of_optimizer(self.optimizer),
            **{f"refinery.{name}": tensor for name, tensor in self.refinery.state().items()},
            "history": torch.stack(list(history)),
        }

    def go_on(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Stand where these were taken; the losses so far."""
        fill_networks("student", self.students, tensors)
        fill_networks("teacher", self.teachers or (), tensors)
        fill_optimizer(self.optimizer, tensors)
        self.refinery.load_state(below("refinery.", tensors))
        return list(tensors["history"].to(next(self.students[0].parameters()).device))


def check_finite(history: Sequence[Tensor], name: str, lr: float) -> None:
    """Raise :class:`InputError` when a total, the first of the losses, is not finite: such networks are not written."""
    broken = torch.nonzero(~torch.isfinite(torch.stack([losses[0] for losses in history])))
    if len(broken):
        raise InputError(
            f"{name}: the loss is not finite from iteration {int(broken[0]) + 1}: expected a lower lr than {lr}"
        )


def write_losses(path: Path, terms: Sequence[str], history: Sequence[Tensor], done: int) -> None:
    """The losses of each iteration, a line each, counted over all rounds; those not computed are left empty."""
    lines = [",".join(["iteration", *terms])]
    for i, row in enumerate(torch.stack(list(history)).cpu().numpy(), start=done + 1):
        lines.append(",".join([str(i), *("" if np.isnan(value) else f"{value:.6f}" for value in row)]))
    write_text(path, "\n".join(lines) + "\n")
