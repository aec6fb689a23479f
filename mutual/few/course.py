"""How a training went, written beside its network."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.store import write_text


def write_losses(path: Path, said: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Take all steps of a training and write their losses and mean weights, ``iteration,loss,weight``.

    Raises :class:`InputError` for a loss that is not finite.
    """
    losses, weights = (torch.stack(column).cpu().numpy() for column in zip(*said, strict=True))
    if not np.isfinite(losses).all():
        first = int(np.argmin(np.isfinite(losses)))
        raise InputError(f"lr: the loss is not finite at iteration {first + 1}: expected a lower rate")
    lines = [f"{i},{loss:.6f},{weight:.6f}" for i, (loss, weight) in enumerate(zip(losses, weights, strict=True), 1)]
    write_text(path, "\n".join(["iteration,loss,weight", *lines]) + "\n")
