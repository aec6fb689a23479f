"""Iterations with few labels, written out as dynamic mutual training's authors lay them out: the trainers must equal
them, and are timed beside them.

Tensors of colours come before rows and columns in memory, views are made image by image, weights by masks, and the
optimiser is PyTorch's as it comes.
"""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from mutual.classification.randaugment import BLACK, CUT, OPERATIONS, Plan, values
from mutual.images.normalisation import Normalisation
from mutual.segmentation.views import Cut, View

GREY, IGNORED = 128, 255


class Gammas(NamedTuple):
    """Exponents of the weights where both networks agree, and where they do not."""

    agreeing: float
    unlike: float


def masked_weights(outputs: Tensor, labels: Tensor, confidences: Tensor, pseudo: int, gammas: Gammas) -> Tensor:
    """(B, ...) weights; ``outputs`` (B, C, ...) logits, of which the first ``pseudo`` images are pseudo-labelled."""
    probabilities = outputs.detach().softmax(1)
    sure, named = probabilities.max(1).values, probabilities.argmax(1)
    of_label = probabilities.gather(1, labels[:, None])[:, 0]
    weights = torch.ones_like(sure)
    agree = named == labels
    weights[agree] = of_label[agree] ** gammas.agreeing
    overruled = ~agree & (sure > confidences)
    weights[overruled] = 0
    less_sure = ~agree & ~overruled
    weights[less_sure] = of_label[less_sure] ** gammas.unlike
    weights[pseudo:] = 1
    return weights


# --- classification --------------------------------------------------------------------------------------------------


def affine(image: Image.Image, *matrix: float) -> Image.Image:
    """Where pixels come from, nearest ones."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=BLACK)


def cut_out(image: Image.Image, side: float, place: np.ndarray) -> Image.Image:
    """With a square filled whose middle is at (2,) ``place``, a share of height and width."""
    array = np.array(image)
    middle = np.floor(place * array.shape[:2])
    (top, left), (below, right) = (np.clip(np.ceil(middle + way * side / 2), 0, None).astype(int) for way in (-1, 1))
    array[top:below, left:right] = CUT
    return Image.fromarray(array)


def lightened(image: Image.Image, value: float) -> Image.Image:
    """The darker half, by so much."""
    return image.point([min(255, int(level + value)) if level < 128 else level for level in range(256)] * 3)


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalise": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "rotate": lambda image, value: image.rotate(value),
    "posterise": lambda image, value: ImageOps.posterize(image, max(1, int(value))),
    "solarise": lambda image, value: ImageOps.solarize(image, int(np.ceil(value))),
    "solarise-add": lightened,
    "colour": lambda image, value: ImageEnhance.Color(image).enhance(value),
    "contrast": lambda image, value: ImageEnhance.Contrast(image).enhance(value),
    "brightness": lambda image, value: ImageEnhance.Brightness(image).enhance(value),
    "sharpness": lambda image, value: ImageEnhance.Sharpness(image).enhance(value),
    "shear x": lambda image, value: affine(image, 1, value, 0, 0, 1, 0),
    "shear y": lambda image, value: affine(image, 1, 0, 0, value, 1, 0),
    "translate x": lambda image, value: affine(image, 1, 0, value, 0, 1, 0),
    "translate y": lambda image, value: affine(image, 1, 0, 0, 0, 1, value),
}
EITHER_WAY = {"rotate", "shear x", "shear y", "translate x", "translate y"}


def plain_views(
    images: np.ndarray, flips: np.ndarray, shifts: np.ndarray, plan: Plan, by: Normalisation, padding: int
) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32: each padded, cropped, mirrored, augmented and normalised by Pillow.

    ``flips`` (B,) bool, ``shifts`` (B, 2) int64 down and right, from -padding to padding; all images are 32 x 32.
    """
    mean, std = (torch.tensor(each)[:, None, None] for each in by)
    views = []
    for i, array in enumerate(images):
        image = ImageOps.expand(Image.fromarray(array), padding, (GREY,) * 3)
        left, top = padding - int(shifts[i, 1]), padding - int(shifts[i, 0])
        image = image.crop((left, top, left + array.shape[1], top + array.shape[0]))
        if flips[i]:
            image = ImageOps.mirror(image)
        name = OPERATIONS[plan.operation[i]]
        value = float(values(name, plan.strength[i])) * (int(plan.sign[i]) if name in EITHER_WAY else 1)
        image = cut_out(image, value, plan.place[i]) if name == "cutout" else PILLOW[name](image, value)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        views.append((pixels - mean) / std)
    return torch.stack(views)


