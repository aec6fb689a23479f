"""One network of a run with one seed, as a process is given it: training on labels, labelling, a phase."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.few.course import write_losses
from mutual.few.order import iterations_of
from mutual.few.phases import ALL, number_of
from mutual.few.weighting import Weighting
from mutual.segmentation.fitting import Example, Plan, Source, fit
from mutual.segmentation.form import Form, on_device, written
from mutual.segmentation.predictions import PseudoLabels, label_pictures
from mutual.segmentation.ragged import Pictures
from mutual.segmentation.splits import of_network, read_split
from mutual.segmentation.views import Cut

ONES = Weighting("ones")


@dataclass(frozen=True)
class Supervised:
    """Learns from true labels: of the labelled pictures or, as the run ``all``, of all that have a mask."""

    packed: Path
    masked: int  # of the training pictures, the first, that have a mask
    split: Path
    out: Path
    run: str
    form: Form
    plan: Plan
    cut: Cut
    labelled_share: float  # of the labelled pictures, what each of the networks learns from
    seed: int
    network: int  # 1, 2
    device: str

    def do(self) -> None:
        """Train, and write the network."""
        pictures = Pictures(self.packed)
        parts = read_split(self.split, len(pictures))
        rows = of_network(parts.labelled, self.network, self.labelled_share)
        if self.run == ALL:
            rows = np.arange(self.masked)
        network = on_device(self.form.drawn(self.seed, self.network), torch.device(self.device))
        source = Source(rows, by_people(pictures), self.plan.batch_size, "labelled")
        iterations = iterations_of(self.plan.epochs, len(rows), self.plan.batch_size)
        stream = self.seed, purpose_of(self.network), 0
        said = fit(network, self.form, self.plan, self.cut, None, source, ONES, stream, iterations)
        write_losses(self.out / "losses.csv", said, iterations, f"{self.run}, seed {self.seed}, network {self.network}")
        written(self.out, network)


@dataclass(frozen=True)
class Labelling:
    """Labels the unlabelled pictures for the next phase of a network."""

    packed: Path
    split: Path
    by: Path  # the folder of the network that labels
    out: Path
    form: Form
    padded: Sequence[int]
    share: float
    sampled: int
    together: bool
    device: str

    def do(self) -> None:
        """Write what :class:`mutual.segmentation.predictions.PseudoLabels` reads."""
        pictures, device = Pictures(self.packed), torch.device(self.device)
        rows = read_split(self.split, len(pictures)).unlabelled
        network = self.form.read(self.by, device)
        label_pictures(
            self.out,
            network,
            self.form,
            pictures,
            rows,
            self.padded,
            self.share,
            self.sampled,
            self.together,
            device,
        )


@dataclass(frozen=True)
class Mutual:
    """A phase of a network, which goes on from the phase before."""

    packed: Path
    split: Path
    before: Path  # the folder of the same network
    labels: Path
    out: Path
    run: str
    form: Form
    plan: Plan
    cut: Cut
    weighting: Weighting
    seed: int
    network: int
    device: str

    def do(self) -> None:
        """Train, and write the network. Raises :class:`InputError` for fewer unlabelled pictures than a batch has."""
        pictures = Pictures(self.packed)
        parts = read_split(self.split, len(pictures))
        taken = self.plan.batch_size - self.plan.labelled
        if len(parts.unlabelled) < taken:
            raise InputError(
                f"batch_size: expected at most the {len(parts.unlabelled)} unlabelled images beside "
                f"labelled_in_batch {self.plan.labelled}, got {self.plan.batch_size}"
            )
        named = PseudoLabels(self.labels, pictures, parts.unlabelled)
        if not named.used():
            raise InputError(f"{self.labels}: no pixel has a label: expected a larger share in phases.yaml")
        pseudo = Source(parts.unlabelled, lambda row: (pictures.image(row), *named.of(row)), taken, "pseudo-labelled")
        labelled = Source(parts.labelled, by_people(pictures), self.plan.labelled, "labelled")
        network = self.form.read(self.before, torch.device(self.device))
        iterations = iterations_of(self.plan.epochs, len(parts.unlabelled), taken)
        stream = self.seed, purpose_of(self.network), number_of(self.run)
        said = fit(network, self.form, self.plan, self.cut, pseudo, labelled, self.weighting, stream, iterations)
        write_losses(self.out / "losses.csv", said, iterations, f"{self.run}, seed {self.seed}, network {self.network}")
        written(self.out, network)


def by_people(pictures: Pictures) -> Callable[[int], Example]:
    """A row's picture with its mask."""
    return lambda row: (pictures.image(row), pictures.mask(row), None)


def purpose_of(network: int) -> str:
    """What a network's random numbers are for."""
    return f"training of segmenter {network}"
