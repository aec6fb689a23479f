"""What a run came to: how often it is right, and how right the labels were that it learned from."""

from pathlib import Path

import numpy as np
import torch

from mutual.base.store import read_array
from mutual.classification.packed import read_classes, read_labels, read_pictures, read_split
from mutual.classification.predictions import logits_of, read_network, read_pseudo
from mutual.classification.runs import Form
from mutual.classification.wide_resnet import WideResNet


def accuracies(packed: Path, split: Path, run: Path, form: Form, device: torch.device) -> dict[str, float]:
    """``validation`` and ``test``, 0 .. 1; the former is NaN where no image was kept for it."""
    images, classes = read_pictures(packed, "train"), len(read_classes(packed))
    rows, true = read_split(split, classes, len(images)).parts.validation, read_labels(packed, "train")
    network, tested = read_network(run, form.drawn(classes, 0, 0), device), read_pictures(packed, "test")
    return {
        "validation": accuracy(network, images, rows, true[rows], device),
        "test": accuracy(network, tested, np.arange(len(tested)), read_labels(packed, "test"), device),
    }


def beliefs(packed: Path, split: Path, run: Path, labels: Path) -> dict[str, float]:
    """What the labels of a phase were worth, 0 .. 1.

    ``used``: the share of the unlabelled images that have one; ``right``: the share of these that is true;
    ``weight_right`` and ``weight_wrong``: the mean weight that each kind had in training. NaN where there is none.
    """
    true, classes = read_labels(packed, "train"), len(read_classes(packed))
    unlabelled = read_split(split, classes, len(true)).parts.unlabelled
    pseudo = read_pseudo(labels, unlabelled, classes)
    weights = read_array(run / "weights.npy", dtype=np.float32, shape=(len(pseudo.rows),), finite=True)
    right = pseudo.labels == true[pseudo.rows]
    return {
        "used": len(pseudo.rows) / len(unlabelled),
        "right": mean(right),
        "weight_right": mean(weights[right]),
        "weight_wrong": mean(weights[~right]),
    }


def accuracy(
    network: WideResNet, images: np.ndarray, rows: np.ndarray, true: np.ndarray, device: torch.device
) -> float:
    """Share of these images that the network is right about; NaN of none."""
    if not len(rows):
        return float("nan")
    return mean(logits_of(network, images, rows, device).argmax(1) == true)


def mean(values: np.ndarray) -> float:
    """NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
