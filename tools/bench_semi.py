"""Iterations with few labels for the benchmarks: the trainers' own, and the same as the authors lay them out.

Inputs are drawn; networks, batches and views are those of the authors' settings.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from mutual.classification.fitting import Dynamics, Pseudo, Trainer, Views, fit_phase
from mutual.classification.fitting import Plan as ClassifierPlan
from mutual.classification.randaugment import draw
from mutual.classification.views import CIFAR
from mutual.classification.wide_resnet import wide_resnet
from mutual.few.weighting import Weighting
from mutual.images.normalisation import IMAGENET
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.fitting import Example, Source, fit
from mutual.segmentation.fitting import Plan as SegmenterPlan
from mutual.segmentation.form import Form, on_device
from mutual.segmentation.views import Cut, drawn_view
from tests.plain_semi import Gammas, PlainClassifier, PlainSegmenter, plain_pictures, plain_views

WITHOUT_END = 1_000_000  # iterations of a run that nobody waits for
CLASSES, SIDE, PADDING = 10, 32, 4  # of CIFAR-10
STORED = 2048  # images
VOC_CLASSES, HEIGHT, WIDTH, PICTURES = 21, 375, 500, 24  # of VOC 2012, most of whose pictures are of this size
EXPONENT_OF_IMAGES, EXPONENT_OF_PIXELS = 4.0, 5.0


def classifier(batch: int, labelled: int, device: torch.device) -> Iterator[Tensor]:
    """Losses of iterations of a WRN-28-2: views, a pass for the weights, mixup, a pass that learns."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STORED, SIDE, SIDE, 3), np.uint8)
    pseudo = Pseudo(np.arange(STORED), rng.integers(0, CLASSES, STORED), rng.random(STORED, np.float32))
    plan = ClassifierPlan(1, batch, labelled, 0.1, 0.9, 5e-4, 0.001, True)
    network, average = (wide_resnet(CLASSES, 28, 2, 1) for _ in range(2))
    for each in (network, average):
        each.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(network, average, plan, Views("randaugment", PADDING, True), WITHOUT_END, 1, 1)
    how = Dynamics(Weighting("agreement", EXPONENT_OF_IMAGES, EXPONENT_OF_IMAGES), False, True)
    counted = torch.zeros(2, STORED, device=device)
    rows = np.arange(labelled)
    for said in fit_phase(trainer, images, rows, rng.integers(0, CLASSES, labelled), pseudo, how, counted):
        yield said.loss


def as_it_comes() -> None:
    """Without determinism, which the interpolation's gradient does not have on a GPU, as the authors ran it."""
    torch.use_deterministic_algorithms(False)


def plain_classifier(batch: int, labelled: int, device: torch.device) -> Iterator[Tensor]:
    """The same as the authors lay it out, with views image by image in the same process."""
    as_it_comes()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STORED, SIDE, SIDE, 3), np.uint8)
    trainer = PlainClassifier(wide_resnet(CLASSES, 28, 2, 1).to(device), 0.1, 0.9, 5e-4, 0.001)
    gammas = Gammas(EXPONENT_OF_IMAGES, EXPONENT_OF_IMAGES)
    while True:
        rows = rng.integers(0, STORED, batch)
        flips, shifts = rng.random(batch) < 0.5, rng.integers(-PADDING, PADDING, (batch, 2), endpoint=True)
        views = plain_views(images[rows], flips, shifts, draw(rng, batch), CIFAR, PADDING).to(device)
        labels = torch.from_numpy(rng.integers(0, CLASSES, batch)).to(device)
        sure = torch.from_numpy(rng.random(batch - labelled, np.float32)).to(device)
        order = torch.from_numpy(rng.permutation(batch)).to(device)
        share = float(rng.beta(0.75, 0.75))
        yield trainer.step(views, labels, sure, gammas, max(share, 1 - share), order)


def drawn_example(pseudo_labelled: bool) -> Callable[[int], Example]:
    """A picture of VOC's size by its row; the same each time."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (PICTURES, HEIGHT, WIDTH, 3), np.uint8)
    masks = np.repeat(np.repeat(rng.integers(0, VOC_CLASSES, (PICTURES, 3, 4)), 125, axis=1), 125, axis=2)
    sure = rng.random((HEIGHT, WIDTH), np.float32)
    return lambda row: (pixels[row], masks[row].astype(np.uint8), sure if pseudo_labelled else None)


def segmenter(pictures: int, side: int, precision: str, device: torch.device) -> Iterator[Tensor]:
    """Losses of iterations of a DeepLab-v2 with ResNet-101: views, one of a labelled picture, a pass that learns."""
    form = Form("resnet101", VOC_CLASSES, 64, 8, (6, 12, 18, 24), 2, "none", "imagenet", precision)
    network = on_device(form.drawn(1, 1), device)
    rows = np.arange(PICTURES)
    pseudo = Source(rows, drawn_example(True), pictures - 1, "pseudo-labelled")
    labelled = Source(rows, drawn_example(False), 1, "labelled")
    plan = SegmenterPlan(1, pictures, 1, 0.001, 0.9, 0.9, 5e-4)
    weighting = Weighting("agreement", EXPONENT_OF_PIXELS, EXPONENT_OF_PIXELS)
    stream = 1, "benchmark", 1
    cut = Cut(side, side, (0.5, 1.5))
    for said in fit(network, form, plan, cut, pseudo, labelled, weighting, stream, WITHOUT_END):
        yield said.loss


def plain_segmenter(pictures: int, side: int, device: torch.device) -> Iterator[Tensor]:
    """The same as the authors lay it out, in float32."""
    as_it_comes()
    rng = np.random.default_rng(0)
    torch.manual_seed(1)
    trainer = PlainSegmenter(DeepLab("resnet101", VOC_CLASSES).to(device), 0.001, 0.9, 5e-4)
    cut, gammas = Cut(side, side, (0.5, 1.5)), Gammas(EXPONENT_OF_PIXELS, EXPONENT_OF_PIXELS)
    pseudo, labelled = drawn_example(True), drawn_example(False)
    while True:
        examples = [pseudo(int(row)) for row in rng.integers(0, PICTURES, pictures - 1)]
        examples.append(labelled(int(rng.integers(0, PICTURES))))
        draws = [drawn_view(rng, HEIGHT, WIDTH, cut) for _ in examples]
        batch = plain_pictures(examples, draws, cut, IMAGENET)
        images, labels, sure = (each.to(device) for each in batch)
        yield trainer.step(images, labels, sure, pictures - 1, gammas)
