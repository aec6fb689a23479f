"""PyTorch's optimisers without its compiler, which they import when they are made: more than a second a process.

Nothing here is compiled; what they compute is the same, bit by bit.
"""

import inspect
from typing import TypeVar

import torch
from torch import optim

Kind = TypeVar("Kind", bound=type[optim.Optimizer])


def without_compiler(kind: Kind) -> Kind:
    """Take off the methods of ``kind`` what PyTorch wraps round them for its compiler alone."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        setattr(kind, name, inspect.unwrap(getattr(kind, name)))
    # one of step's wrappers also turned gradients off
    kind.step = torch.no_grad()(inspect.unwrap(kind.step))  # type: ignore[method-assign]
    return kind


@without_compiler
class Adam(optim.Adam):
    """``torch.optim.Adam``."""


@without_compiler
class SGD(optim.SGD):
    """``torch.optim.SGD``."""
