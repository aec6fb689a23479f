"""SELF, CORE, Co-teaching and DMT: the authors' values, by hand, and as a round's methods."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD, Adam

from mutual.base.errors import InputError
from mutual.learning.adaptation import Round, for_training, shares_of_lr, step, terms_of
from mutual.learning.batches import Batch
from mutual.learning.handover import Handover, read_handover, write_handover
from mutual.networks.reid import ReidNetwork
from mutual.refineries.agreement import agreement_weights, most_confident
from mutual.refineries.contract import Output, Refinery, Step, Targets, check_peers, find_refinery
from mutual.refineries.core import CollaborativeRefining
from mutual.refineries.coteaching import CoTeaching, easiest, forget_share
from mutual.refineries.dmt import over_centroids
from mutual.refineries.self import OwnPredictions
from mutual.refineries.trust import Trust
from tests.golden import assert_close, golden
from tests.herd import SMALL

CORE = golden("refineries/core")
COTEACHING = golden("refineries/coteaching")
DMT = golden("refineries/dmt_classification")
PRECISIONS = {"f32": (torch.float32, 1e-5), "f64": (torch.float64, 1e-9)}
BOTH_PRECISIONS = pytest.mark.parametrize("precision", list(PRECISIONS))
METHODS = pytest.mark.parametrize("name", ["self", "core", "coteaching", "dmt"])


# each with the authors' loss alone


def alone_self(alpha: float = 0.0) -> OwnPredictions:
    return OwnPredictions(alpha, 0.0, 0.0)


def alone_core(alpha: float = 0.0, opening: float = 0.0, selective: bool = False) -> CollaborativeRefining:
    return CollaborativeRefining(alpha, 0.0, 0.0, opening, 1.0, selective)


def alone_coteaching(alpha: float = 0.0, rate: float = 0.2) -> CoTeaching:
    return CoTeaching(alpha, 0.0, 0.0, rate, 1, 1.0)


def leaf(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def said(*logits: Tensor) -> list[Output]:
    """What networks say whose features do not matter, but are there."""
    return [Output(torch.zeros(len(each), 2, dtype=each.dtype), each) for each in logits]


def a_step(
    students: Sequence[Output],
    labels: Tensor,
    teachers: Sequence[Output] | None = None,
    number: int = 1,
    iteration: int = 0,
    weights: Tensor | None = None,
) -> Step:
    rows = torch.arange(len(labels))
    return Step(number, iteration, 10, iteration, rows, Targets(labels, weights), students, teachers)


def trusting(refinery: OwnPredictions, *weights: float) -> OwnPredictions:
    refinery.trust.weights = torch.tensor(weights, dtype=torch.float64)
    return refinery


# --- the authors' values ---------------------------------------------------------------------------------------------


@BOTH_PRECISIONS
@pytest.mark.parametrize("case", range(4))
def test_selfs_loss_is_the_authors(precision: str, case: int) -> None:
    dtype, tolerance = PRECISIONS[precision]
    logits = leaf(CORE["logits1"], dtype)
    refinery = trusting(alone_self(), float(CORE["self_w"][case]))
    loss = refinery.loss(a_step(said(logits), torch.from_numpy(CORE["targets"])))["total"]
    loss.backward()
    assert_close(loss, CORE[f"self_loss_{precision}"][case], tolerance)
    assert_close(logits.grad, CORE[f"self_grad_{precision}"][case], tolerance)


@BOTH_PRECISIONS
def test_cores_losses_are_the_authors(precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    logits = [leaf(CORE[f"logits{peer}"], dtype) for peer in (1, 2)]
    loss = alone_core().loss(a_step(said(*logits), torch.from_numpy(CORE["targets"])))["total"]
    loss.backward()
    assert_close(loss, CORE[f"core_loss1_{precision}"] + CORE[f"core_loss2_{precision}"], tolerance)
    for peer, each in enumerate(logits, start=1):
        assert_close(each.grad, CORE[f"core_grad{peer}_{precision}"], tolerance)


@BOTH_PRECISIONS
def test_the_selective_variant_is_the_authors(precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    learner, guide = leaf(CORE["logits1"], dtype), torch.tensor(CORE["logits2"], dtype=dtype)
    targets = torch.from_numpy(CORE["targets"])
    total = alone_core(selective=True).loss(a_step(said(learner, guide), targets))["total"]
    total.backward()
    assert_close(learner.grad, CORE[f"coreplus_grad1_{precision}"], tolerance)
    second = plain_core(CORE["logits2"], CORE["logits1"])
    assert_close(total, CORE[f"coreplus_loss1_{precision}"] + second, tolerance)


def plain_core(logits: np.ndarray, guide: np.ndarray) -> float:
    """The selective loss of one network, in plain numpy."""
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    q = np.exp(guide) / np.exp(guide).sum(1, keepdims=True)
    believed = guide.argmax(1)
    agreement = (logits.argmax(1) == believed).mean()
    ce = -log_p[np.arange(len(logits)), believed].mean()
    return float(agreement * ce - (q * log_p).sum(1).mean())


def test_the_authors_run_of_23_epochs_is_ours() -> None:
    """Two toy networks z = V tanh(W x + b) + c through the refinery's own steps: w, opening and the change to CORE."""
    x, y = torch.from_numpy(CORE["run_x"]), torch.from_numpy(CORE["run_y"])
    cuts = np.cumsum(CORE["run_batches"])[:-1]
    networks = []
    for flat in CORE["run_init"]:
        parts = np.split(flat, np.cumsum([5 * 7, 5, 4 * 5]))
        shapes = ((5, 7), (5,), (4, 5), (4,))
        networks.append([leaf(part.reshape(shape), torch.float64) for part, shape in zip(parts, shapes, strict=True)])
    groups = [
        {"params": [p for net in networks for p in net[:2]], "lr": 0.01},
        {"params": [p for net in networks for p in net[2:]], "lr": 0.1},
    ]
    optimizer = SGD(groups, momentum=0.9, weight_decay=5e-4, nesterov=True)
    refinery = alone_core(opening=21 / 23)
    refinery.begin(1, CORE["run_y"], list)
    batches = list(zip(np.split(np.arange(20), cuts), strict=True))
    kept = CORE["run_epochs_kept"].tolist()
    for epoch in range(23):
        for group, lr in zip(optimizer.param_groups, CORE["lr_schedule"][epoch], strict=True):
            group["lr"] = float(lr)
        if epoch <= 20:
            assert_close(refinery.trust.of(x, 2), CORE["run_w"][epoch], 1e-9)
        sums = torch.zeros(2, dtype=torch.float64)
        for i, (rows,) in enumerate(batches):
            outputs = said(*(torch.tanh(x[rows] @ w.T + b) @ v.T + c for w, b, v, c in networks))
            iteration = epoch * len(batches) + i
            now = Step(
                1, iteration, 23 * len(batches), iteration, torch.from_numpy(rows), Targets(y[rows]), outputs, None
            )
            losses = refinery.loss(now)
            optimizer.zero_grad()
            losses["total"].backward()
            optimizer.step()
            sums += losses["total"].detach() * len(rows) / 20
        assert_close(sums.sum() / 2, CORE["run_loss"][epoch].sum(), 1e-9)
        if epoch in kept:
            ours = np.stack([torch.cat([p.detach().flatten() for p in net]).numpy() for net in networks])
            assert_close(torch.from_numpy(ours), CORE["run_params"][kept.index(epoch)], 1e-9)


