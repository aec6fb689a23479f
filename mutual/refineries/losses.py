"""Losses on pseudo labels, as the authors' code of Mutual Mean-Teaching computes them.

Pooled features are (B, D), logits (B, C), labels (B,) int64 in 0 .. C - 1; losses are scalars, mean over the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.refineries.contract import Targets


def hard_cross_entropy(logits: Tensor, targets: Targets, smoothing: float) -> Tensor:
    """Cross entropy against the labels, of whose mass ``smoothing`` is spread over all C classes.

    Against the soft labels where there are any. Where there are weights: sum of weight x cross entropy, over B.
    """
    believed = targets.labels if targets.soft is None else targets.soft
    if targets.weights is None:
        return F.cross_entropy(logits, believed, label_smoothing=smoothing)
    return (targets.weights * F.cross_entropy(logits, believed, label_smoothing=smoothing, reduction="none")).mean()


def cross_entropies(logits: Tensor, targets: Targets) -> Tensor:
    """(B,) cross entropy of each image against the labels, or the soft labels where there are any."""
    return F.cross_entropy(logits, targets.labels if targets.soft is None else targets.soft, reduction="none")


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Cross entropy of softmax(logits) against the teachers' (B, C) class probabilities (paper, equation 7)."""
    return -(probabilities * F.log_softmax(logits, dim=1)).sum(1).mean()


def euclidean_distances(pooled: Tensor) -> Tensor:
    """(B, D) -> (B, B) Euclidean distances; squares are clamped at 1e-12 so that the root has a gradient."""
    squares = pooled.square().sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * pooled @ pooled.T
    return squared.clamp(min=1e-12).sqrt()


def hardest_triplets(distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor of the (B, B) distances the farthest sample of its class and the nearest of another: (B,) each.

    An anchor alone in its class is its own positive.
    """
    same = labels[:, None] == labels[None, :]
    positive = distances.masked_fill(~same, -torch.inf).argmax(1)
    negative = distances.masked_fill(same, torch.inf).argmin(1)
    return positive, negative


def triplet_log_ratios(distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """(B, 2): log of exp(d_p) and of exp(d_n), each over their sum (paper, equation 8)."""
    return F.log_softmax(distances.gather(1, torch.stack([positive, negative], dim=1)), dim=1)


@dataclass(frozen=True)
class Triplets:
    """The hardest triplets that a student sees in a batch."""

    log_ratios: Tensor  # (B, 2), see triplet_log_ratios
    positive: Tensor  # (B,) int64
    negative: Tensor  # (B,) int64

    @classmethod
    def hardest(cls, pooled: Tensor, labels: Tensor) -> "Triplets":
        """Those of the (B, D) features; gradients flow through the distances, not through the choice."""
        distances = euclidean_distances(pooled)
        positive, negative = hardest_triplets(distances.detach(), labels)
        return cls(triplet_log_ratios(distances, positive, negative), positive, negative)

    def log_ratios_in(self, pooled: Tensor) -> Tensor:
        """(B, 2): what another network's (B, D) features make of the same triplets."""
        return triplet_log_ratios(euclidean_distances(pooled), self.positive, self.negative)


def hard_triplet(log_ratios: Tensor, weights: Tensor | None = None) -> Tensor:
    """The softmax-triplet loss: -log( exp(d_n) / (exp(d_p) + exp(d_n)) ); (B,) ``weights`` are the anchors'."""
    return -(log_ratios[:, 1] if weights is None else weights * log_ratios[:, 1]).mean()


def soft_triplet(log_ratios: Tensor, teacher_ratios: Tensor) -> Tensor:
    """Binary cross entropy of the student's ratio against the teachers' (B, 2) ratios of the same triplets."""
    return -(teacher_ratios * log_ratios).sum(1).mean()


def hard_losses(pooled: Tensor, logits: Tensor, targets: Targets, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross entropy and softmax-triplet loss of one network on labelled images."""
    triplets = Triplets.hardest(pooled, targets.labels)
    ce = hard_cross_entropy(logits, targets, label_smoothing)
    return ce, hard_triplet(triplets.log_ratios, targets.weights)
