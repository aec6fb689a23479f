"""What a network came to: its mIoU, and how right the labels were that it learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mutual.few.weighting import Weighting
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.form import Form
from mutual.segmentation.iou import IGNORED, confusion, figures
from mutual.segmentation.predictions import PseudoLabels, predicted
from mutual.segmentation.ragged import Pictures
from mutual.segmentation.splits import read_split


@dataclass(frozen=True)
class Beliefs:
    """The labels of a phase, of the unlabelled training pictures, and the network that goes on with them."""

    packed: Path
    masked: int  # of the training pictures, the first, that have a mask
    split: Path
    before: Path  # the network as the phase begins
    labels: Path
    weighting: Weighting

    def worth(self, form: Form, padded: Sequence[int], device: torch.device) -> dict[str, float]:
        """What the labels were worth, 0 .. 1, of the unlabelled pictures that have a mask.

        ``used``: the share of the pixels that have a label; ``right``: the share of these that is true;
        ``weight_right`` and ``weight_wrong``: the mean weight that the network gives each kind as the phase begins, of
        pictures as they are. NaN where there is none of a kind.
        """
        pictures = Pictures(self.packed)
        unlabelled = read_split(self.split, len(pictures)).unlabelled
        named, rows = PseudoLabels(self.labels, pictures, unlabelled), unlabelled[unlabelled < self.masked]
        maps = predicted(form.read(self.before, device), form, pictures, rows.tolist(), padded, device)
        pixels, used, right, of_right, of_wrong = 0, 0, 0, 0.0, 0.0
        for row, own in zip(rows.tolist(), maps, strict=True):
            (given, sure), true = named.of(row), pictures.mask(row)
            labels = torch.from_numpy(np.where(given == IGNORED, 0, given).astype(np.int64))
            confidences = torch.from_numpy(sure.copy())
            weights = self.weighting.weights(own.cpu()[None], labels[None], confidences[None])[0].numpy()
            kept = (given != IGNORED) & (true != IGNORED)
            good, bad = kept & (given == true), kept & (given != true)
            pixels, used, right = pixels + int((true != IGNORED).sum()), used + int(kept.sum()), right + int(good.sum())
            of_right += float(weights[good].sum(dtype=np.float64))
            of_wrong += float(weights[bad].sum(dtype=np.float64))
        return {
            "used": share(used, pixels),
            "right": share(right, used),
            "weight_right": share(of_right, right),
            "weight_wrong": share(of_wrong, used - right),
        }


@dataclass(frozen=True)
class Measured:
    """A network, what it is tested on, and how its line in the table begins."""

    validation: Path  # need not be there
    test: Path
    run: Path
    form: Form
    padded: Sequence[int]
    line: dict[str, Any]
    device: str
    beliefs: Beliefs | None = None  # of a phase

    def do(self) -> dict[str, Any]:
        """The line with ``validation`` and ``test``, the mean IoU, 0 .. 1, over the classes that occur."""
        device = torch.device(self.device)
        network = self.form.read(self.run, device)
        folders = {"validation": self.validation, "test": self.test}
        found = {
            name: miou(Pictures(folder), network, self.form, self.padded, device) if folder.is_dir() else float("nan")
            for name, folder in folders.items()
        }
        worth = {} if self.beliefs is None else self.beliefs.worth(self.form, self.padded, device)
        return self.line | found | worth


def miou(pictures: Pictures, network: DeepLab, form: Form, padded: Sequence[int], device: torch.device) -> float:
    """The mean IoU, 0 .. 1, over the classes that occur."""
    matrix, rows = np.zeros((form.classes, form.classes), np.int64), range(len(pictures))
    for row, map_ in zip(rows, predicted(network, form, pictures, rows, padded, device), strict=True):
        matrix += confusion(pictures.mask(row), map_.argmax(0).cpu().numpy(), form.classes)
    return figures(matrix).present_iou


def share(part: float, whole: int) -> float:
    """NaN of nothing."""
    return part / whole if whole else float("nan")
