"""Checkpoints as the authors' code names their tensors, and back."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.store import write_bytes
from mutual.networks.weights import read_pickle


def official_name(own: str, stem_relu: bool) -> str:
    """``backbone.layer1.0.conv1.weight`` -> ``base.3.0.conv1.weight``.

    The authors' backbone is a sequence of conv1, bn1, a ReLU where the stem has one, max pooling and the four layers.
    """
    name = re.sub(r"^neck\.", "feat_bn.", own)
    name = re.sub(r"^backbone\.conv1\.", "base.0.", name)
    name = re.sub(r"^backbone\.bn1\.", "base.1.", name)
    return re.sub(r"^backbone\.layer([1-4])\.", lambda found: f"base.{int(found[1]) + 2 + stem_relu}.", name)


def read_official(path: Path, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of an official checkpoint by our names; ``names`` maps official names to ours.

    Nothing but tensors and plain numbers is unpickled. Raises :class:`InputError` for a file that needs more or is
    damaged, and for tensors that are missing or unexpected.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in read_pickle(path).items()}
    for absent, fault in (
        (names.keys() - state.keys(), "is missing"),
        (state.keys() - names.keys(), "is not expected"),
    ):
        # older checkpoints do not count the batches
        faults = sorted(name for name in absent if not name.endswith("num_batches_tracked"))
        if faults:
            more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
            raise InputError(f"{path}: not a checkpoint of the network in params.yaml: {faults[0]} {fault}{more}")
    return {names[name]: tensor for name, tensor in state.items() if name in names}


def write_official(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write ``{"state_dict": state}`` as the authors' test script reads it."""
    content = io.BytesIO()
    torch.save({"state_dict": {name: tensor.clone() for name, tensor in state.items()}}, content)
    write_bytes(path, content.getvalue())
