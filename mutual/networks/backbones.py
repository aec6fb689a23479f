"""Backbones: networks without a head, from images to a feature map of ``width`` channels."""

from torch import Tensor, nn

from mutual.networks.from_timm import PREFIX, TimmBackbone, is_timm
from mutual.networks.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152, resnet_ibn50a


class MobileNetV2(nn.Module):
    """torchvision's MobileNetV2 (Sandler et al., 2018): 1280 channels, the light one for small devices."""

    width = 1280

    def __init__(self) -> None:
        super().__init__()
        # imported here: torchvision takes longer to import than torch
        from torchvision.models import mobilenet_v2

        self.features = mobilenet_v2().features

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1280, H / 32, W / 32)."""
        return self.features(images)


def backbone(
    name: str, stem_relu: bool, pooling: str = "avg", size: tuple[int, int] | None = None
) -> ResNet | MobileNetV2 | TimmBackbone:
    """The backbone of this name, its weights random.

    ``stem_relu`` False is the authors' form of the plain ResNets, True torchvision's; the others have one form only.
    ``pooling`` and the images' ``size``, height and width, shape timm's alone, see there. Raises ValueError for what is
    none, :class:`InputError` for what timm cannot build.
    """
    if is_timm(name):
        return TimmBackbone(name.removeprefix(PREFIX), pooling, size)
    if pooling == "cls":
        raise ValueError(f"pooling: cls: {name} has no class token")
    match name:
        case "resnet18":
            return resnet18(stem_relu)
        case "resnet34":
            return resnet34(stem_relu)
        case "resnet50":
            return resnet50(stem_relu)
        case "resnet101":
            return resnet101(stem_relu)
        case "resnet152":
            return resnet152(stem_relu)
        case "resnet_ibn50a":
            return resnet_ibn50a()
        case "mobilenet_v2":
            return MobileNetV2()
    raise ValueError(f"{name}: not a backbone")
