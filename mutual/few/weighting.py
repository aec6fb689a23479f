"""How much a pseudo label counts, by what the network that learns from it says itself."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mutual.few.methods import Form, Method
from mutual.refineries.agreement import agreement_weights


@dataclass(frozen=True)
class Weighting:
    """Dynamic mutual training's weights, DST-CBC's, or none: then each label counts alike.

    ``agreement``: :func:`mutual.refineries.agreement.agreement_weights`. ``own``: the network's probability of the
    label to the power of gamma1 (Feng et al., 2020). ``ones``: 1, which is called curriculum labelling.
    """

    form: Form
    gamma1: float = 0.0
    gamma2: float = 0.0

    def weights(self, own: Tensor, labels: Tensor, confidences: Tensor, factor: float = 1.0) -> Tensor:
        """(B, ...) weights of (B, ...) int64 labels, 0 .. C - 1, and the confidences, 0 .. 1, of who gave them.

        ``own``: (B, C, ...) probabilities of the network that learns; both gammas are multiplied with ``factor``.
        """
        if self.form == "ones":
            return torch.ones_like(own[:, 0])
        if self.form == "own":
            return own.gather(1, labels[:, None])[:, 0] ** (factor * self.gamma1)
        return agreement_weights(own, labels, confidences, factor * self.gamma1, factor * self.gamma2)


def weighting_of(method: Method) -> Weighting:
    """A method's, as a file of parameters has it."""
    return Weighting(method.weights, method.gamma1 or 0.0, method.gamma2 or 0.0)
