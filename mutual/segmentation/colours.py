"""How pixels enter a network: by what they are normalised, and in which order the colours come."""

from dataclasses import dataclass

from torch import Tensor

from mutual.images.normalisation import IMAGENET as BY_IMAGENET
from mutual.images.normalisation import Normalisation, normalise


@dataclass(frozen=True)
class Colours:
    """What a network expects."""

    by: Normalisation  # of RGB values in 0 .. 1
    blue_first: bool = False  # BGR, as networks that came from Caffe have it


IMAGENET = Colours(BY_IMAGENET)
# of the networks that learned on COCO with Caffe: values 0 .. 255 without their means, which are named in BGR there
COCO = Colours(
    Normalisation(tuple(mean / 255 for mean in (122.675, 116.669, 104.008)), (1 / 255,) * 3), blue_first=True
)


def entering(images: Tensor, colours: Colours) -> Tensor:
    """(B, H, W, 3) RGB, uint8 or float32 in 0 .. 255 (then overwritten) -> (B, 3, H, W) float32, channels-last."""
    found = normalise(images, colours.by)
    return found.flip(1) if colours.blue_first else found
