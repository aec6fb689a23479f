"""Hard pseudo labels alone: what most work on clustering and training does, and the paper's baseline with two networks.

Two peers meet only where their features are averaged for the next clustering.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mutual.refineries.contract import Refinery, Step, networks_of
from mutual.refineries.losses import hard_losses


class HardLabels(Refinery):
    """Cross entropy and softmax-triplet loss of every student by itself."""

    keys = ("triplet_weight", "label_smoothing")
    terms = ("hard_ce", "hard_tri")

    def __init__(self, triplet_weight: float, label_smoothing: float) -> None:
        self.triplet_weight = triplet_weight
        self.label_smoothing = label_smoothing

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The sum over the peers."""
        pairs = [hard_losses(*student, step.targets, self.label_smoothing) for student in step.students]
        ce, tri = (torch.stack(terms).sum() for terms in zip(*pairs, strict=True))
        return {"total": ce + self.triplet_weight * tri, "hard_ce": ce, "hard_tri": tri}

    @classmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """The number of networks tells the baselines apart."""
        return f"{networks_of(params)}, hard labels"
