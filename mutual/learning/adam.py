"""Adam over many parameters at once, without the seconds that building torch's own optimiser costs a process."""

from collections.abc import Sequence

import torch
from torch import nn

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015) with L2 weight decay, bit by bit torch's fused one, whose kernel it calls.

    ``torch.optim.Adam`` imports torch's compiler when it is built, which takes longer than importing torch. ``groups``
    are (parameters, their share of the learning rate ``lr``), which may be changed from step to step.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[nn.Parameter], float]], lr: float, weight_decay: float) -> None:
        self.groups = groups
        self.lr = lr
        self.weight_decay = weight_decay
        self.means = [[torch.zeros_like(p) for p in parameters] for parameters, _ in groups]
        self.squares = [[torch.zeros_like(p) for p in parameters] for parameters, _ in groups]
        self.done = torch.zeros((), device=groups[0][0][0].device)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameters, _ in self.groups:
            for parameter in parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients, which every parameter must have."""
        self.done += 1
        for (parameters, share), means, squares in zip(self.groups, self.means, self.squares, strict=True):
            gradients = [p.grad for p in parameters if p.grad is not None]
            if len(gradients) < len(means):
                raise ValueError("a trained parameter has no gradient")
            torch._fused_adam_(
                list(parameters),
                gradients,
                means,
                squares,
                [],
                [self.done] * len(means),
                lr=self.lr * share,
                beta1=BETA1,
                beta2=BETA2,
                weight_decay=self.weight_decay,
                eps=EPS,
                amsgrad=False,
                maximize=False,
            )
