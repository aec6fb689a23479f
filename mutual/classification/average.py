"""The averaged network, which labels and which is tested."""

import torch
from torch import nn

KEPT = 0.001  # of the average, an iteration: the authors'


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, kept: float = KEPT) -> None:
    """average = kept x average + (1 - kept) x network, over the parameters.

    The authors' decay of 0.999 stands at the network, so that their average is practically the network itself: with
    0.999 ``kept`` it would be the usual mean teacher.
    """
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - kept)


@torch.no_grad()
def copy_statistics(average: nn.Module, network: nn.Module) -> None:
    """The average with the network's last batch norm statistics: of averaged parameters the authors have no other."""
    for own, theirs in zip(average.buffers(), network.buffers(), strict=True):
        own.copy_(theirs)
