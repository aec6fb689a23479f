"""DeepLab-v2 (Chen et al., TPAMI 40, 2018): a dilated ResNet, and a head that sums convolutions of several dilations.

Tensor names are those of DMT's authors (Feng et al., Pattern Recognition 130, 2022), torchvision's in the backbone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mutual.networks.resnet import resnet18, resnet34, resnet50, resnet101

BACKBONES = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50, "resnet101": resnet101}
DILATIONS = (6, 12, 18, 24)
SUMMED = 2  # in the authors' code, where a `return` stands inside of the loop; the paper sums all


class InnerTaps(nn.Conv2d):
    """A dilated 3 x 3 convolution that leaves out the taps which lie outside a small map wherever they stand.

    They add zeros and get the gradient 0 as it is, but take as long as the others: the outcome is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, D, h / stride, w / stride)."""
        inner = [dilation < side for dilation, side in zip(self.dilation, x.shape[-2:], strict=True)]
        if all(inner):
            return super().forward(x)
        rows, columns = (slice(None) if kept else slice(1, 2) for kept in inner)
        weight = self.weight[:, :, rows, columns].contiguous(memory_format=torch.channels_last)
        padding = [dilation if kept else 0 for dilation, kept in zip(self.dilation, inner, strict=True)]
        return F.conv2d(x, weight, self.bias, self.stride, padding, self.dilation)


class DilatedSum(nn.Module):
    """3 x 3 convolutions with biases, one for each dilation, of which the first ``summed`` are summed.

    The others are there as tensors, so that the authors' files fit, and get no gradient. Weights start at N(0, 0.01),
    biases at 0.
    """

    def __init__(self, width: int, classes: int, dilations: Sequence[int] = DILATIONS, summed: int = SUMMED) -> None:
        super().__init__()
        if not 1 <= summed <= len(dilations):
            raise ValueError(f"summed: expected 1 to {len(dilations)}, got {summed}")
        self.summed = summed
        self.convs = nn.ModuleList(nn.Conv2d(width, classes, 3, padding=each, dilation=each) for each in dilations)
        for name, tensor in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(tensor, std=0.01)
            else:
                nn.init.zeros_(tensor)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, classes, h, w)."""
        total = self.convs[0](x)
        for conv in self.convs[1 : self.summed]:
            total = total + conv(x)
        return total


class DeepLab(nn.Module):
    """From images to logits of each pixel.

    ``stem`` and ``output_stride`` are those of :class:`mutual.networks.resnet.ResNet`, ``dilations`` and ``summed``
    those of the head. Raises ValueError for another backbone, stride or number of summed convolutions.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        *,
        stem: int = 64,
        output_stride: int = 8,
        dilations: Sequence[int] = DILATIONS,
        summed: int = SUMMED,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone: expected one of {', '.join(BACKBONES)}, got {backbone}")
        self.classes = classes
        self.backbone = BACKBONES[backbone](True, stem, output_stride=output_stride)
        self.classifier = nn.Sequential(DilatedSum(self.backbone.width, classes, dilations, summed))
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
                module.__class__ = InnerTaps  # same tensors, drawn as before

    def coarse(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, classes, h, w) logits of the map, h = H / output_stride, rounded up."""
        return self.classifier(self.backbone(images))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, classes, H, W) logits, in float32 where the network computes in less."""
        return enlarged(self.coarse(images), images.shape[-2], images.shape[-1])


def enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    """(B, C, h, w) -> (B, C, height, width), bilinear with aligned corners, as :func:`F.interpolate` has it.

    As products with two narrow matrices: the gradient of that function is not deterministic on a GPU. In float32 at
    least, whatever autocast says.
    """
    with torch.autocast(maps.device.type, enabled=False):
        maps = maps if maps.dtype == torch.float64 else maps.float()
        rows, columns = taps(maps.shape[-2], height, maps), taps(maps.shape[-1], width, maps)
        return rows @ (maps @ columns.T)


def taps(before: int, after: int, like: Tensor) -> Tensor:
    """(after, before) weights of linear interpolation with aligned corners; a row sums to 1."""
    step = (before - 1) / (after - 1) if after > 1 else 0.0
    given, wanted = (torch.arange(n, device=like.device, dtype=torch.float64) for n in (before, after))
    return (1 - (wanted[:, None] * step - given).abs()).clamp_(min=0).to(like.dtype)