class PlainClassifier:
    """A network and its average."""

    def __init__(self, network: nn.Module, lr: float, momentum: float, weight_decay: float, kept: float) -> None:
        self.network, self.average, self.kept = network.train(), copy.deepcopy(network), kept
        self.optimizer = SGD(network.parameters(), lr, momentum, weight_decay=weight_decay)

    def step(
        self, views: Tensor, labels: Tensor, confidences: Tensor, gammas: Gammas, share: float, order: Tensor
    ) -> Tensor:
        """Learn from a batch of which the first images, as many as ``confidences``, are pseudo-labelled: its loss."""
        pseudo = len(confidences)
        sure = torch.cat([confidences, torch.ones_like(confidences[:1]).expand(len(views) - pseudo)])
        with torch.no_grad():
            weights = masked_weights(self.network(views), labels, sure, pseudo, gammas)
        mixed = share * views + (1 - share) * views[order]
        weights = share * weights + (1 - share) * weights[order]
        outputs = self.network(mixed)
        first, second = (F.cross_entropy(outputs, each, reduction="none") for each in (labels, labels[order]))
        loss = (weights * (share * first + (1 - share) * second)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for own, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
                own.copy_(self.kept * own + (1 - self.kept) * theirs)
        return loss.detach()


# --- segmentation ----------------------------------------------------------------------------------------------------


def plain_picture(
    image: np.ndarray, labels: np.ndarray, confidences: np.ndarray | None, view: View, cut: Cut, by: Normalisation
) -> tuple[Tensor, Tensor, Tensor]:
    """(3, h, w) float32, (h, w) int64, (h, w) float32 of one picture: all three scaled whole, padded, then cropped."""
    mean, std = (torch.tensor(each)[:, None, None] for each in by)
    size = view.height, view.width
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()[None].float().div(255)
    pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)[0]
    sure = torch.ones(image.shape[:2]) if confidences is None else torch.from_numpy(np.array(confidences))
    both = torch.stack([torch.from_numpy(np.array(labels)).float(), sure])[None]
    named, sure = F.interpolate(both, size=size, mode="nearest")[0]
    more = (0, max(cut.width - view.width, 0), 0, max(cut.height - view.height, 0))
    pixels, named, sure = F.pad(pixels, more), F.pad(named, more, value=IGNORED), F.pad(sure, more)
    rows, columns = slice(view.top, view.top + cut.height), slice(view.left, view.left + cut.width)
    pixels, named, sure = (each[..., rows, columns] for each in (pixels, named, sure))
    if view.flipped:
        pixels, named, sure = (each.flip(-1) for each in (pixels, named, sure))
    return (pixels - mean) / std, named.long(), sure


def plain_pictures(
    examples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    draws: Sequence[View],
    cut: Cut,
    by: Normalisation,
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3, h, w), (B, h, w), (B, h, w) of several."""
    seen = [plain_picture(*example, view, cut, by) for example, view in zip(examples, draws, strict=True)]
    images, labels, confidences = (torch.stack(each) for each in zip(*seen, strict=True))
    return images, labels, confidences


class PlainSegmenter:
    """A network whose ``coarse`` gives the logits of its map."""

    def __init__(self, network: nn.Module, lr: float, momentum: float, weight_decay: float) -> None:
        self.network = network.train()
        self.optimizer = SGD(network.parameters(), lr, momentum, weight_decay=weight_decay)

    def step(self, images: Tensor, labels: Tensor, confidences: Tensor, pseudo: int, gammas: Gammas) -> Tensor:
        """Learn from a batch of which the first ``pseudo`` pictures are pseudo-labelled: its loss."""
        self.optimizer.zero_grad()
        maps: Tensor = self.network.coarse(images)  # type: ignore[operator]
        outputs = F.interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=True)
        each = F.cross_entropy(outputs, labels, ignore_index=IGNORED, reduction="none")
        weights = masked_weights(outputs, labels.where(labels != IGNORED, 0), confidences, pseudo, gammas)
        loss = (each * weights).sum() / (labels != IGNORED).sum()
        loss.backward()
        self.optimizer.step()
        return loss.detach()
