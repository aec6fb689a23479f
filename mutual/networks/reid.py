"""The re-identification network: backbone, global pooling, batch-norm neck, bias-free classifier."""

import warnings
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mutual.images.normalisation import IMAGENET
from mutual.machine.device import COLUMNS_FOR_BFLOAT16, wide_enough_for_bfloat16
from mutual.networks.backbones import backbone as backbone_named
from mutual.networks.from_timm import TimmBackbone


class GeneralisedMean(nn.Module):
    """The p-th root of the mean p-th power over a feature map's places (Radenović et al., 2018); p is trained.

    p = 1 is the mean, a large p the maximum; it starts at 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([3.0]))

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, D); values below 1e-6 count as 1e-6."""
        return feature_map.clamp(min=1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p)


class ReidNetwork(nn.Module):
    """Backbone -> pooled feature x (triplet losses) -> neck -> classifier (classification losses).

    ``pooling`` is "avg", "gem" or, of some of timm's networks, "cls". The neck is a BatchNorm1d whose bias stays 0; the
    classifier starts at N(0, 0.001). ``precision`` "bf16" runs the backbone in bfloat16, "tf32" the convolutions in
    TensorFloat-32 where a GPU has it; the pooling and all that follows are float32 either way. On a CPU images of less
    than 32 columns are float32 throughout. ``size`` is the images' height and width, which transformers of timm have
    weights for.
    """

    normalisation = IMAGENET  # of the images that it expects
    columns = COLUMNS_FOR_BFLOAT16  # of theirs, at least

    def __init__(
        self,
        backbone: str,
        classes: int,
        *,
        stem_relu: bool = False,
        pooling: str = "avg",
        dropout: float = 0.0,
        precision: str = "fp32",
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        for value, known in ((pooling, ("avg", "gem", "cls")), (precision, ("fp32", "tf32", "bf16"))):
            if value not in known:
                raise ValueError(f"{value!r}: expected {' or '.join(known)}")
        # what a file says of the network, so that it can be built again
        self.form: dict[str, Any] = {
            "backbone": backbone,
            "stem_relu": stem_relu,
            "pooling": pooling,
            "dropout": dropout,
            "precision": precision,
        }
        self.precision = precision
        self.backbone = backbone_named(backbone, stem_relu, pooling, size)
        if isinstance(self.backbone, TimmBackbone):
            self.normalisation, self.columns = self.backbone.normalisation, self.backbone.columns
        self.pooling = GeneralisedMean() if pooling == "gem" else None
        self.neck = nn.BatchNorm1d(self.backbone.width)
        self.neck.bias.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        with warnings.catch_warnings():  # of no classes, before the first clusters: there is nothing to draw
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            self.classifier = nn.Linear(self.backbone.width, classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def pool(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images -> (B, D) pooled features."""
        if images.is_cuda:  # the setting is the process's; it holds for the backward pass, too
            torch.backends.cudnn.allow_tf32 = self.precision == "tf32"
        half = self.precision == "bf16" and wide_enough_for_bfloat16(images, self.columns)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            feature_map = self.backbone(images)
        if half:
            feature_map = feature_map.float()
        pooled = feature_map.mean((2, 3)) if self.pooling is None else self.pooling(feature_map)
        return self.backbone.after_pooling(pooled) if isinstance(self.backbone, TimmBackbone) else pooled

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> pooled features (B, D) and logits (B, classes), in training."""
        pooled = self.pool(images)
        return pooled, self.classifier(self.dropout(self.neck(pooled)))

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D) L2-normalised output of the neck: the feature that is compared at test time."""
        return F.normalize(self.neck(self.pool(images)))

    def set_classifier(self, centroids: Tensor) -> None:
        """One class for each of the (C, D) centroids; its row is the L2-normalised centroid."""
        self.classifier = nn.Linear(centroids.shape[1], centroids.shape[0], bias=False, device=centroids.device)
        with torch.no_grad():
            self.classifier.weight.copy_(F.normalize(centroids))


def inference(network: ReidNetwork) -> ReidNetwork:
    """The network in eval mode and channels-last memory, its parameters frozen; it cannot be trained any more.

    Batch norms are merged into the convolutions before them: with fixed statistics they are one linear map. Not those
    of timm's networks, where what is defined after a convolution need not follow it.
    """
    network.eval().requires_grad_(False)
    if not isinstance(network.backbone, TimmBackbone):
        _merge_batch_norms(network.backbone)
    return network.to(memory_format=torch.channels_last)


def _merge_batch_norms(module: nn.Module) -> None:
    children = list(module.named_children())
    for (name, convolution), (norm_name, norm) in pairwise(children):
        if type(convolution) is nn.Conv2d and isinstance(norm, _BatchNorm):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, nn.Identity())
    for _, child in children:
        _merge_batch_norms(child)