@BOTH_PRECISIONS
@pytest.mark.parametrize("case", range(5))
def test_co_teachings_losses_and_selections_are_the_authors(precision: str, case: int) -> None:
    """The authors divide the mean over the R images by R once more: under their Adam the same steps."""
    dtype, tolerance = PRECISIONS[precision]
    rate = float(COTEACHING["forget_rates"][case])
    logits = [leaf(COTEACHING[f"logits{peer}"], dtype) for peer in (1, 2)]
    labels = torch.from_numpy(COTEACHING["labels"])
    for learner, guide in ((1, 2), (2, 1)):
        losses = F.cross_entropy(logits[guide - 1].detach(), labels, reduction="none")
        rows = easiest(losses, rate)
        assert sorted(rows.tolist()) == COTEACHING[f"learned_by_{learner}_{round(100 * rate):d}"].tolist()
        pure = COTEACHING["clean"][COTEACHING["index"][rows]].mean()
        assert_close(torch.tensor(pure), COTEACHING[f"pure_{precision}"][case][guide - 1], tolerance)
    total = alone_coteaching(rate=rate).loss(a_step(said(*logits), labels))["total"] / len(rows)
    total.backward()
    assert_close(total, sum(COTEACHING[f"loss{peer}_{precision}"][case] for peer in (1, 2)), tolerance)
    for peer, each in enumerate(logits, start=1):
        assert_close(each.grad, COTEACHING[f"grad{peer}_{precision}"][case], tolerance)


