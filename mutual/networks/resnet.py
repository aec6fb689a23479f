"""Residual networks with last stride 1 that return a feature map. Tensor names are torchvision's.

Written out because the authors' network differs from torchvision's in the stem, and because importing torchvision takes
longer than importing torch itself: it is imported only where its ImageNet weights are asked for.
"""

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (ResNet-18 and -34); the stride sits in the first."""

    expansion = 1

    def __init__(self, width_in: int, width: int, stride: int, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(width_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x.add_(identity))  # in place: a feature map fewer to fetch memory for


class HalfInstanceNorm(nn.Module):
    """Instance norm of the first half of the channels, batch norm of the others (IBN-a; Pan et al., 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(width // 2, affine=True)
        self.BN = nn.BatchNorm2d(width - width // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        first, second = x.split([self.IN.num_features, self.BN.num_features], dim=1)
        return torch.cat([self.IN(first.contiguous()), self.BN(second.contiguous())], dim=1)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions (ResNet-50 and deeper); the stride sits in the second.

    Of ``dilations`` the first is the one that counts: no 3 x 3 convolution follows on the second.
    """

    expansion = 4

    def __init__(self, width_in: int, width: int, stride: int, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilations[0], dilation=dilations[0], bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(width_in, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, 4 * width, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x.add_(identity))  # in place: a feature map fewer to fetch memory for


class IbnBottleneck(Bottleneck):
    """A bottleneck whose first norm is half an instance norm."""

    def __init__(self, width_in: int, width: int, stride: int, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__(width_in, width, stride, dilations)
        self.bn1 = HalfInstanceNorm(width)


def _downsample(width_in: int, width_out: int, stride: int) -> nn.Module | None:
    if stride == 1 and width_in == width_out:
        return None
    return nn.Sequential(nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out))


class ResNet(nn.Module):
    """Stem and four layers; the last layer keeps its input's resolution, as is usual in re-identification.

    ``width`` is the number of channels of the feature map, whose sides are a sixteenth of the image's. ``last`` is the
    last layer's block where it is another one, ``stem`` the number of the stem's channels, of which all others are
    multiples; with a ``last_stride`` of 2, torchvision's, the map's sides are a thirty-second.

    With an ``output_stride`` (2, 4, 8, 16 or 32; ``last_stride`` then does not count) the map's sides are that part of
    the image's: the strides of stem, pooling and layers are kept until they come to it. A later layer's stride becomes
    dilation of what follows it, as in torchvision: its values are those of the strided network, at more places. The
    pooling's is left out without that, which dilates less, for small images.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: tuple[int, int, int, int],
        stem_relu: bool,
        last: type[BasicBlock | Bottleneck] | None = None,
        *,
        stem: int = 64,
        last_stride: int = 1,
        output_stride: int | None = None,
    ) -> None:
        super().__init__()
        if output_stride not in (None, 2, 4, 8, 16, 32):
            raise ValueError(f"output_stride: expected 2, 4, 8, 16 or 32, got {output_stride}")
        most = output_stride or 32
        self.conv1 = nn.Conv2d(3, stem, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.stem_relu = nn.ReLU(inplace=True) if stem_relu else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, 1 if most < 4 else 2, padding=1)
        self.width = stem
        # of each layer: its stride, the dilation before it and that from it on
        plan = [(1, 1, 1), (2, 1, 1), (2, 1, 1), (last_stride if output_stride is None else 2, 1, 1)]
        dilation = 1
        for i, reached in enumerate((8, 16, 32), start=1):
            if reached > most:
                plan[i] = (1, dilation, 2 * dilation)
                dilation *= 2
        self.layer1 = self._layer(block, stem, depths[0], *plan[0])
        self.layer2 = self._layer(block, 2 * stem, depths[1], *plan[1])
        self.layer3 = self._layer(block, 4 * stem, depths[2], *plan[2])
        self.layer4 = self._layer(last or block, 8 * stem, depths[3], *plan[3])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _layer(
        self, block: type[BasicBlock | Bottleneck], width: int, depth: int, stride: int, before: int, dilation: int
    ) -> nn.Sequential:
        blocks = []
        for i in range(depth):
            # the convolution that would stride still sees the grid before it
            steps = (stride, (before, dilation)) if i == 0 else (1, (dilation, dilation))
            blocks.append(block(self.width, width, *steps))
            self.width = width * block.expansion
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / 16, W / 16), with a last stride of 2 half of that; or by the output stride."""
        x = self.maxpool(self.stem_relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def resnet18(stem_relu: bool, stem: int = 64, last_stride: int = 1, output_stride: int | None = None) -> ResNet:
    """ResNet-18, 512 channels. ``stem_relu`` False is the authors' form, True torchvision's."""
    return ResNet(BasicBlock, (2, 2, 2, 2), stem_relu, stem=stem, last_stride=last_stride, output_stride=output_stride)


def resnet34(stem_relu: bool, stem: int = 64, last_stride: int = 1, output_stride: int | None = None) -> ResNet:
    """ResNet-34, 512 channels."""
    return ResNet(BasicBlock, (3, 4, 6, 3), stem_relu, stem=stem, last_stride=last_stride, output_stride=output_stride)


def resnet50(stem_relu: bool, stem: int = 64, last_stride: int = 1, output_stride: int | None = None) -> ResNet:
    """ResNet-50, 2048 channels. ``stem_relu`` False is the authors' form, True torchvision's."""
    return ResNet(Bottleneck, (3, 4, 6, 3), stem_relu, stem=stem, last_stride=last_stride, output_stride=output_stride)


def resnet101(stem_relu: bool, stem: int = 64, last_stride: int = 1, output_stride: int | None = None) -> ResNet:
    """ResNet-101, 2048 channels."""
    return ResNet(Bottleneck, (3, 4, 23, 3), stem_relu, stem=stem, last_stride=last_stride, output_stride=output_stride)


def resnet152(stem_relu: bool) -> ResNet:
    """ResNet-152, 2048 channels."""
    return ResNet(Bottleneck, (3, 8, 36, 3), stem_relu)


def resnet_ibn50a() -> ResNet:
    """IBN-ResNet-50-a, 2048 channels; its stem has a ReLU in the authors' code too."""
    return ResNet(IbnBottleneck, (3, 4, 6, 3), stem_relu=True, last=Bottleneck)
