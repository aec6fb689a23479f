"""Cross entropy over pixels, each with its weight; by dynamic mutual training and what it is compared with.

Feng et al. (Pattern Recognition 130, 2022). A weight carries no gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mutual.few.weighting import Weighting
from mutual.segmentation.iou import IGNORED


class Loss(NamedTuple):
    """Scalars on the logits' device."""

    total: Tensor
    weight: Tensor  # mean over the pixels that have a label; detached


def weighted_loss(logits: Tensor, labels: Tensor, confidences: Tensor, labelled: Tensor, weighting: Weighting) -> Loss:
    """sum(weight x cross entropy) / number of pixels that have a label; 0 where there is none.

    ``logits`` (B, C, H, W), ``labels`` (B, H, W) int64, 0 .. C - 1 or 255, which counts nowhere, ``confidences``
    (B, H, W); ``labelled`` (B,) bool: images labelled by people, whose pixels all weigh 1. In float32 at least.
    """
    log_p = (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(1)
    valid = labels != IGNORED
    at = torch.where(valid, labels, 0)
    own = log_p.detach().exp()
    weights = torch.where(labelled[:, None, None], 1.0, weighting.weights(own, at, confidences)) * valid
    ce = -log_p.gather(1, at[:, None])[:, 0]
    count = valid.sum().clamp(min=1)
    return Loss((weights * ce).sum() / count, weights.sum() / count)
