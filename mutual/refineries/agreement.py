"""How far two networks agree on labels, and of which labels a network is sure: dynamic mutual training's two rules.

Feng et al. (Pattern Recognition 130, 2022), as their code has them.
"""

import numpy as np
import torch
from torch import Tensor


def agreement_weights(own: Tensor, labels: Tensor, confidences: Tensor, gamma1: float, gamma2: float) -> Tensor:
    """(B, ...) weights of images, or of pixels, with the ``labels`` and ``confidences`` that another network gave.

    ``labels``: (B, ...) int64, 0 .. C - 1; ``own``: (B, C, ...) probabilities of the network that learns. Where it
    agrees: its probability of the label to the power of gamma1. Where it does not: that to the power of gamma2 if it is
    the less sure of the two, else 0. With both gammas 0 all are 1, as the authors' code has it, also where it is the
    surer one.
    """
    if not (gamma1 or gamma2):
        return torch.ones_like(own[:, 0])
    sure, mine = own.max(1)
    of_label = own.gather(1, labels[:, None])[:, 0]
    unlike = torch.where(sure <= confidences, of_label**gamma2, 0.0)
    return torch.where(mine == labels, of_label**gamma1, unlike)


def most_confident(confidences: np.ndarray, share: float) -> np.ndarray:
    """(N,) bool: the share of the (N,) confidences that is highest; of 1 all of them.

    The authors' rule: those above the one in place int(1 - share N) from the end, so that two are missing, and none are
    left of three.
    """
    if share >= 1:
        return np.ones(len(confidences), bool)
    if share * len(confidences) < 2:  # the place would be the first
        return np.zeros(len(confidences), bool)
    ascending = np.sort(confidences)
    return confidences > ascending[int(-share * len(ascending) + 1)]
