"""The losses of Mutual Mean-Teaching (Ge, Chen and Li, ICLR 2020), as the authors' code computes them.

Pooled features are (B, D), logits (B, C), targets (B,) int64 in 0 .. C - 1; losses are scalars, mean over the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def hard_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross entropy against the labels, of whose mass ``smoothing`` is spread over all C classes."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Cross entropy of softmax(logits) against the teachers' (B, C) class probabilities (paper, equation 7)."""
    return -(probabilities * F.log_softmax(logits, dim=1)).sum(1).mean()


def euclidean_distances(pooled: Tensor) -> Tensor:
    """(B, D) -> (B, B) Euclidean distances; squares are clamped at 1e-12 so that the root has a gradient."""
    squares = pooled.square().sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * pooled @ pooled.T
    return squared.clamp(min=1e-12).sqrt()


def hardest_triplets(distances: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor of the (B, B) distances the farthest sample of its class and the nearest of another: (B,) each.

    An anchor alone in its class is its own positive.
    """
    same = targets[:, None] == targets[None, :]
    positive = distances.masked_fill(~same, -torch.inf).argmax(1)
    negative = distances.masked_fill(same, torch.inf).argmin(1)
    return positive, negative


def triplet_log_ratios(distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """(B, 2): log of exp(d_p) and of exp(d_n), each over their sum (paper, equation 8)."""
    return F.log_softmax(distances.gather(1, torch.stack([positive, negative], dim=1)), dim=1)


def hard_triplet(log_ratios: Tensor) -> Tensor:
    """The softmax-triplet loss: -log( exp(d_n) / (exp(d_p) + exp(d_n)) )."""
    return -log_ratios[:, 1].mean()


def soft_triplet(log_ratios: Tensor, teacher_ratios: Tensor) -> Tensor:
    """Binary cross entropy of the student's ratio against the teachers' (B, 2) ratios of the same triplets."""
    return -(teacher_ratios * log_ratios).sum(1).mean()


def hard_losses(pooled: Tensor, logits: Tensor, targets: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross entropy and softmax-triplet loss of one network on labelled images."""
    distances = euclidean_distances(pooled)
    triplets = hardest_triplets(distances.detach(), targets)
    tri = hard_triplet(triplet_log_ratios(distances, *triplets))
    return hard_cross_entropy(logits, targets, label_smoothing), tri


@dataclass(frozen=True)
class MutualLoss:
    """One iteration's losses, scalars summed over the peers. The soft ones are None where nothing teaches."""

    total: Tensor
    hard_ce: Tensor
    hard_tri: Tensor
    soft_ce: Tensor | None
    soft_tri: Tensor | None


def mutual_loss(
    students: Sequence[tuple[Tensor, Tensor]],
    teachers: Sequence[tuple[Tensor, Tensor]] | None,
    targets: Tensor,
    *,
    soft_ce_weight: float,
    soft_tri_weight: float,
    label_smoothing: float,
) -> MutualLoss:
    """The loss of one iteration of mutual mean-teaching.

    ``students`` and ``teachers`` hold (pooled, logits) of each peer, in the same order; student i is taught by the mean
    of the other peers' teachers, or by its own where it is the only peer. ``teachers`` None leaves the soft losses out;
    both weights must then be 0. No gradient reaches a teacher.
    """
    if teachers is None and (soft_ce_weight or soft_tri_weight):
        raise ValueError("soft losses need teachers")
    hard_ce, hard_tri, soft_ce, soft_tri = [], [], [], []
    class_probabilities = [logits.detach().softmax(1) for _, logits in teachers or ()]
    teacher_distances = [euclidean_distances(pooled.detach()) for pooled, _ in teachers or ()]
    for i, (pooled, logits) in enumerate(students):
        distances = euclidean_distances(pooled)
        triplets = hardest_triplets(distances.detach(), targets)
        log_ratios = triplet_log_ratios(distances, *triplets)
        hard_ce.append(hard_cross_entropy(logits, targets, label_smoothing))
        hard_tri.append(hard_triplet(log_ratios))
        if teachers is None:
            continue
        taught_by = [j for j in range(len(teachers)) if j != i] or [i]
        probabilities = torch.stack([class_probabilities[j] for j in taught_by]).mean(0)
        ratios = torch.stack([triplet_log_ratios(teacher_distances[j], *triplets).exp() for j in taught_by]).mean(0)
        soft_ce.append(soft_cross_entropy(logits, probabilities))
        soft_tri.append(soft_triplet(log_ratios, ratios))

    ce, tri = torch.stack(hard_ce).sum(), torch.stack(hard_tri).sum()
    if teachers is None:
        return MutualLoss(ce + tri, ce, tri, None, None)
    ce_soft, tri_soft = torch.stack(soft_ce).sum(), torch.stack(soft_tri).sum()
    total = (1 - soft_ce_weight) * ce + soft_ce_weight * ce_soft
    total = total + (1 - soft_tri_weight) * tri + soft_tri_weight * tri_soft
    return MutualLoss(total, ce, tri, ce_soft, tri_soft)
