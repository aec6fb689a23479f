"""One iteration of mutual mean-teaching written out straight, without the contract: what the code did before there was
one. The trainer must equal it bit by bit."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.networks.reid import ReidNetwork

Outputs = Sequence[tuple[Tensor, Tensor]]


def distances(pooled: Tensor) -> Tensor:
    squares = pooled.square().sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * pooled @ pooled.T
    return squared.clamp(min=1e-12).sqrt()


def log_ratios(distmat: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return F.log_softmax(distmat.gather(1, torch.stack([positive, negative], dim=1)), dim=1)


def plain_losses(
    students: Outputs,
    teachers: Outputs,
    labels: Tensor,
    *,
    soft_ce_weight: float,
    soft_tri_weight: float,
    smoothing: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """total, hard_ce, soft_ce, hard_tri, soft_tri of two peers."""
    hard_ce, hard_tri, soft_ce, soft_tri = [], [], [], []
    probabilities = [logits.detach().softmax(1) for _, logits in teachers]
    taught = [distances(pooled.detach()) for pooled, _ in teachers]
    same = labels[:, None] == labels[None, :]
    for i, (pooled, logits) in enumerate(students):
        distmat = distances(pooled)
        positive = distmat.detach().masked_fill(~same, -torch.inf).argmax(1)
        negative = distmat.detach().masked_fill(same, torch.inf).argmin(1)
        ratios = log_ratios(distmat, positive, negative)
        hard_ce.append(F.cross_entropy(logits, labels, label_smoothing=smoothing))
        hard_tri.append(-ratios[:, 1].mean())
        soft_ce.append(-(probabilities[1 - i] * F.log_softmax(logits, dim=1)).sum(1).mean())
        soft_tri.append(-(log_ratios(taught[1 - i], positive, negative).exp() * ratios).sum(1).mean())
    ce, tri, ce_soft, tri_soft = (torch.stack(terms).sum() for terms in (hard_ce, hard_tri, soft_ce, soft_tri))
    total = (1 - soft_ce_weight) * ce + soft_ce_weight * ce_soft
    total = total + (1 - soft_tri_weight) * tri + soft_tri_weight * tri_soft
    return total, ce, ce_soft, tri, tri_soft


class PlainTrainer:
    """Two students, two teachers, Adam by torch's fused kernel on lists of tensors, and the teachers' averages."""

    def __init__(
        self, students: Sequence[ReidNetwork], teachers: Sequence[ReidNetwork], lr: float, decay: float
    ) -> None:
        self.students, self.teachers, self.lr, self.decay = students, teachers, lr, decay
        self.trained: list[Tensor] = [p for student in students for p in student.parameters() if p.requires_grad]
        self.means = [torch.zeros_like(p) for p in self.trained]
        self.squares = [torch.zeros_like(p) for p in self.trained]
        self.steps = torch.zeros(())

    def iterate(
        self, views: Sequence[Tensor], labels: Tensor, done: int, *, alpha: float, ce: float, tri: float
    ) -> list[Tensor]:
        outputs = [student(view) for student, view in zip(self.students, views, strict=True)]
        with torch.no_grad():
            taught = [teacher(view) for teacher, view in zip(self.teachers, views, strict=True)]
        losses = plain_losses(outputs, taught, labels, soft_ce_weight=ce, soft_tri_weight=tri, smoothing=0.1)
        for parameter in self.trained:
            parameter.grad = None
        losses[0].backward()
        self.steps += 1
        with torch.no_grad():
            torch._fused_adam_(
                self.trained,
                [p.grad for p in self.trained if p.grad is not None],
                self.means,
                self.squares,
                [],
                [self.steps] * len(self.trained),
                lr=self.lr,
                beta1=0.9,
                beta2=0.999,
                weight_decay=self.decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )
            share = 1 - min(1 - 1 / (done + 1), alpha)
            for teacher, student in zip(self.teachers, self.students, strict=True):
                torch._foreach_lerp_(list(teacher.parameters()), [p.detach() for p in student.parameters()], share)
        return [loss.detach() for loss in losses]
