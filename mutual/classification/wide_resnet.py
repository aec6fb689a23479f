"""Wide residual networks (Zagoruyko and Komodakis, 2016), for small images.

Norms come before convolutions. Tensor names are those of dynamic mutual training's authors.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mutual.base.errors import InputError

STEM = 16  # channels, which the width multiplies


class WideBlock(nn.Module):
    """Norm, ReLU, 3 x 3 convolution, twice, on top of the input; the stride sits in the first.

    Where the width changes, the shortcut is a 1 x 1 convolution of what the first convolution gets too; elsewhere it is
    the input as it came.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        widens = stride > 1 or width_in != width
        self.convShortcut = nn.Conv2d(width_in, width, 1, stride, bias=False) if widens else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width, H / stride, W / stride), a broken pixel counted as one."""
        active = F.relu(self.bn1(x), inplace=True)
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        return self.conv2(F.relu(self.bn2(self.conv1(active)), inplace=True)).add_(shortcut)


class WideGroup(nn.Module):
    """Blocks of one width; the first changes width and size."""

    def __init__(self, width_in: int, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        further = (WideBlock(width, width, 1) for _ in range(blocks - 1))
        self.layer = nn.Sequential(WideBlock(width_in, width, stride), *further)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width, H / stride, W / stride)."""
        return self.layer(x)


class WideResNet(nn.Module):
    """A 3 x 3 convolution to 16 channels, three groups of 16, 32 and 64 times ``width``, pooling, a classifier.

    A group has (depth - 4) / 6 blocks; the second and third halve the sides. At width 1 the first group keeps its
    width, so that its first block has no other shortcut than the input, as in the paper of the wide networks. Filters
    start normal, by the size of their output (Kaiming), the classifier's biases at 0.
    Raises :class:`InputError` for another depth.
    """

    def __init__(self, classes: int, depth: int = 28, width: int = 2) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise InputError(f"depth: expected 10, 16, 22, 28 or so on in steps of 6, got {depth}")
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.block1 = WideGroup(STEM, STEM * width, blocks, stride=1)
        self.block2 = WideGroup(STEM * width, 2 * STEM * width, blocks, stride=2)
        self.block3 = WideGroup(2 * STEM * width, 4 * STEM * width, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(4 * STEM * width)
        self.fc = nn.Linear(4 * STEM * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), at least 4 x 4 pixels -> (B, classes) logits."""
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        return self.fc(F.relu(self.bn1(x), inplace=True).mean((2, 3)))


def wide_resnet(classes: int, depth: int, width: int, seed: int) -> WideResNet:
    """A network whose first weights follow from the ``seed``."""
    torch.manual_seed(seed)
    return WideResNet(classes, depth, width)