@pytest.mark.parametrize("schedule", ["a", "b", "c"])
def test_the_forget_rate_rises_as_the_authors(schedule: str) -> None:
    rate, exponent, rounds, _ = COTEACHING[f"sched_{schedule}_forget_exponent_gradual_decay"].tolist()
    ours = [forget_share(epoch + 1, rate, int(rounds), exponent) for epoch in range(200)]
    assert_close(torch.tensor(ours, dtype=torch.float64), COTEACHING[f"sched_{schedule}_rate"], 1e-12)


@BOTH_PRECISIONS
@pytest.mark.parametrize("case", range(4))
def test_dmts_weights_and_loss_are_the_authors(precision: str, case: int) -> None:
    """Behind the split are labelled images, whose weight is 1."""
    dtype, tolerance = PRECISIONS[precision]
    logits, peer = leaf(DMT["logits"], dtype), torch.tensor(DMT["peer_probs"], dtype=dtype)
    confidences, labels = peer.max(1)
    gamma1, gamma2 = DMT["gammas"][case].tolist()
    weights = agreement_weights(logits.detach().softmax(1), labels, confidences, gamma1, gamma2)
    weights[int(DMT["split"]) :] = 1
    assert_close(weights, DMT[f"weights_{precision}"][case], tolerance)
    loss = (weights * F.cross_entropy(logits, labels, reduction="none")).mean()
    loss.backward()
    assert_close(loss, DMT[f"loss_{precision}"][case], tolerance)
    assert_close(logits.grad, DMT[f"grad_{precision}"][case], tolerance)


def test_dmt_selects_the_authors_images() -> None:
    confidences = torch.from_numpy(DMT["select_logits"]).softmax(1).amax(1).numpy()
    for share in DMT["select_shares"].tolist():
        rows = np.flatnonzero(most_confident(confidences, share))
        assert rows.tolist() == DMT[f"select_rows_{round(100 * share)}"].tolist()


# --- by hand ---------------------------------------------------------------------------------------------------------

HALF = torch.tensor([[0.0, 0.0]])  # p = 1/2, 1/2
SURE = torch.tensor([[0.0, np.log(3.0)]], dtype=torch.float32)  # p = 1/4, 3/4
LOG = {"2": np.log(2), "4": np.log(4), "4/3": np.log(4 / 3)}


def test_self_by_hand() -> None:
    """-log p of the label is log 4, of its own prediction log 4/3; with w = 0.25: 0.75 log 4 + 0.25 log 4/3."""
    losses = trusting(alone_self(), 0.25).loss(a_step(said(SURE), torch.tensor([0])))
    assert float(losses["total"]) == pytest.approx(0.75 * LOG["4"] + 0.25 * LOG["4/3"], rel=1e-6)
    assert float(losses["trust"]) == 0.25


def test_trust_by_hand() -> None:
    """Two batches of 2 and 1 images with losses 1 and 4: M = (2 x 1 + 1 x 4) / 3 = 2, w = 1 / 3."""
    trust = Trust()
    trust.images = 3
    zeros = torch.zeros(1)
    trust.add(torch.tensor([1.0]), 2)
    assert trust.of(zeros, 1).tolist() == [0]
    trust.add(torch.tensor([4.0]), 1)
    assert trust.of(zeros, 1).tolist() == [pytest.approx(1 / 3)]
    trust.add(torch.tensor([0.5]), 3)
    assert trust.of(zeros, 1).tolist() == [pytest.approx(1 / 1.5)]


def test_core_by_hand() -> None:
    """The guide says 1/4, 3/4: the learner, at 1/2, has log 2 against its label and log 2 against its probabilities."""
    losses = alone_core().loss(a_step(said(HALF, SURE), torch.tensor([0])))
    sure = LOG["4"] + (LOG["4"] + LOG["4/3"]) / 2  # by the guide at 1/2, whose label is the first
    assert float(losses["total"]) == pytest.approx(2 * LOG["2"] + sure, rel=1e-6)


