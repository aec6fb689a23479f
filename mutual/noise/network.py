"""The network of supervised re-identification: a ResNet, its pooled feature, an embedding, a classifier with biases.

As Ye et al. (IEEE TIP 31, 2022) have it. What is compared at test time is the pooled feature, of an image and of its
mirror image together.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mutual.elsewhere.initial import load_initial_backbone
from mutual.images.normalisation import normalise
from mutual.machine.device import uploaded
from mutual.machine.streams import integer_seed
from mutual.networks.reid import ReidNetwork
from mutual.networks.resnet import resnet18, resnet34, resnet50

WIDTH = 512  # of the embedding
AT_ONCE = {"cpu": 32, "cuda": 256}  # images


class SupervisedNetwork(ReidNetwork):
    """The parts of the other one, with another neck: linear to 512, batch norm, leaky ReLU; dropout; a classifier.

    ``stem`` and ``last_stride`` are those of :class:`mutual.networks.resnet.ResNet`. The last linear map starts at
    N(0, 0.001), the first at N(0, sqrt(2 / 512)), the norm's weights at N(1, 0.02), biases at 0.
    """

    def __init__(self, backbone: str, classes: int, stem: int, last_stride: int, dropout: float) -> None:
        super().__init__(backbone, classes, stem_relu=True, dropout=dropout)
        made = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}[backbone]
        self.backbone = made(True, stem, last_stride)
        linear, norm = nn.Linear(self.backbone.width, WIDTH), nn.BatchNorm1d(WIDTH)
        self.neck = nn.Sequential(linear, norm, nn.LeakyReLU(0.1))  # type: ignore[assignment]
        self.classifier = nn.Linear(WIDTH, classes)
        nn.init.normal_(linear.weight, std=(2 / WIDTH) ** 0.5)
        nn.init.normal_(norm.weight, mean=1.0, std=0.02)
        nn.init.normal_(self.classifier.weight, std=0.001)
        for biases in (linear.bias, self.classifier.bias):
            nn.init.zeros_(biases)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D) L2-normalised pooled features."""
        return F.normalize(self.pool(images))


def drawn_network(
    backbone: str, classes: int, stem: int, last_stride: int, dropout: float, weights: str, seed: int, number: int
) -> SupervisedNetwork:
    """Network ``number`` (from 1) of a run: its random weights are its own, given ``weights`` those of all."""
    torch.manual_seed(integer_seed(seed, f"network {number} with wrong labels"))
    network = SupervisedNetwork(backbone, classes, stem, last_stride, dropout)
    load_initial_backbone(network, backbone, weights)
    return network


def with_mirror(features: Tensor, mirrored: Tensor) -> Tensor:
    """(B, D) features and those of the mirror images, L2-normalised -> (B, D) their sum, L2-normalised."""
    return F.normalize(F.normalize(features) + F.normalize(mirrored))


@torch.inference_mode()
def compared_features(network: SupervisedNetwork, images: np.ndarray, device: torch.device) -> np.ndarray:
    """(N, H, W, 3) uint8 images -> (N, D) float32 features of length 1, of image and mirror image; in eval mode."""
    parts = [
        with_mirror(network.embed(batch), network.embed(batch.flip(3))) for batch in batches(network, images, device)
    ]
    return np.concatenate([part.cpu().numpy() for part in parts])


@torch.inference_mode()
def logits_of(network: SupervisedNetwork, images: np.ndarray, device: torch.device, mirrored: bool) -> np.ndarray:
    """(N, H, W, 3) uint8 images, or their mirror images -> (N, C) float32 logits; in eval mode."""
    parts = [network(batch.flip(3) if mirrored else batch)[1] for batch in batches(network, images, device)]
    return np.concatenate([part.cpu().numpy() for part in parts])


def batches(network: SupervisedNetwork, images: np.ndarray, device: torch.device) -> Iterator[Tensor]:
    """The images in (B, 3, H, W) batches, in order, as the network expects them."""
    for start in range(0, len(images), AT_ONCE[device.type]):
        part = np.array(images[start : start + AT_ONCE[device.type]])
        yield normalise(uploaded(part, device), network.normalisation)
