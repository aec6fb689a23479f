"""One iteration of adaptation: what students and teachers are made of a round's start, and a step of all students."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.learning.adam import Adam
from mutual.networks.norms import in_parts
from mutual.networks.reid import ReidNetwork
from mutual.refineries.losses import hard_losses, mutual_loss

TERMS = ("total", "hard_ce", "soft_ce", "hard_tri", "soft_tri", "source")


def for_training(network: ReidNetwork, classes: Tensor, groups: int = 1, dsbn: bool = False) -> ReidNetwork:
    """The network on the device of ``classes`` in training mode, a class for each of the (C, D) rows.

    Teachers train too: they normalise with their own batches and move their own running statistics. ``groups`` and
    ``dsbn``: see :func:`mutual.networks.norms.in_parts`.
    """
    network.to(classes.device)
    network.set_classifier(classes)
    in_parts(network, groups, dsbn)
    return network.train().to(memory_format=torch.channels_last)


def shares_of_lr(students: Sequence[ReidNetwork], backbone_share: float) -> list[tuple[list[nn.Parameter], float]]:
    """The trained parameters of all students with their share of the learning rate, in as few groups as there are."""
    groups: dict[float, list[nn.Parameter]] = {}
    for student in students:
        for name, parameter in student.named_parameters():
            if parameter.requires_grad:
                share = backbone_share if name.startswith("backbone.") else 1.0
                groups.setdefault(share, []).append(parameter)
    return [(parameters, share) for share, parameters in groups.items()]


def step(
    students: Sequence[ReidNetwork],
    teachers: Sequence[ReidNetwork] | None,
    views: Sequence[Tensor],
    targets: Tensor,
    optimizer: Adam,
    of_source: Tensor | None = None,
    *,
    clusters: int | None = None,
    soft_ce_weight: float,
    soft_tri_weight: float,
    label_smoothing: float,
    source_weight: float = 0.0,
) -> Tensor:
    """One optimiser step of all students on ``views``, one (B, 3, H, W) batch for each peer, and (B,) ``targets``.

    With ``of_source``, (S,) labels, the views are (B + S, 3, H, W), those of the source last, and the classes after the
    ``clusters`` first are the source's. Returns the (6,) losses in the order of :data:`TERMS`, NaN for those that are
    not computed.
    """
    outputs = [student(view) for student, view in zip(students, views, strict=True)]
    taught = None
    if teachers is not None:
        with torch.no_grad():
            taught = [teacher(view) for teacher, view in zip(teachers, views, strict=True)]
    count = len(targets)
    loss = mutual_loss(
        [(pooled[:count], logits[:count, :clusters]) for pooled, logits in outputs],
        taught and [(pooled[:count], logits[:count, :clusters]) for pooled, logits in taught],
        targets,
        soft_ce_weight=soft_ce_weight,
        soft_tri_weight=soft_tri_weight,
        label_smoothing=label_smoothing,
    )
    total, source = loss.total, None
    if of_source is not None:
        hard = [hard_losses(x[count:], y[count:, clusters:], of_source, label_smoothing) for x, y in outputs]
        source = torch.stack([ce + tri for ce, tri in hard]).sum()
        total = total + source_weight * source
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    absent = total.new_tensor(torch.nan)
    terms = (total, loss.hard_ce, loss.soft_ce, loss.hard_tri, loss.soft_tri, source)
    return torch.stack([absent if term is None else term.detach() for term in terms])


def check_finite(history: Sequence[Tensor], name: str, lr: float) -> None:
    """Raise :class:`InputError` when a total among the (6,) losses is not finite: such networks are not written."""
    broken = torch.nonzero(~torch.isfinite(torch.stack([losses[0] for losses in history])))
    if len(broken):
        raise InputError(
            f"{name}: the loss is not finite from iteration {int(broken[0]) + 1}: expected a lower lr than {lr}"
        )