def test_co_teaching_by_hand() -> None:
    """The guide finds the second image easier: the learner has its loss alone, log 4."""
    guide = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]], dtype=torch.float32)
    learner = torch.tensor([[5.0, 0.0], [0.0, np.log(3.0)]], dtype=torch.float32)
    losses = alone_coteaching(rate=0.5).loss(a_step(said(learner, guide), torch.tensor([0, 0])))
    by_guide = LOG["2"]  # the learner finds the first easier, of which the guide says 1/2
    assert float(losses["total"]) == pytest.approx(LOG["4"] + by_guide, rel=1e-6)
    assert float(losses["forgotten"]) == 0.5


@pytest.mark.parametrize(
    ("own", "label", "confidence", "weight"),
    [
        ((0.8, 0.2), 0, 0.9, 0.64),  # agree: 0.8 ** 2
        ((0.8, 0.2), 0, 0.1, 0.64),  # agree, whatever the other's confidence
        ((0.8, 0.2), 1, 0.9, 0.2),  # differ, and the other is surer: 0.2 ** 1
        ((0.8, 0.2), 1, 0.8, 0.2),  # as sure
        ((0.8, 0.2), 1, 0.7, 0.0),  # less sure
    ],
)
def test_dmts_weight_by_hand(own: tuple[float, float], label: int, confidence: float, weight: float) -> None:
    found = agreement_weights(torch.tensor([own]), torch.tensor([label]), torch.tensor([confidence]), 2.0, 1.0)
    assert float(found) == pytest.approx(weight)


def test_the_surest_images_by_hand() -> None:
    confidences = np.array([0.5, 0.9, 0.1, 0.8, 0.7, 0.6, 0.3, 0.2, 0.4, 0.0])
    assert np.flatnonzero(most_confident(confidences, 0.5)).tolist() == [1, 3, 4]  # five but two
    assert most_confident(confidences, 1.0).all()
    assert not most_confident(confidences, 0.19).any()
    assert most_confident(confidences, 0.3).sum() == 1


def test_probabilities_over_centroids_by_hand() -> None:
    features = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    found = over_centroids(features, np.array([0, 1, -1]), 0.5)
    assert found[2].tolist() == pytest.approx(torch.tensor([0.6, 0.8]).div(0.5).softmax(0).tolist())


# --- as a round's method ---------------------------------------------------------------------------------------------

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def networks(seed: int, count: int = 2) -> list[ReidNetwork]:
    torch.manual_seed(seed)
    return [for_training(ReidNetwork(SMALL, 2), torch.randn(3, 256)) for _ in range(count)]


