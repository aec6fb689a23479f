"""One run: the networks of a method learn from the labels of a cell; what they then make of all images is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mutual.base.progress import Progress
from mutual.base.store import write_array, write_text
from mutual.clusters.pseudo_labels import read_pseudo_labels
from mutual.images.index import read_cameras, read_images
from mutual.noise.fitting import Plan, fit
from mutual.noise.kept import epochs_tested
from mutual.noise.network import SupervisedNetwork, compared_features, drawn_network, logits_of
from mutual.refineries.contract import find_refinery


@dataclass(frozen=True)
class Form:
    """What network it is, and where it starts: see :func:`mutual.noise.network.drawn_network`."""

    backbone: str
    stem: int
    last_stride: int
    dropout: float
    weights: str

    def drawn(self, classes: int, seed: int, number: int) -> SupervisedNetwork:
        """Network ``number`` of a run."""
        return drawn_network(
            self.backbone, classes, self.stem, self.last_stride, self.dropout, self.weights, seed, number
        )


@dataclass(frozen=True)
class Job:
    """A run, as a process of its own is given it."""

    packed: Path  # folder of the images; of the index the file names alone are read
    labels: Path  # the file of labels to learn from
    out: Path  # the folder that is written
    method: str
    values: Mapping[str, Any]  # of the refinery's keys
    networks: int
    form: Form
    plan: Plan
    test_epochs: int
    seed: int
    device: str

    def do(self) -> None:
        """Train, and write what :func:`mutual.noise.kept.read_run` reads."""
        device = torch.device(self.device)
        files, _ = read_cameras(self.packed / "train.csv")
        images = read_images(self.packed / "train.npy", len(files))
        labels = read_pseudo_labels(self.labels, files).classes
        tests = {split: read_images(self.packed / f"{split}.npy") for split in ("query", "gallery")}
        refinery = find_refinery(self.method).of(self.values)
        classes = int(labels.max()) + 1
        networks = [self.form.drawn(classes, self.seed, number) for number in range(1, self.networks + 1)]
        kept: dict[str, list[np.ndarray]] = {"query": [], "gallery": [], "predicted": []}
        lines = ["epoch,loss"]
        fitted = fit(refinery, networks, images, labels, self.plan, self.seed, device)
        name = f"{self.method}, {self.out.parent.name}, {self.out.name}"
        losses = Progress(fitted, desc=name, total=self.plan.epochs, unit="epoch")
        for epoch, loss in enumerate(losses, start=1):
            lines.append(f"{epoch},{loss:.6f}")
            if epoch in epochs_tested(self.plan.epochs, self.test_epochs):
                for split, pictures in tests.items():
                    kept[split].append(compared_features(networks[0], pictures, device))
                kept["predicted"].append(logits_of(networks[0], images, device, mirrored=False).argmax(1))
        for name, arrays in kept.items():
            write_array(self.out / f"{name}.npy", np.stack(arrays))
        write_text(self.out / "losses.csv", "\n".join(lines) + "\n")


def refinery_values(keys: Iterable[str], own: Mapping[str, Any], ratio: float) -> dict[str, Any]:
    """The values of a refinery's ``keys``: those that are its ``own`` in this setting, and what all have in common.

    Neither mean teachers, nor triplets, nor label smoothing: each method's own loss alone. Co-teaching is told the
    share of wrong labels, as its authors do; the learning rate changes over epochs, not with CORE's opening.
    """
    values = {f"core.{key}": value for key, value in own.items()} | {
        "alpha": 0.0,
        "triplet_weight": 0.0,
        "label_smoothing": 0.0,
        "core.opening_lr": 1.0,
        "coteaching.forget_rate": ratio,
        "coteaching.forget_rounds": own.get("forget_epochs"),
        "coteaching.exponent": own.get("exponent"),
    }
    return {key: values[key] for key in keys}


def unaugmented(plan: Plan) -> Plan:
    """The plan with images as they are in training, as at test time."""
    return replace(plan, padding=0, flip=False)
