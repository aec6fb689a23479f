"""Tensors from elsewhere: the backbone's initial weights, files that torch saved, and how tensors enter a network."""

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.base.store import existing
from mutual.networks.reid import ReidNetwork


class IgnoredNumber:
    """Stands for NumPy's numbers and their types in a pickle: takes what it is given, keeps nothing.

    NumPy's own would take flags from the file and read memory as these say.
    """

    def __init__(self, *given: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


NUMPY_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (IgnoredNumber, name)  # NumPy 1 had the function in core, without the underscore
    for name in ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
]


def load_initial_backbone(network: ReidNetwork, backbone: str, weights: str) -> None:
    """Fill the backbone from ``weights``: "imagenet" (torchvision's, downloaded by it), "none" (left as it is), a file.

    A file holds the tensors by torchvision's names (.safetensors, or .pth and .pth.tar as saved by torch), those of
    IBN-Net's releases included; its classifier is not used. Raises :class:`InputError` for a file that is missing,
    damaged, or has other tensors than the backbone.
    """
    if weights == "none":
        return
    if weights == "imagenet" and backbone == "resnet_ibn50a":
        raise InputError("weights: imagenet: torchvision has none of resnet_ibn50a: expected a file, or none")
    if weights == "imagenet":
        # imported here: torchvision takes longer to import than torch
        from torchvision.models import get_model_weights

        entry = get_model_weights(backbone)["IMAGENET1K_V1"]  # what the authors started from
        try:
            state = entry.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise InputError(f"weights: imagenet: torchvision could not load {entry.url}: {error}") from None
    else:
        try:
            state = _read_state(Path(weights))
        except InputError as error:
            raise InputError(f"weights: {error}") from None
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    state = {name: tensor for name, tensor in state.items() if not name.startswith(("fc.", "classifier."))}
    load_state(network.backbone, state, f"weights: {weights}: not the weights of {backbone}")


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: not found: expected imagenet, none, or a .safetensors or .pth file")
    if path.suffix != ".safetensors":
        return read_pickle(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file: {error}") from None


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors that torch saved in a file, plainly or under ``state_dict``; nothing else in it is ever unpickled.

    NumPy's numbers may stand beside them (the authors keep their best mAP there) and are passed over. Raises
    :class:`InputError` for a file that is missing or damaged, needs more than that to be read, or holds no tensors.
    """
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBERS), warnings.catch_warnings(action="ignore"):
            state = torch.load(existing(path), map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a damaged file makes torch raise almost anything
        expected = "expected a whole file of tensors saved by torch, without code"
        raise InputError(f"{path}: {expected}: {_unread(error)}") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise InputError(f"{path}: expected a mapping of names to tensors")
    return dict(state)


def _unread(error: Exception) -> str:
    """Why torch did not read a file, in a line."""
    if isinstance(error, UnpicklingError):
        # torch's own text is paragraphs and advises to read the file all the same
        asked = re.search(r"GLOBAL (\S+)", str(error))
        return f"it asks for {asked[1]!r}" if asked else "not written by torch"
    return str(error).split("\n", 1)[0] or type(error).__name__


def class_count(state: Mapping[str, Tensor]) -> int:
    """Rows of the classifier; 1 where it is a scalar, which :func:`load_state` then refuses by its shape."""
    return state["classifier.weight"].shape[:1].numel()


def load_state(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load all tensors of ``state``, or raise an :class:`InputError` that names the first that does not fit."""
    own = module.state_dict()
    # older files of torchvision's do not count the batches
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    for names, fault in ((missing, "is missing"), (unexpected, "is not expected")):
        if names:
            raise InputError(f"{what}: {names[0]} {fault}" + (f" (and {len(names) - 1} more)" if names[1:] else ""))
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise InputError(f"{what}: {name} is {tuple(tensor.shape)}, expected {tuple(own[name].shape)}")
    module.load_state_dict(state, strict=False)