def batch(iteration: int, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(iteration)
    views = [torch.randn(6, 3, 32, 16, generator=generator) for _ in range(count)]
    return Batch(torch.arange(6), Targets(LABELS), views)


def look(count: int) -> Callable[[], list[np.ndarray]]:
    """Features near the centroids of LABELS, for each peer others."""

    def features() -> list[np.ndarray]:
        rng = np.random.default_rng(3)
        near = [np.eye(3)[LABELS] + 0.3 * rng.standard_normal((6, 3)) for _ in range(count)]
        return [(each / np.linalg.norm(each, axis=1, keepdims=True)).astype(np.float32) for each in near]

    return features


def full(name: str, **changed: Any) -> Refinery:
    """With all that the pipeline's parameters give."""
    settings: dict[str, Any] = {"alpha": 0.0, "triplet_weight": 1.0, "label_smoothing": 0.1}
    settings |= {
        "core": {"core.opening": 0.5, "core.opening_lr": 3.0, "core.selective": False},
        "coteaching": {"coteaching.forget_rate": 0.4, "coteaching.forget_rounds": 3, "coteaching.exponent": 1.0},
        "dmt": {"dmt.gamma1": 1.0, "dmt.gamma2": 1.0, "dmt.rounds": 1, "dmt.temperature": 0.1},
    }.get(name, {})
    method = find_refinery(name)
    assert settings.keys() == set(method.keys)
    return method.of(settings | changed)


def trained(refinery: Refinery, students: list[ReidNetwork], teachers: list[ReidNetwork] | None) -> list[Tensor]:
    count = len(students)
    refinery.begin(2, LABELS.numpy(), look(count))
    optimizer = Adam(shares_of_lr(students, 1e-3, 1.0), weight_decay=5e-4, fused=True)
    within = Round(2, 4, 0, 3, 0.1)
    return [step(refinery, students, teachers, batch(i, count), None, optimizer, i, within) for i in range(4)]


@METHODS
@pytest.mark.parametrize("alpha", [0.0, 0.9])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_round_moves_every_student_and_each_teacher_there_is(name: str, alpha: float, count: int) -> None:
    refinery = full(name, alpha=alpha)
    if count < refinery.least_peers:
        with pytest.raises(InputError, match=f"seeds: method {name} needs 2 networks at least, got 1"):
            check_peers(type(refinery), name, count)
        return
    check_peers(type(refinery), name, count)
    assert refinery.teaching == (alpha > 0)
    students, teachers = networks(1, count), networks(2, count) if alpha else None
    before = [[p.detach().clone() for p in net.parameters()] for net in [*students, *(teachers or [])]]
    losses = trained(refinery, students, teachers)
    assert all(bool(torch.isfinite(row[0])) for row in losses)
    assert len(losses[0]) == len(terms_of(refinery, 0.0))
    for net, old in zip([*students, *(teachers or [])], before, strict=True):
        assert all(not torch.equal(p, q) for p, q in zip(net.classifier.parameters(), old[-1:], strict=True))


@METHODS
def test_one_and_the_same_twice(name: str) -> None:
    first, second = (trained(full(name, alpha=0.9), networks(1), networks(2)) for _ in range(2))
    assert all(torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["core", "coteaching"])
def test_with_mean_teachers_it_is_the_teachers_who_judge(name: str) -> None:
    """Students' logits say nothing about what is believed or selected."""
    generator = torch.Generator().manual_seed(5)
    one, two, other = (torch.randn(6, 3, generator=generator) for _ in range(3))
    refinery = alone_core(0.9) if name == "core" else alone_coteaching(0.9, 0.5)
    losses = []
    for second in (two, other):
        learner = one.clone().requires_grad_()
        refinery.loss(a_step(said(learner, second), LABELS, said(two, two)))["total"].backward()
        losses.append(learner.grad)
    assert torch.equal(losses[0], losses[1])  # type: ignore[arg-type]


def test_what_self_predicts_itself_is_its_teachers_word() -> None:
    refinery = trusting(alone_self(0.9), 1.0)
    losses = refinery.loss(a_step(said(SURE), torch.tensor([0]), said(-SURE)))
    assert float(losses["total"]) == pytest.approx(LOG["4"], rel=1e-6)


def test_core_opens_as_self_at_a_rate_of_its_own() -> None:
    core, alone = full("core"), full("self")
    students = said(*(torch.randn(6, 3, generator=torch.Generator().manual_seed(i)) for i in (1, 2)))
    opening, after = (a_step(students, LABELS, iteration=i) for i in (4, 5))
    for refinery in (core, alone):
        refinery.begin(1, LABELS.numpy(), look(2))
    assert float(core.loss(opening)["total"]) == float(alone.loss(opening)["total"])
    assert "peer_ce" not in core.loss(opening)
    assert "given_ce" not in core.loss(after)
    assert [core.lr_factor(i, 10) for i in (4, 5)] == [3.0, 1.0]


def test_the_rate_of_an_opening_is_the_optimisers() -> None:
    students = networks(1)
    optimizer = Adam(shares_of_lr(students, 1e-3, 0.1), fused=True)
    seen = []
    refinery = full("core")
    refinery.begin(1, LABELS.numpy(), look(2))
    for i in range(4):
        step(refinery, students, None, batch(i), None, optimizer, i, Round(1, 4, 0, 3, 0.1))
        seen.append([group["lr"] for group in optimizer.param_groups])
    assert seen == [[pytest.approx(3e-4), pytest.approx(3e-3)]] * 2 + [[pytest.approx(1e-4), pytest.approx(1e-3)]] * 2


@pytest.mark.parametrize("name", ["self", "core"])
def test_trust_goes_on_in_the_next_round(name: str, tmp_path: Path) -> None:
    at_once, first, second = full(name), full(name), full(name)
    steps = [a_step(said(*(torch.randn(6, 3) for _ in range(2))), LABELS) for _ in range(5)]
    for refinery in (at_once, first, second):
        refinery.begin(1, np.zeros(14, np.int64), list)  # a pass is two steps and a bit
    expected = [float(at_once.loss(each)["total"]) for each in steps]
    found = [float(first.loss(each)["total"]) for each in steps[:3]]
    write_handover(tmp_path, Handover(None, first.state()))
    second.load_state(read_handover(tmp_path).state)
    assert [*found, *(float(second.loss(each)["total"]) for each in steps[3:])] == expected


@pytest.mark.parametrize(
    "state",
    [
        {"seen": torch.tensor(1), "momentum": torch.zeros(2)},
        {"trust": torch.zeros(2)},
        {"seen": torch.tensor(0), "trust": torch.tensor([torch.nan])},
    ],
    ids=["another's", "half", "not a number"],
)
def test_another_state_is_refused_in_a_line(state: Mapping[str, Tensor]) -> None:
    with pytest.raises(InputError, match=r"^the round before handed on .*: expected the trust in the networks$"):
        full("self").load_state(state)


def test_trust_of_another_number_of_networks_is_refused() -> None:
    refinery = trusting(alone_self(), 0.5)
    with pytest.raises(InputError, match=r"^seeds: the round before handed on the trust in 1 networks, not 2$"):
        refinery.loss(a_step(said(HALF, SURE), torch.tensor([0])))


def test_a_batch_of_which_nothing_is_left_is_refused() -> None:
    refinery = full("coteaching", **{"coteaching.forget_rate": 0.99})
    students = said(*(torch.randn(6, 3) for _ in range(2)))
    assert float(refinery.loss(a_step(students, LABELS, number=1))["forgotten"]) == 0
    with pytest.raises(InputError, match=r"^coteaching\.forget_rate: expected a share that leaves an image of a batch"):
        refinery.loss(a_step(students, LABELS, number=3))


def test_dmt_uses_more_images_round_by_round_and_no_outliers() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 10)
    labels[:3] = -1
    seen = []
    for number in range(1, 7):
        refinery = full("dmt", **{"dmt.rounds": 5})
        features = rng.standard_normal((2, 40, 8)).astype(np.float32)
        refinery.begin(number, labels, lambda: list(features))  # noqa: B023
        (first, second) = refinery.said  # type: ignore[attr-defined]
        assert not first.used[:3].any()
        assert not second.used[:3].any()
        seen.append(int(first.used.sum()))
    assert seen == [int(37 * share / 5) - 2 for share in (1, 2, 3, 4)] + [37, 37]


