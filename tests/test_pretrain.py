"""Source pre-training: a step, the epochs, and a peer's file in place of them."""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mutual.base.errors import InputError
from mutual.base.store import write_array
from mutual.learning import pretraining
from mutual.learning.batches import Batch
from mutual.learning.pretraining import Epoch, Plan, Pretraining, train_step, write_curve
from mutual.learning.schedule import warmup_multistep
from mutual.networks.peers import Peer, read_network, read_peer, write_peer
from mutual.networks.reid import ReidNetwork
from mutual.refineries.contract import Targets
from stages import pretrain as stage

TOP = Path(__file__).parent.parent
LABELS = torch.tensor([0, 0, 1, 1])
PLAN = Plan(
    epochs=2,
    iterations=3,
    lr=0.1,
    warmup_epochs=0,
    milestones=(),
    eval_epochs=1,
    label_smoothing=0.1,
    weight_decay=0.0,
)


class TinyNetwork(nn.Module):
    """A pooled feature and logits of it, with a batch norm in between; records what it is shown."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm1d(5)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(5, 2, bias=False)
        self.seen: list[tuple[Tensor, bool, bool]] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append((images, self.training, torch.is_grad_enabled()))
        pooled = self.conv(images).mean((2, 3))
        return pooled, self.classifier(self.dropout(self.norm(pooled)))


def tiny(dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    return TinyNetwork(dropout)


def views_at(seed: int, shift: float = 0.0) -> Callable[[int], Tensor]:
    """Iteration -> views of four images."""
    return lambda i: torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1000 * seed + i)) + shift


def source_at(i: int) -> Batch:
    return Batch(torch.arange(4), Targets(LABELS), [views_at(1)(i)])


def seed_of(i: int) -> int:
    return 70 + i


def untested(network: object) -> float:
    return 0.0


class Descent(torch.optim.SGD):
    """Plain descent in Adam's place, whose first steps turn rounding into whole steps."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, *, weight_decay: float, fused: bool) -> None:
        super().__init__(parameters, lr, weight_decay=weight_decay)


def trained(target_at: Callable[[int], Tensor], iterations: int = 3) -> tuple[TinyNetwork, list[Tensor]]:
    network = tiny().train()
    optimizer: Any = torch.optim.SGD(network.parameters(), lr=0.1)
    return network, [train_step(network, optimizer, source_at(i), target_at(i), 0.1) for i in range(iterations)]


# --- a step ----------------------------------------------------------------------------------------------------------


def test_target_images_change_the_running_statistics_and_nothing_else() -> None:
    near, losses_near = trained(views_at(2))
    far, losses_far = trained(views_at(2, shift=5.0))
    assert torch.equal(torch.stack(losses_near), torch.stack(losses_far))
    for name, parameter in near.named_parameters():
        assert torch.equal(parameter, far.get_parameter(name)), name
    assert not torch.allclose(near.get_buffer("norm.running_mean"), far.get_buffer("norm.running_mean"))


def test_each_iteration_shows_source_then_target_in_training_mode() -> None:
    network, losses = trained(views_at(2))
    assert [with_gradient for _, _, with_gradient in network.seen] == [True, False] * 3
    assert all(training for _, training, _ in network.seen)
    for i in range(3):
        assert torch.equal(network.seen[2 * i][0], views_at(1)(i))
        assert torch.equal(network.seen[2 * i + 1][0], views_at(2)(i))
    assert int(network.get_buffer("norm.num_batches_tracked")) == 6
    assert not any(loss.requires_grad for loss in losses)


# --- epochs ----------------------------------------------------------------------------------------------------------


def by_hand(epochs: int) -> Iterator[tuple[TinyNetwork, float, float]]:
    """After each epoch the network and its mean losses, by plain descent on smoothed cross entropy and hard triplet."""
    network = tiny().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for epoch in range(epochs):
        ce_sum = triplet_sum = 0.0
        for i in range(3 * epoch, 3 * epoch + 3):
            pooled, logits = network(views_at(1)(i))
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
        yield network, ce_sum / 3, triplet_sum / 3


def pretrain(*parts: Any) -> Iterator[tuple[Epoch, ReidNetwork]]:
    """The epochs, each with the best network so far."""
    going = Pretraining(*parts)
    for epoch in going.left():
        if epoch is not None:
            yield epoch, going.best


def test_losses_are_means_over_the_iterations_of_smoothed_cross_entropy_and_hard_triplet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pretraining, "Adam", Descent)
    network = tiny().eval()  # the epochs put it into training mode
    epochs = pretrain(network, source_at, views_at(2), PLAN, untested, seed_of)
    for (found, _), (expected, ce, triplet) in zip(epochs, by_hand(2), strict=True):
        assert (found.cross_entropy, found.triplet) == pytest.approx((ce, triplet), rel=1e-4)
        for name, parameter in expected.named_parameters():
            torch.testing.assert_close(network.get_parameter(name), parameter, rtol=1e-3, atol=1e-5)


def test_training_lowers_the_loss_on_a_fixed_batch() -> None:
    plan = Plan(32, 1, 0.01, 0, (), 32, 0.1, 0.0)
    first, *_, last = [e for e, _ in pretrain(tiny(), lambda _: source_at(0), views_at(2), plan, untested, seed_of)]
    assert last.number == 32
    assert last.cross_entropy + last.triplet < 0.8 * (first.cross_entropy + first.triplet)


