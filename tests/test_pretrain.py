"""One epoch of source pre-training."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mutual.learning.adam import Adam
from mutual.networks.peers import read_iterations, read_network, write_peer
from mutual.networks.reid import ReidNetwork
from stages.pretrain import adopt, train_epoch

LABELS = torch.tensor([0, 0, 1, 1])


class TinyNetwork(nn.Module):
    """A pooled feature and logits of it, with a batch norm in between; records what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm1d(5)
        self.classifier = nn.Linear(5, 2, bias=False)
        self.seen: list[tuple[Tensor, bool, bool]] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append((images, self.training, torch.is_grad_enabled()))
        pooled = self.conv(images).mean((2, 3))
        return pooled, self.classifier(self.norm(pooled))


def adam(network: nn.Module, lr: float) -> Adam:
    return Adam([(list(network.parameters()), 1.0)], lr, weight_decay=0.0)


def batches(seed: int, shift: float = 0.0) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(4, 3, 8, 8, generator=generator) + shift


def trained(target: Iterator[Tensor], iterations: int = 3) -> tuple[TinyNetwork, tuple[float, float]]:
    torch.manual_seed(0)
    network = TinyNetwork().eval()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    source = ((LABELS, [views]) for views in batches(1))
    # plain descent, since Adam's first steps turn rounding into whole steps
    losses = train_epoch(network, optimizer, source, target, iterations, 0.1)  # type: ignore[arg-type]
    return network, losses


def test_target_images_change_the_running_statistics_and_nothing_else() -> None:
    near, losses_near = trained(batches(2))
    far, losses_far = trained(batches(2, shift=5.0))
    assert losses_near == losses_far
    for name, parameter in near.named_parameters():
        assert torch.equal(parameter, far.get_parameter(name)), name
    assert not torch.allclose(near.get_buffer("norm.running_mean"), far.get_buffer("norm.running_mean"))


def test_a_given_network_is_taken_as_student_and_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    build = partial(ReidNetwork, "resnet18")
    student, teacher = build(3), build(3)
    write_peer(Path("theirs.safetensors"), student, teacher, iterations=800)
    adopt(Path("theirs.safetensors"), 7, build)
    taken = Path("models/r00/peer7.safetensors")
    assert read_iterations(taken) == 0
    expected = teacher.state_dict()
    for role in ("student", "teacher"):
        found = read_network(taken, role, build).state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert Path("metrics/pretrain/peer7.csv").read_text() == "epoch,lr,cross_entropy,triplet,source_mAP\n"


def test_each_iteration_shows_source_then_target_in_training_mode() -> None:
    network, _ = trained(batches(2))
    assert [with_gradient for _, _, with_gradient in network.seen] == [True, False] * 3
    assert all(training for _, training, _ in network.seen)
    assert torch.equal(network.seen[1][0], next(batches(2)))
    assert int(network.get_buffer("norm.num_batches_tracked")) == 6


def test_losses_are_means_over_the_iterations_of_smoothed_cross_entropy_and_hard_triplet() -> None:
    torch.manual_seed(0)
    network = TinyNetwork().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    source = batches(1)
    ce_sum = triplet_sum = 0.0
    for _ in range(3):  # the same by hand
        pooled, logits = network(next(source))
        ce = F.cross_entropy(logits, LABELS, label_smoothing=0.1)
        away = (pooled[:, None] - pooled[None]).square().sum(2).clamp(min=1e-12).sqrt()
        triplet = pooled.new_zeros(())
        for a in range(4):
            positive = max(away[a, b] for b in range(4) if LABELS[b] == LABELS[a])
            negative = min(away[a, b] for b in range(4) if LABELS[b] != LABELS[a])
            triplet = triplet - torch.log(negative.exp() / (positive.exp() + negative.exp())) / 4
        optimizer.zero_grad()
        (ce + triplet).backward()
        optimizer.step()
        ce_sum, triplet_sum = ce_sum + float(ce.detach()), triplet_sum + float(triplet.detach())
    found, losses = trained(batches(2))
    assert losses == pytest.approx((ce_sum / 3, triplet_sum / 3), rel=1e-4)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found.get_parameter(name), parameter, rtol=1e-3, atol=1e-5)


def test_training_lowers_the_loss_on_a_fixed_batch() -> None:
    torch.manual_seed(0)
    network = TinyNetwork()
    optimizer = adam(network, 0.01)
    images = next(batches(1))
    before = deepcopy(network)
    source, target = repeat((LABELS, [images])), batches(2)
    first = train_epoch(before, adam(before, 0.0), source, target, 1, 0.1)
    train_epoch(network, optimizer, source, target, 30, 0.1)
    last = train_epoch(network, optimizer, source, target, 1, 0.1)
    assert sum(last) < 0.8 * sum(first)