def test_dmt_learns_the_other_networks_labels() -> None:
    refinery = full("dmt", triplet_weight=0.0, label_smoothing=0.0, **{"dmt.gamma1": 0.0, "dmt.gamma2": 0.0})
    sees = np.eye(3, dtype=np.float32)[LABELS]
    stray = sees.copy()
    stray[0] = (0.1, 0.99, 0)  # of cluster 0, and near the mean of cluster 1
    refinery.begin(1, LABELS.numpy(), lambda: [sees, stray])
    logits = [torch.zeros(6, 3, requires_grad=True) for _ in range(2)]
    refinery.loss(a_step(said(*logits), LABELS))["total"].backward()
    learned = [each.grad.argmin(1).tolist() for each in logits]  # type: ignore[union-attr]
    assert learned == [[1, 0, 1, 1, 2, 2], LABELS.tolist()]


def test_a_share_of_no_image_is_refused() -> None:
    refinery = full("dmt", **{"dmt.rounds": 50})
    with pytest.raises(InputError, match=r"^dmt\.rounds: expected more images than 6, of which round 1 uses 1 of 50"):
        refinery.begin(1, LABELS.numpy(), look(2))


@METHODS
def test_images_of_no_weight_move_nothing(name: str) -> None:
    """Of all but CORE after its opening, which learns from what networks say and not from labels."""
    refinery = full(name, **({"core.opening": 1.0} if name == "core" else {}))
    refinery.begin(1, LABELS.numpy(), look(2))
    logits = [torch.randn(6, 3, requires_grad=True) for _ in range(2)]
    weights = torch.tensor([1.0, 1, 1, 1, 0, 0])
    refinery.loss(a_step(said(*logits), LABELS, weights=weights))["total"].backward()
    for each in logits:
        assert not each.grad[4:].any()  # type: ignore[index]
        assert each.grad[:4].any()  # type: ignore[index]


TITLES = {"self": "SELF", "core": "CORE", "coteaching": "Co-teaching", "dmt": "DMT"}


@METHODS
def test_a_method_is_called_as_its_authors_call_it(name: str) -> None:
    params = {"alpha": 0.0, "seeds": [1, 2], "core.selective": False}
    title = find_refinery(name).title
    assert title(params) == TITLES[name]
    assert title(params | {"alpha": 0.9}) == f"{TITLES[name]}, mean teachers"
    assert title(params | {"seeds": [1, 2, 3]}) == f"{TITLES[name]}, 3 networks"
