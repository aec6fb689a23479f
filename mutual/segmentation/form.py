"""What network it is, where it starts, and how images enter it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.store import existing, write_bytes
from mutual.elsewhere.initial import load_initial_backbone
from mutual.few.reading import place
from mutual.machine.device import uploaded, wide_enough_for_bfloat16
from mutual.machine.streams import integer_seed
from mutual.networks.weights import load_state
from mutual.segmentation.colours import COCO, IMAGENET, Colours, entering
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.params import FILE, Network

START = {"none", "imagenet"}  # what is no file
NAMED = {"imagenet": IMAGENET, "coco": COCO}


@dataclass(frozen=True)
class Form:
    """One of the networks."""

    backbone: str
    classes: int
    stem: int
    output_stride: int
    dilations: Sequence[int]
    summed: int
    weights: str  # imagenet, none, or a file
    colours: str  # imagenet, coco
    precision: str  # fp32, tf32, bf16

    def made(self) -> DeepLab:
        """One with any weights."""
        return DeepLab(
            self.backbone,
            self.classes,
            stem=self.stem,
            output_stride=self.output_stride,
            dilations=self.dilations,
            summed=self.summed,
        )

    def drawn(self, seed: int, network: int) -> DeepLab:
        """Network 1 or 2 as it starts: its random weights are its own."""
        torch.manual_seed(integer_seed(seed, f"segmenter {network}"))
        made = self.made()
        load_initial_backbone(made, self.backbone, self.weights)
        return made

    def read(self, folder: Path, device: torch.device) -> DeepLab:
        """The network of ``network.safetensors``. Raises :class:`InputError` for another file."""
        path = existing(folder / "network.safetensors")
        try:
            state = load(path.read_bytes())
        except SafetensorError as error:
            raise InputError(f"{path}: expected a safetensors file: {error}") from None
        made = self.made()
        load_state(made, state, str(path), exact=True)
        return on_device(made, device).eval()

    @property
    def seen(self) -> Colours:
        """How colours enter."""
        return NAMED[self.colours]


def forms_of(network: Network, classes: int) -> list[Form]:
    """Network 1 and network 2."""
    return [
        Form(
            network.backbone,
            classes,
            network.stem,
            network.output_stride,
            network.dilations,
            network.summed,
            weights if weights in START else str(place(FILE, weights)),
            colours,
            network.precision,
        )
        for weights, colours in zip(network.weights, network.colours, strict=True)
    ]


def written(folder: Path, network: DeepLab) -> None:
    """Write ``network.safetensors``."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(folder / "network.safetensors", save(tensors))


def on_device(network: DeepLab, device: torch.device) -> DeepLab:
    """The network there, in channels-last memory."""
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def logits_of(network: DeepLab, images: Tensor, precision: str) -> Tensor:
    """(B, 3, H, W) -> (B, C, H, W) float32, computed in the precision."""
    if images.device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
    half = precision == "bf16" and wide_enough_for_bfloat16(images)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        return network(images)


def batch_of(pictures: Sequence[np.ndarray], height: int, width: int, colours: Colours, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 pictures of at most this size -> (B, 3, height, width), black below and to the right of each."""
    padded = np.zeros((len(pictures), height, width, 3), np.uint8)
    for canvas, picture in zip(padded, pictures, strict=True):
        canvas[: picture.shape[0], : picture.shape[1]] = picture
    return entering(uploaded(padded, device), colours)
