"""How a training went, written beside its network."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.base.store import write_text

LOOKED_AT = 100  # iterations


def write_losses(path: Path, said: Iterable[tuple[Tensor, Tensor]], iterations: int, name: str) -> None:
    """Take all steps of a training and write their losses and mean weights, ``iteration,loss,weight``.

    ``name`` is what the progress calls it.
    Raises :class:`InputError` for a loss that is not finite.
    """
    parts: list[np.ndarray] = []  # (2, n)
    steps = iter(Progress(said, desc=name, total=iterations, unit="it"))
    # asked for now and then: each time waits for the device
    while some := list(islice(steps, LOOKED_AT)):
        part = torch.stack([torch.stack(column) for column in zip(*some, strict=True)]).cpu().numpy()
        if not np.isfinite(part[0]).all():
            first = LOOKED_AT * len(parts) + int(np.argmin(np.isfinite(part[0])))
            raise InputError(f"lr: the loss is not finite at iteration {first + 1}: expected a lower rate")
        parts.append(part)
    losses, weights = np.concatenate(parts, axis=1)
    lines = [f"{i},{loss:.6f},{weight:.6f}" for i, (loss, weight) in enumerate(zip(losses, weights, strict=True), 1)]
    write_text(path, "\n".join(["iteration,loss,weight", *lines]) + "\n")
