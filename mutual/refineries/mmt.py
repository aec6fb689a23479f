"""Mutual Mean-Teaching (Ge, Chen and Li, ICLR 2020), as the authors' code computes it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mutual.refineries.contract import Refinery, Step, networks_of
from mutual.refineries.losses import (
    Triplets,
    hard_cross_entropy,
    hard_triplet,
    soft_cross_entropy,
    soft_triplet,
)


class MutualMeanTeaching(Refinery):
    """Hard pseudo labels, and soft ones from the mean teachers of the other peers.

    Student i is taught by the mean of the other peers' teachers, or by its own where it is the only peer. With no soft
    loss and ``alpha`` 0 a teacher is its student of the moment, whose forward need not be repeated: nobody teaches.
    """

    keys = ("alpha", "soft_ce_weight", "soft_tri_weight", "label_smoothing")
    terms = ("hard_ce", "soft_ce", "hard_tri", "soft_tri")

    def __init__(self, alpha: float, soft_ce_weight: float, soft_tri_weight: float, label_smoothing: float) -> None:
        self.alpha = alpha
        self.soft_ce_weight = soft_ce_weight
        self.soft_tri_weight = soft_tri_weight
        self.label_smoothing = label_smoothing
        self.teaching = alpha > 0 or soft_ce_weight > 0 or soft_tri_weight > 0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """(1 - w) hard + w soft, of the cross entropies and of the triplet losses (paper, equations 6 to 9).

        Each term is summed over the peers. No gradient reaches a teacher; the soft terms are absent where nobody
        teaches.
        """
        hard_ce, hard_tri, soft_ce, soft_tri = [], [], [], []
        taught = [(logits.detach().softmax(1), pooled.detach()) for pooled, logits in step.teachers or ()]
        for i, (pooled, logits) in enumerate(step.students):
            triplets = Triplets.hardest(pooled, step.targets.labels)
            hard_ce.append(hard_cross_entropy(logits, step.targets, self.label_smoothing))
            hard_tri.append(hard_triplet(triplets.log_ratios, step.targets.weights))
            if not taught:
                continue
            by = [taught[j] for j in range(len(taught)) if j != i] or [taught[i]]
            probabilities = torch.stack([p for p, _ in by]).mean(0)
            ratios = torch.stack([triplets.log_ratios_in(x).exp() for _, x in by]).mean(0)
            soft_ce.append(soft_cross_entropy(logits, probabilities))
            soft_tri.append(soft_triplet(triplets.log_ratios, ratios))

        ce, tri = torch.stack(hard_ce).sum(), torch.stack(hard_tri).sum()
        if not taught:
            if self.teaching:
                raise ValueError("soft losses and mean teachers need teachers")
            return {"total": ce + tri, "hard_ce": ce, "hard_tri": tri}
        ce_soft, tri_soft = torch.stack(soft_ce).sum(), torch.stack(soft_tri).sum()
        total = (1 - self.soft_ce_weight) * ce + self.soft_ce_weight * ce_soft
        total = total + (1 - self.soft_tri_weight) * tri + self.soft_tri_weight * tri_soft
        return {"total": total, "hard_ce": ce, "soft_ce": ce_soft, "hard_tri": tri, "soft_tri": tri_soft}

    @classmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """By what it has and lacks, as the paper's ablation calls it."""
        ce, triplet, peers = params["soft_ce_weight"], params["soft_tri_weight"], len(params["seeds"])
        networks = networks_of(params)
        if ce == triplet == 0:
            return f"{networks}, hard labels" + ("" if params["alpha"] == 0 else ", mean teachers")
        lacks = {
            "hard CE": ce == 1 and triplet != 1,
            "soft CE": ce == 0,
            "hard triplet": triplet == 1 and ce != 1,
            "soft triplet": triplet == 0,
            "the second network": peers == 1,
            "mean teachers": params["alpha"] == 0,
        }
        changes = ["with soft losses only"] if ce == triplet == 1 else []
        changes += [f"with {networks}"] if peers > 2 else []
        changes += [f"without {part}" for part, lacking in lacks.items() if lacking]
        return f"MMT {', '.join(changes)}".strip()
