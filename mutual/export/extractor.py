"""What is exported: from images as Pillow gives them to features, in one module."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.images.normalisation import normalise
from mutual.networks.peers import Peer, read_network, read_peer
from mutual.networks.reid import ReidNetwork, inference

Precision = Literal["fp32", "fp16", "int8"]

INPUT, OUTPUT = "images", "features"


class Extractor(nn.Module):
    """The teachers of one or several peers, normalisation of images and features included.

    ``embed`` of each teacher is L2-normalised. Of several it is their mean, which is shorter, as it is clustered: see
    :func:`mutual.evaluation.features.mean_features`.
    """

    def __init__(self, teachers: Sequence[ReidNetwork]) -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB -> (N, D) float32."""
        views = normalise(images)
        features = [teacher.embed(views) for teacher in self.teachers]  # type: ignore[operator]
        return features[0] if len(features) == 1 else torch.stack(features).mean(0)


class HalfBackbone(nn.Module):
    """A backbone in float16 between float32 images and a float32 feature map: what follows needs the range."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone.half()
        self.width = width

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, h, w)."""
        return self.backbone(images.half()).float()


def read_extractor(paths: Sequence[Path], half: bool = False) -> Extractor:
    """The teachers of these peers' files, ready to be exported, on the CPU; ``half``: their backbones in float16.

    A peer trained in bfloat16 is computed in float32. Raises :class:`InputError` for a file that is no peer, and for
    peers whose images or features differ in size, so that no mean of them exists.
    """
    peers = [read_peer(path) for path in paths]
    for path, peer in zip(paths, peers, strict=True):
        if (peer.height, peer.width) != (peers[0].height, peers[0].width):
            expected = f"images of {peers[0].height} x {peers[0].width} pixels as {paths[0]} has them"
            raise InputError(f"{path}: expected {expected}, found {peer.height} x {peer.width}")
    teachers = [inference(read_network(path, "teacher", precision="fp32")) for path in paths]
    for path, teacher in zip(paths, teachers, strict=True):
        if teacher.backbone.width != teachers[0].backbone.width:
            expected = f"features of {teachers[0].backbone.width} numbers as {paths[0]} has them"
            raise InputError(f"{path}: expected {expected}, found {teacher.backbone.width}")
        if half:
            teacher.backbone = HalfBackbone(teacher.backbone, teacher.backbone.width)  # type: ignore[assignment]
    return Extractor(teachers).eval()


def description(paths: Sequence[Path], precision: Precision, version: str) -> dict[str, str]:
    """What an exported file says of itself: a text for each key, ``peers`` as JSON with the hash of each file.

    ``version`` is the project's.
    """
    peers = [read_peer(path) for path in paths]
    length = "1" if len(peers) == 1 else "of each peer's 1, of their mean less"
    return {
        "project": f"mutual-mean-teaching {version}",
        "precision": precision,
        "backbone": ", ".join(dict.fromkeys(str(peer.network["backbone"]) for peer in peers)),
        "pooling": ", ".join(dict.fromkeys(str(peer.network["pooling"]) for peer in peers)),
        "image_height": str(peers[0].height),
        "image_width": str(peers[0].width),
        INPUT: "(N, image_height, image_width, 3) uint8, RGB, resized by Pillow's bicubic filter",
        OUTPUT: f"(N, D) float32, length {length}",
        "iterations": ", ".join(str(peer.iterations) for peer in peers),
        "peers": json.dumps([of_peer(*each) for each in zip(paths, peers, strict=True)], sort_keys=True),
    }


def of_peer(path: Path, peer: Peer) -> dict[str, object]:
    """Where one of the networks comes from: the file, its hash, the network, and the parameters that made it."""
    return {
        "file": path.as_posix(),
        "sha256": digest(path),
        "network": peer.network,
        "iterations": peer.iterations,
        "params": peer.params,
    }


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
