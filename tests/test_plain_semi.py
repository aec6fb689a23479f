"""Both trainers with few labels do what the same, written out straight, does; and both kinds of benchmarks run."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from mutual.classification.fitting import MIXES, VIEWS, Judged, Plan, Trainer, Views
from mutual.classification.mixup import draw_mix
from mutual.classification.randaugment import OPERATIONS, draw
from mutual.classification.views import CIFAR, classifier_views
from mutual.classification.wide_resnet import wide_resnet
from mutual.few.weighting import Weighting
from mutual.images.normalisation import IMAGENET
from mutual.machine.device import CPU
from mutual.machine.streams import numpy_stream
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.losses import weighted_loss
from mutual.segmentation.views import Cut, drawn_view, training_views
from tests.golden import assert_close
from tests.plain_semi import Gammas, PlainClassifier, PlainSegmenter, plain_pictures, plain_views
from tools import bench, bench_semi

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
GAMMAS = Gammas(4.0, 2.5)


def assert_same_gradients(own: nn.Module, other: nn.Module, tolerance: float) -> None:
    """Of all parameters together, since some of a network's gradients are zero but for rounding."""
    pairs = list(zip(own.parameters(), other.parameters(), strict=True))
    both = [(one.grad, two.grad) for one, two in pairs if one.grad is not None and two.grad is not None]
    assert all((one.grad is None) == (two.grad is None) for one, two in pairs)
    assert len(both) > 10
    assert_close(
        torch.cat([one.flatten() for one, _ in both]), torch.cat([two.flatten() for _, two in both]).numpy(), tolerance
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_an_iteration_of_classification(dtype: torch.dtype) -> None:
    images, pseudo, tolerance = 16, 12, TOLERANCES[dtype]
    rng = np.random.default_rng(3)
    views = torch.from_numpy(rng.standard_normal((images, 3, 8, 8))).to(dtype)
    labels, sure = rng.integers(0, 4, images), torch.from_numpy(rng.uniform(0.1, 0.7, pseudo)).to(dtype)
    networks = [wide_resnet(4, 10, 1, 1).to(dtype) for _ in range(3)]
    plan = Plan(1, images, images - pseudo, 0.1, 0.9, 5e-4, 0.3, True)
    ours = Trainer(networks[0], networks[1], plan, Views("none", 0, False), 1000, 5, 2)
    plain = PlainClassifier(networks[2], 0.1, 0.9, 5e-4, 0.3)
    mix = draw_mix(numpy_stream(5, MIXES, 2, 0), images, larger=True)
    said = ours.step(views, labels, 0, Judged(Weighting("agreement", *GAMMAS), sure, 1.0))
    loss = plain.step(views, torch.from_numpy(labels), sure, GAMMAS, mix.share, mix.order)
    assert len(set(said.weights.tolist())) > 4, "all weights are alike"
    assert float(said.weights.min()) == 0, "no image is overruled"
    assert float(said.loss) == pytest.approx(float(loss), rel=tolerance)
    assert_same_gradients(ours.network, plain.network, tolerance)
    for one, two in zip(ours.network.state_dict().values(), plain.network.state_dict().values(), strict=True):
        assert_close(one, two.numpy(), tolerance)
    for own, other in zip(ours.average.parameters(), plain.average.parameters(), strict=True):
        assert_close(own, other.detach().numpy(), tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_an_iteration_of_segmentation(dtype: torch.dtype) -> None:
    pseudo, tolerance = 3, TOLERANCES[dtype]
    rng = np.random.default_rng(3)
    images = torch.from_numpy(rng.standard_normal((4, 3, 33, 25))).to(dtype)
    labels = torch.from_numpy(rng.choice([0, 1, 2, 3, 255], (4, 33, 25)))
    sure = torch.from_numpy(rng.uniform(0.2, 0.4, (4, 33, 25))).to(dtype)
    torch.manual_seed(1)
    ours = DeepLab("resnet18", 4, stem=8, dilations=(1, 2), summed=2).to(dtype).train()
    plain = PlainSegmenter(copy.deepcopy(ours), 0.1, 0.9, 5e-4)
    by_people = torch.tensor([False] * pseudo + [True])
    logits = ours(images)
    own, named = logits.detach()[:pseudo].softmax(1).max(1)
    unlike = (named != labels[:pseudo]) & (labels[:pseudo] != 255)
    assert 0 < int((unlike & (own > sure[:pseudo])).sum()) < int(unlike.sum()), "some overruled, not all"
    found = weighted_loss(logits, labels, sure, by_people, Weighting("agreement", *GAMMAS))
    found.total.backward()
    loss = plain.step(images, labels, sure, pseudo, GAMMAS)
    assert found.total.item() == pytest.approx(float(loss), rel=tolerance)
    assert_same_gradients(ours, plain.network, tolerance)


def test_views_by_pillow_are_those_of_the_batch_to_a_grey_level() -> None:
    rng = np.random.default_rng(2)
    y, x = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    waves = np.sin(x[..., None] / np.array([3, 5, 7]) + y[..., None] / np.array([6, 4, 9]))
    images = np.clip(127 + 90 * waves + rng.normal(0, 6, (96, 32, 32, 3)), 0, 255).astype(np.uint8)
    ours = classifier_views(
        images, numpy_stream(1, VIEWS), padding=4, flip=True, augment="randaugment", normalisation=CIFAR
    )
    again = numpy_stream(1, VIEWS)
    flips, shifts = again.random(96) < 0.5, again.integers(-4, 4, (96, 2), endpoint=True)
    plan = draw(again, 96)
    plain = plain_views(images, flips, shifts, plan, CIFAR, 4)
    assert set(plan.operation) == set(range(len(OPERATIONS)))
    level = 1.01 / 255 / min(CIFAR.std)
    # a pixel of a turned image may come from the one beside it, where its place is a half
    assert float(((ours - plain).abs() <= level).float().mean()) > 0.999


def test_pictures_one_by_one_are_those_of_the_batch() -> None:
    rng = np.random.default_rng(2)
    sizes = [(40, 60), (33, 20), (64, 64), (50, 31)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    labels = [rng.integers(0, 5, size).astype(np.uint8) for size in sizes]
    sure = [rng.random(size, np.float32) for size in sizes]
    cut = Cut(32, 32, (0.5, 1.5))
    ours = training_views(images, labels, sure, np.random.default_rng(4), cut)
    again = np.random.default_rng(4)
    draws = [drawn_view(again, *size, cut) for size in sizes]
    pixels, named, confidences = plain_pictures(list(zip(images, labels, sure, strict=True)), draws, cut, IMAGENET)
    assert_close(ours.images, pixels.numpy(), 1e-5)
    assert torch.equal(ours.labels == 255, named == 255)
    assert 0.05 < float((named == 255).float().mean()) < 0.5
    # where a place comes out whole, PyTorch's nearest pixel is at times the one before, by rounding
    alike = (ours.labels == named) & (ours.confidences == torch.where(named == 255, 0, confidences))
    assert float(alike.float().mean()) > 0.95


SMALL: dict[str, Callable[[], float]] = {
    "classifier": lambda: float(next(bench_semi.classifier(4, 1, CPU))),
    "plain classifier": lambda: float(next(bench_semi.plain_classifier(4, 1, CPU))),
    "segmenter": lambda: float(next(bench_semi.segmenter(2, 33, "fp32", CPU))),
    "plain segmenter": lambda: float(next(bench_semi.plain_segmenter(2, 33, CPU))),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_iteration_of_each_benchmark(name: str) -> None:
    assert 0 < SMALL[name]() < 10


def test_the_first_two_iterations_are_not_counted() -> None:
    times = list(bench.each_of(iter([torch.ones(())] * 5), 5, "told"))
    assert len(times) == 3
    assert all(note.startswith("told") for _, note in times)
