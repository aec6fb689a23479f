"""The re-identification network: backbone, global average pooling, batch-norm neck, bias-free classifier."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.reid.resnet import resnet18, resnet50


class ReidNetwork(nn.Module):
    """Backbone -> pooled feature x (triplet losses) -> neck -> classifier (classification losses).

    The neck is a BatchNorm1d whose bias stays 0; the classifier starts at N(0, 0.001). ``precision`` "bf16" runs the
    backbone in bfloat16; the neck, the classifier and all that follows are float32 either way.
    """

    def __init__(
        self, backbone: str, classes: int, *, stem_relu: bool = False, dropout: float = 0.0, precision: str = "fp32"
    ) -> None:
        super().__init__()
        self.precision = precision
        self.backbone = {"resnet18": resnet18, "resnet50": resnet50}[backbone](stem_relu)
        self.neck = nn.BatchNorm1d(self.backbone.width)
        self.neck.bias.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.backbone.width, classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def pool(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images -> (B, D) pooled features."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            feature_map = self.backbone(images)
        if self.precision == "bf16":
            feature_map = feature_map.float()
        return feature_map.mean((2, 3))

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
    """The network in eval mode and channels-last memory, its parameters frozen."""
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