def test_each_epoch_has_the_rate_of_its_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    class Listening(Descent):
        def step(self, closure: Any = None) -> Any:
            rates.extend(group["lr"] for group in self.param_groups)
            return super().step(closure)

    monkeypatch.setattr(pretraining, "Adam", Listening)
    plan = Plan(6, 2, 0.01, 3, (4, 5), 1, 0.1, 0.0)
    epochs = [epoch for epoch, _ in pretrain(tiny(), source_at, views_at(2), plan, untested, seed_of)]
    expected = [warmup_multistep(epoch, 0.01, 3, (4, 5)) for epoch in range(6)]
    assert [(epoch.number, epoch.lr) for epoch in epochs] == list(enumerate(expected, start=1))
    assert rates == [rate for rate in expected for _ in range(2)]
    assert len(set(expected)) > 3


def test_frozen_parameters_stay() -> None:
    network = tiny()
    network.norm.bias.requires_grad_(False)
    before = deepcopy(network.state_dict())
    for _ in pretrain(network, source_at, views_at(2), PLAN, untested, seed_of):
        pass
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) == (name == "norm.bias"), name


def test_the_best_network_so_far_comes_with_each_epoch() -> None:
    # tested after epochs 2, 4, 6 and the last: the second test is the best, the third one its equal
    answers, states, network = iter([0.25, 0.5, 0.5, 0.125]), [], tiny()

    def accuracy(tested: ReidNetwork) -> float:
        assert tested is network
        states.append(deepcopy(tested.state_dict()))
        return next(answers)

    plan, bests, tests = Plan(7, 1, 0.1, 0, (), 2, 0.1, 0.0), [], []
    for epoch, best in pretrain(network, source_at, views_at(2), plan, accuracy, seed_of):
        tests.append(epoch.accuracy)
        bests.append(best)
    assert tests == [None, 0.25, None, 0.5, None, 0.5, 0.125]
    assert bests[0] is network  # nothing is known of it yet
    for place, test in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 1)):
        found = bests[place].state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in states[test].items())
    assert bests[6] is not network


def test_batches_are_asked_for_by_the_iteration_over_all_epochs() -> None:
    asked: list[int] = []

    def listening(i: int) -> Batch:
        asked.append(i)
        return source_at(i)

    list(pretrain(tiny(), listening, views_at(2), PLAN, untested, seed_of))
    assert asked == [0, 1, 2, 3, 4, 5]


def test_dropout_is_a_function_of_the_iteration() -> None:
    def epochs(before: int, shift: int) -> list[Epoch]:
        network = tiny(dropout=0.5)
        torch.manual_seed(before)
        found = []
        for epoch, _ in pretrain(network, source_at, views_at(2), PLAN, untested, lambda i: seed_of(i) + shift):
            found.append(epoch)
            torch.rand(before)  # a test between two epochs may draw what it likes
        return found

    assert epochs(1, 0) == epochs(2, 0)
    assert epochs(1, 0) != epochs(1, 1)


def test_a_loss_that_is_not_finite_is_one_line_with_epoch_and_rate() -> None:
    def diverging(i: int) -> Batch:
        return Batch(torch.arange(4), Targets(LABELS), [views_at(1)(i) * (1 if i < 4 else torch.nan)])

    epochs = pretrain(tiny(), diverging, views_at(2), PLAN, untested, seed_of)
    assert next(epochs)[0].number == 1
    with pytest.raises(InputError) as refused:
        next(epochs)
    assert str(refused.value) == "pretrain_lr: the loss is not finite in epoch 2: expected a lower rate than 0.1"


def test_an_epoch_is_a_line_whose_accuracy_is_empty_where_it_was_not_tested(tmp_path: Path) -> None:
    write_curve(tmp_path / "peer1.csv", [Epoch(1, 2e-4, 4.5, 0.75, None), Epoch(11, 1e-3, 1.25, 0.5, 0.375)])
    assert (tmp_path / "peer1.csv").read_text().splitlines() == [
        "epoch,lr,cross_entropy,triplet,source_mAP",
        "1,0.0002,4.500000,0.750000,",
        "11,0.001,1.250000,0.500000,0.375000",
    ]


# --- a peer's file instead -------------------------------------------------------------------------------------------


def test_a_given_network_is_taken_as_student_and_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (TOP / "params.yaml").read_text()
    assert "\npretrained: none" in text
    Path("params.yaml").write_text(text.replace("\npretrained: none", "\npretrained: theirs"))
    Path("rounds.yaml").write_bytes((TOP / "rounds.yaml").read_bytes())
    write_array(Path("data/packed/target/train.npy"), np.zeros((1, 64, 32, 3), np.uint8))
    torch.manual_seed(0)
    student, teacher = ReidNetwork("resnet18", 3), ReidNetwork("resnet18", 3)
    said = Peer(teacher.form, 3, height=32, width=16, iterations=800, params={"adaptation": {"lr": 1e-3}})
    write_peer(Path("theirs/peer2.safetensors"), student, teacher, said)
    monkeypatch.setattr(sys, "argv", ["pretrain", "--seed", "2"])
    stage.main()
    taken = Path("models/r00/peer2.safetensors")
    found = read_peer(taken)
    assert (found.iterations, found.classes, found.network, found.params) == (0, 3, teacher.form, said.params)
    expected = teacher.state_dict()
    for role in ("student", "teacher"):
        tensors = read_network(taken, role).state_dict()
        assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert Path("metrics/pretrain/peer2.csv").read_text() == "epoch,lr,cross_entropy,triplet,source_mAP\n"
    monkeypatch.setattr(sys, "argv", ["pretrain", "--seed", "1"])
    with pytest.raises(InputError, match=r"pretrained: theirs/peer1.safetensors: not found"):
        stage.main()
