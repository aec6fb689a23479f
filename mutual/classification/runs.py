"""A run with one seed, as a process of its own is given it: training on labels, labelling, a phase of training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from mutual.base.store import write_array, write_bytes
from mutual.classification.fitting import (
    Dynamics,
    Plan,
    Said,
    Trainer,
    Views,
    check_enough,
    fit_labelled,
    fit_phase,
)
from mutual.classification.packed import read_classes, read_labels, read_pictures, read_split
from mutual.classification.predictions import probabilities, read_network, read_pseudo
from mutual.classification.selection import Selection, selected
from mutual.classification.wide_resnet import WideResNet, wide_resnet
from mutual.few.course import write_losses
from mutual.few.order import iterations_of
from mutual.few.phases import ALL, number_of
from mutual.machine.streams import integer_seed


@dataclass(frozen=True)
class Form:
    """What network it is."""

    depth: int
    width: int

    def drawn(self, classes: int, seed: int, number: int) -> WideResNet:
        """A fresh one, for phase ``number`` (0: labels only)."""
        return wide_resnet(classes, self.depth, self.width, integer_seed(seed, "network with few labels", number))


@dataclass(frozen=True)
class Supervised:
    """Learns from true labels: of the labelled images or, as the run ``all``, of the unlabelled ones too."""

    packed: Path
    split: Path
    out: Path
    run: str
    form: Form
    plan: Plan
    views: Views
    seed: int
    device: str

    def do(self) -> None:
        """Train, and write the network."""
        images, classes = read_pictures(self.packed, "train"), len(read_classes(self.packed))
        known = read_split(self.split, classes, len(images))
        rows, labels = known.parts.labelled, known.labels
        if self.run == ALL:
            rows = np.sort(np.concatenate([rows, known.parts.unlabelled]))
            labels = read_labels(self.packed, "train")[rows]
        iterations = iterations_of(self.plan.epochs, len(rows), self.plan.batch_size)
        trainer = started(self.form, classes, self.plan, self.views, iterations, self.seed, self.run, self.device)
        finished(self.out, trainer, fit_labelled(trainer, images, rows, labels), self.run)


@dataclass(frozen=True)
class Labelling:
    """Labels the unlabelled images, and chooses the share of which the network is most sure."""

    packed: Path
    split: Path
    network: Path
    out: Path
    form: Form
    selection: Selection
    share: float
    device: str

    def do(self) -> None:
        """Write ``labels.npy``, (U,) int64 with -1 for what is not used, and ``confidences.npy``, (U,) float32."""
        images, classes = read_pictures(self.packed, "train"), len(read_classes(self.packed))
        rows = read_split(self.split, classes, len(images)).parts.unlabelled
        network = read_network(self.network, self.form.drawn(classes, 0, 0), torch.device(self.device))
        found = probabilities(network, images, rows, torch.device(self.device))
        confidences, named = found.max(1), found.argmax(1)
        used = selected(confidences, named, self.share, self.selection)
        write_array(self.out / "labels.npy", np.where(used, named, -1).astype(np.int64))
        write_array(self.out / "confidences.npy", confidences)


@dataclass(frozen=True)
class Mutual:
    """A phase: a fresh network learns from the images that the one before it labelled."""

    packed: Path
    split: Path
    labels: Path
    out: Path
    run: str
    form: Form
    plan: Plan
    views: Views
    how: Dynamics
    seed: int
    device: str

    def do(self) -> None:
        """Train, and write the network and ``weights.npy``, (P,) float32, the mean weight of each image that was used.

        Raises :class:`InputError` where fewer images are used than a batch has.
        """
        images, classes = read_pictures(self.packed, "train"), len(read_classes(self.packed))
        known = read_split(self.split, classes, len(images))
        pseudo = read_pseudo(self.labels, known.parts.unlabelled, classes)
        check_enough(pseudo, self.plan)
        iterations = iterations_of(self.plan.epochs, len(pseudo.rows), self.plan.batch_size - self.plan.labelled)
        trainer = started(self.form, classes, self.plan, self.views, iterations, self.seed, self.run, self.device)
        counted = torch.zeros(2, len(pseudo.rows), device=trainer.device)
        steps = fit_phase(trainer, images, known.parts.labelled, known.labels, pseudo, self.how, counted)
        finished(self.out, trainer, steps, self.run)
        write_array(self.out / "weights.npy", (counted[0] / counted[1].clamp(min=1)).cpu().numpy())


def started(
    form: Form, classes: int, plan: Plan, views: Views, iterations: int, seed: int, run: str, device: str
) -> Trainer:
    """A fresh network, and its average, which starts as the same."""
    number = number_of(run)
    network, average = (form.drawn(classes, seed, number) for _ in range(2))
    for each in (network, average):
        each.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trainer(network, average, plan, views, iterations, seed, number)


def finished(folder: Path, trainer: Trainer, steps: Iterable[Said], run: str) -> None:
    """Take all steps; write ``network.safetensors``, the average, and ``losses.csv``."""
    said = ((each.loss, each.weights.mean()) for each in steps)
    write_losses(folder / "losses.csv", said, trainer.iterations, f"{run}, seed {trainer.seed}")
    tensors = {name: tensor.cpu().contiguous() for name, tensor in trainer.average.state_dict().items()}
    write_bytes(folder / "network.safetensors", save(tensors))
