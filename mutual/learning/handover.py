"""What a round hands to the next beside its peers, in one file: eps of DBSCAN, its labels, the refinery's state."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.store import write_bytes

NAME = "handover.safetensors"
KEY = "handover"
LABELS = "labels"
STATE = "state."  # before the names of the refinery's tensors


@dataclass(frozen=True)
class Handover:
    """The pre-trained peers come without: then there is nothing yet."""

    eps: float | None = None  # of DBSCAN in the first round, kept by all others
    state: Mapping[str, Tensor] = field(default_factory=dict)  # of the refinery
    labels: np.ndarray | None = None  # (N,) int64 classes that the round learned from; -1: outliers


def write_handover(folder: Path, handover: Handover) -> None:
    """Write it beside the round's peers."""
    tensors = {
        STATE + name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # they may share their memory
        for name, tensor in handover.state.items()
    }
    if handover.labels is not None:
        tensors[LABELS] = torch.from_numpy(handover.labels)
    write_bytes(folder / NAME, save(tensors, metadata={KEY: json.dumps({"eps": handover.eps})}))


def read_handover(folder: Path) -> Handover:
    """What the round with this folder of models hands on. Raises :class:`InputError` for a damaged file."""
    path = folder / NAME
    if not path.exists():
        return Handover()
    expected = f"{path}: expected a whole safetensors file with eps in its metadata"
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
            eps = json.loads((file.metadata() or {})[KEY])["eps"]
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        raise InputError(expected) from None
    if eps is not None and not (isinstance(eps, float) and 0 < eps <= 2):
        raise InputError(f"{path}: expected an eps above 0 and at most 2, got {eps!r}"[:200])
    labels = tensors.pop(LABELS, None)
    if labels is not None and (labels.dtype != torch.int64 or labels.ndim != 1 or (labels < -1).any()):
        raise InputError(f"{path}: expected labels that are whole numbers from -1, one for each image")
    state = {name.removeprefix(STATE): tensor for name, tensor in tensors.items()}
    return Handover(eps, state, None if labels is None else labels.numpy())
