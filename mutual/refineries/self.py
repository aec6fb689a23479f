"""SELF: every network learns from the labels it was given and, the better it fits them, from its own predictions.

Ye et al., Collaborative Refining for Person Re-Identification with Label Noise (IEEE TIP 31, 2022), as the authors'
code computes it, for pseudo labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mutual.networks.reid import ReidNetwork
from mutual.refineries.contract import Refinery, Step, title_of
from mutual.refineries.teacher import move_teachers
from mutual.refineries.trust import Trust, given_and_own


class OwnPredictions(Refinery):
    """-(1 - w) log p(label) - w log max p; see :class:`mutual.refineries.trust.Trust` for w.

    With mean teachers a student's own prediction is that of its teacher.
    """

    keys = ("alpha", "triplet_weight", "label_smoothing")
    terms = ("given_ce", "own_ce", "tri", "trust")

    def __init__(self, alpha: float, triplet_weight: float, label_smoothing: float) -> None:
        self.alpha = alpha
        self.triplet_weight = triplet_weight
        self.label_smoothing = label_smoothing
        self.teaching = alpha > 0
        self.trust = Trust()

    def begin(self, number: int, labels: np.ndarray, look: Callable[[], Sequence[np.ndarray]]) -> None:
        """A pass is as many images as have a label."""
        self.trust.images = int((labels >= 0).sum())

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The sum over the peers; ``trust`` is the mean of their w."""
        weights = self.trust.of(step.students[0].logits, len(step.students))
        given, own, triplets = [], [], []
        for output, judge, w in zip(step.students, step.teachers or step.students, weights, strict=True):
            predicted = judge.logits.detach().argmax(1)
            ce, own_ce, tri = given_and_own(output, step.targets, predicted, w, self.label_smoothing)
            given.append(ce)
            own.append(own_ce)
            triplets.append(tri)
        losses = (1 - weights) * torch.stack(given) + weights * torch.stack(own)
        self.trust.add(losses, len(step.rows))
        ce, own_ce, tri = (torch.stack(terms).sum() for terms in (given, own, triplets))
        total = losses.sum() + self.triplet_weight * tri
        return {"total": total, "given_ce": ce, "own_ce": own_ce, "tri": tri, "trust": weights.mean()}

    def after_step(self, students: Sequence[ReidNetwork], teachers: Sequence[ReidNetwork] | None, done: int) -> None:
        """Each teacher moves towards its student."""
        move_teachers(teachers, students, done, self.alpha)

    def state(self) -> dict[str, Tensor]:
        """The trust, and the pass that has begun."""
        return self.trust.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on with it."""
        self.trust.load(state)

    @classmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """As the authors call it."""
        return title_of("SELF", params)
