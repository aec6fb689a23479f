"""CORE, collaborative refining: after an opening as SELF, every network learns from what the other ones predict.

Ye et al., Collaborative Refining for Person Re-Identification with Label Noise (IEEE TIP 31, 2022), as the authors'
code computes it, for pseudo labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mutual.refineries.contract import Refinery, Step, Targets, title_of
from mutual.refineries.losses import Triplets, hard_cross_entropy, hard_triplet, soft_cross_entropy
from mutual.refineries.trust import Trust


class CollaborativeRefining(Refinery):
    """Cross entropy against the other peers' label and against their probabilities; the given labels are not used.

    With mean teachers the predictions are the teachers'. The first ``opening`` of a round's iterations are those of
    SELF, at ``opening_lr`` times the learning rate.
    """

    keys = ("alpha", "triplet_weight", "label_smoothing", "core.opening", "core.opening_lr", "core.selective")
    terms = ("given_ce", "own_ce", "peer_ce", "peer_soft_ce", "tri", "trust")
    least_peers = 2

    def __init__(
        self,
        alpha: float,
        triplet_weight: float,
        label_smoothing: float,
        opening: float,
        opening_lr: float,
        selective: bool,
    ) -> None:
        self.alpha = alpha
        self.triplet_weight = triplet_weight
        self.label_smoothing = label_smoothing
        self.opening = opening
        self.opening_lr = opening_lr
        self.selective = selective
        self.teaching = alpha > 0
        self.trust = Trust()

    def begin(self, number: int, labels: np.ndarray, look: Callable[[], Sequence[np.ndarray]]) -> None:
        """A pass is as many images as have a label."""
        self.trust.images = int((labels >= 0).sum())

    def opens(self, iteration: int, iterations: int) -> bool:
        """Whether this iteration of a round belongs to the opening."""
        return iteration < round(self.opening * iterations)

    def lr_factor(self, iteration: int, iterations: int) -> float:
        """Larger, or not, in the opening."""
        return self.opening_lr if self.opens(iteration, iterations) else 1.0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The sum over the peers, of what there is at this point of the round."""
        opens = self.opens(step.iteration, step.iterations)
        losses = self.trust.losses(step, self.label_smoothing) if opens else self.from_peers(step)
        return losses | {"total": losses["total"] + self.triplet_weight * losses["tri"]}

    def from_peers(self, step: Step) -> dict[str, Tensor]:
        """Against the mean of the other peers' probabilities, and its label."""
        probabilities = [each.logits.detach().softmax(1) for each in step.teachers or step.students]
        peer, soft, triplets = [], [], []
        for i, (pooled, logits) in enumerate(step.students):
            believed = torch.stack([probabilities[j] for j in range(len(probabilities)) if j != i]).mean(0)
            labels = believed.argmax(1)
            ce = hard_cross_entropy(logits, Targets(labels, step.targets.weights), 0.0)
            agreement = (logits.detach().argmax(1) == labels).float().mean() if self.selective else 1.0
            peer.append(ce * agreement)
            soft.append(soft_cross_entropy(logits, believed))
            triplets.append(hard_triplet(Triplets.hardest(pooled, labels).log_ratios, step.targets.weights))
        peer_ce, soft_ce, tri = (torch.stack(terms).sum() for terms in (peer, soft, triplets))
        return {"total": peer_ce + soft_ce, "peer_ce": peer_ce, "peer_soft_ce": soft_ce, "tri": tri}

    def state(self) -> dict[str, Tensor]:
        """The trust, and the pass that has begun."""
        return self.trust.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on with it."""
        self.trust.load(state)

    @classmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """As the authors call it."""
        return title_of("CORE, selective" if params["core.selective"] else "CORE", params)
