"""SELF: every network learns from the labels it was given and, the better it fits them, from its own predictions.

Ye et al., Collaborative Refining for Person Re-Identification with Label Noise (IEEE TIP 31, 2022), as the authors'
code computes it, for pseudo labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mutual.refineries.contract import Refinery, Step, title_of
from mutual.refineries.trust import Trust


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
        losses = self.trust.losses(step, self.label_smoothing)
        return losses | {"total": losses["total"] + self.triplet_weight * losses["tri"]}

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
