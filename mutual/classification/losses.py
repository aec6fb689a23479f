"""What images count in a batch that is partly pseudo-labelled, and the loss with these weights."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.few.weighting import Weighting


@torch.no_grad()
def joint_weights(
    weighting: Weighting, logits: Tensor, labels: Tensor, confidences: Tensor, factor: float = 1.0
) -> Tensor:
    """(B,) weights of a joint batch: first P pseudo-labelled images, then labelled ones, which weigh 1.

    ``logits`` (B, C) of the network that learns, ``labels`` (B,) int64, ``confidences`` (P,) of the network that
    pseudo-labelled, P <= B; the exponents are multiplied with ``factor``.
    """
    weights = logits.new_ones(len(logits))
    pseudo = len(confidences)
    weights[:pseudo] = weighting.weights(logits[:pseudo].softmax(1), labels[:pseudo], confidences, factor)
    return weights


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The sum of weight x cross entropy, over B: (B, C) logits, (B,) int64 labels, (B,) weights."""
    return (weights * F.cross_entropy(logits, labels, reduction="none")).mean()
