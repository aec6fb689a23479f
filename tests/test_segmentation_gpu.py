"""Segmentation on a GPU gives what the CPU gives, but for rounding, and the same bytes each time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mutual.few.weighting import Weighting
from mutual.machine.device import CPU, deterministic_device
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.losses import weighted_loss
from mutual.segmentation.views import Cut, Views, training_views
from tests.golden import assert_close

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def batch(device: torch.device) -> Views:
    rng = np.random.default_rng(1)
    sizes = [(70, 90), (40, 33), (64, 64), (65, 120)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    labels = [rng.choice([0, 1, 2, 3, 4, 255], size).astype(np.uint8) for size in sizes]
    confidences = [rng.random(size, np.float32) for size in sizes]
    cut = Cut(65, 65, (0.5, 1.5))
    return training_views(images, labels, [*confidences[:3], None], np.random.default_rng(2), cut, device=device)


def trained(device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """The loss and the gradients of one training pass, on the CPU."""
    views = batch(device)
    torch.manual_seed(1)
    network = DeepLab("resnet18", 5, stem=16).to(device)
    labelled = torch.tensor([False, False, False, True], device=device)
    loss = weighted_loss(
        network(views.images), views.labels, views.confidences, labelled, Weighting("agreement", 5.0, 3.0)
    ).total
    loss.backward()
    return loss.detach().cpu(), [p.grad.cpu() for p in network.parameters() if p.grad is not None]


def test_views_are_those_of_the_cpu() -> None:
    there, here = batch(deterministic_device()), batch(CPU)
    assert_close(there.images, here.images.numpy(), 1e-4)
    assert torch.equal(there.labels.cpu(), here.labels)
    assert torch.equal(there.confidences.cpu(), here.confidences)


def test_a_training_pass_is_that_of_the_cpu_and_the_same_twice() -> None:
    device = deterministic_device()
    loss, gradients = trained(device)
    again, others = trained(device)
    assert torch.equal(loss, again)
    assert all(torch.equal(one, other) for one, other in zip(gradients, others, strict=True))
    on_cpu, wanted = trained(CPU)
    assert float(loss) == pytest.approx(float(on_cpu), rel=1e-4)
    assert_close(gradients[-1], wanted[-1].numpy(), 1e-3)
