"""What a trained network says of images, and the pseudo labels that one left."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from mutual.base.errors import InputError
from mutual.base.store import existing, read_array
from mutual.classification.fitting import Pseudo
from mutual.classification.views import CIFAR
from mutual.classification.wide_resnet import WideResNet
from mutual.images.normalisation import normalise
from mutual.machine.device import uploaded
from mutual.networks.weights import load_state

AT_ONCE = {"cpu": 256, "cuda": 2048}  # images


def read_network(folder: Path, network: WideResNet, device: torch.device) -> WideResNet:
    """Fill the network from ``network.safetensors``, in eval mode. Raises :class:`InputError` for another file."""
    path = existing(folder / "network.safetensors")
    try:
        state = load(path.read_bytes())
    except SafetensorError as error:
        raise InputError(f"{path}: expected a safetensors file: {error}") from None
    load_state(network, state, str(path), exact=True)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


@torch.inference_mode()
def logits_of(network: WideResNet, images: np.ndarray, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """(R, C) float32 logits of these of the (N, H, W, 3) uint8 images, not augmented."""
    step = AT_ONCE[device.type]
    parts = [
        network(normalise(uploaded(images[rows[start : start + step]], device), CIFAR))
        for start in range(0, len(rows), step)
    ]
    return torch.cat(parts).cpu().numpy()


def probabilities(network: WideResNet, images: np.ndarray, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """(R, C) float32 softmax of :func:`logits_of`."""
    return torch.from_numpy(logits_of(network, images, rows, device)).softmax(1).numpy()


def read_pseudo(folder: Path, unlabelled: np.ndarray, classes: int) -> Pseudo:
    """The images that are used of (U,) int64 ``unlabelled`` rows, as labelling left them.

    Raises :class:`InputError` for arrays of another form.
    """
    path = folder / "labels.npy"
    labels = read_array(path, dtype=np.int64, shape=(len(unlabelled),))
    confidences = read_array(folder / "confidences.npy", dtype=np.float32, shape=(len(unlabelled),), finite=True)
    if len(labels) and not (labels.min() >= -1 and labels.max() < classes):
        raise InputError(f"{path}: expected classes from 0 to {classes - 1}, or -1")
    used = np.flatnonzero(labels >= 0)
    return Pseudo(unlabelled[used], labels[used], confidences[used])
