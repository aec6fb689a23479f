"""The losses against the authors' values, against plain loops, and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.refineries.contract import Output, Step, Targets
from mutual.refineries.losses import (
    Triplets,
    euclidean_distances,
    hard_cross_entropy,
    hard_losses,
    hard_triplet,
    hardest_triplets,
    soft_cross_entropy,
    soft_triplet,
    triplet_log_ratios,
)
from mutual.refineries.mmt import MutualMeanTeaching
from tests.golden import assert_close, golden

LOSSES = golden("losses")
TOTAL = golden("total_loss")
PRECISIONS = {"f32": (torch.float32, 1e-4), "f64": (torch.float64, 1e-6)}
BOTH_PRECISIONS = pytest.mark.parametrize("precision", list(PRECISIONS))
Outputs = list[tuple[Tensor, Tensor]]  # pooled, logits of each peer


def leaf(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def mutual_loss(
    students: Outputs, teachers: Outputs | None, targets: Targets, ce: float, tri: float, alpha: float = 0.0
) -> dict[str, Tensor]:
    """The losses of one iteration of mutual mean-teaching, with label smoothing 0.1."""
    said, taught = ([Output(*each) for each in side or ()] for side in (students, teachers))
    rows = torch.arange(len(targets.labels))
    step = Step(1, 0, 1, 0, rows, targets, said, None if teachers is None else taught)
    return MutualMeanTeaching(alpha, ce, tri, 0.1).loss(step)


# --- the authors' values, loss by loss -------------------------------------------------------------------------------


@BOTH_PRECISIONS
def test_hard_cross_entropy_is_the_authors(precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    logits = leaf(LOSSES["ce_logits"], dtype)
    loss = hard_cross_entropy(logits, Targets(torch.from_numpy(LOSSES["ce_targets"])), 0.1)
    loss.backward()
    assert_close(loss, LOSSES[f"ce_loss_{precision}"], tolerance)
    assert_close(logits.grad, LOSSES[f"ce_grad_{precision}"], tolerance)


@BOTH_PRECISIONS
def test_soft_cross_entropy_is_the_authors(precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    logits = leaf(LOSSES["ce_logits"], dtype)
    loss = soft_cross_entropy(logits, torch.tensor(LOSSES["soft_teacher_logits"], dtype=dtype).softmax(1))
    loss.backward()
    assert_close(loss, LOSSES[f"softce_loss_{precision}"], tolerance)
    assert_close(logits.grad, LOSSES[f"softce_grad_{precision}"], tolerance)


def mined(embeddings: Tensor, labels: Tensor, normalised: bool) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    distances = euclidean_distances(F.normalize(embeddings) if normalised else embeddings)
    return distances, hardest_triplets(distances.detach(), labels)


def tolerance_for(embeddings: str, precision: str) -> float:
    # a singleton's positive is itself: in f32 its distance is rounding error, amplified by the root
    return 2e-2 if (embeddings, precision) == ("singletons", "f32") else PRECISIONS[precision][1]


ALL_EMBEDDINGS = pytest.mark.parametrize("embeddings", ["gauss", "clustered", "singletons"])
PLAIN_AND_NORMALISED = pytest.mark.parametrize("normalised", [False, True], ids=["plain", "normalised"])


@BOTH_PRECISIONS
@ALL_EMBEDDINGS
def test_distances_are_the_authors(embeddings: str, precision: str) -> None:
    dtype, _ = PRECISIONS[precision]
    values = torch.tensor(LOSSES[f"{embeddings}_emb1"], dtype=dtype)
    found = euclidean_distances(values).numpy()
    off_diagonal = ~np.eye(len(found), dtype=bool)  # a sample's distance to itself is rounding error
    expected = LOSSES[f"{embeddings}_dist_{precision}"]
    assert_close(found[off_diagonal], expected[off_diagonal], PRECISIONS[precision][1])


@BOTH_PRECISIONS
@ALL_EMBEDDINGS
@PLAIN_AND_NORMALISED
def test_hard_triplet_is_the_authors(embeddings: str, precision: str, normalised: bool) -> None:
    dtype, _ = PRECISIONS[precision]
    student = leaf(LOSSES[f"{embeddings}_emb1"], dtype)
    distances, triplets = mined(student, torch.from_numpy(LOSSES[f"{embeddings}_labels"]), normalised)
    loss = hard_triplet(triplet_log_ratios(distances, *triplets))
    loss.backward()
    key, tolerance = f"{embeddings}_softtri_m0{'_norm' * normalised}", tolerance_for(embeddings, precision)
    assert_close(loss, LOSSES[f"{key}_loss_{precision}"], tolerance)
    assert_close(student.grad, LOSSES[f"{key}_grad_{precision}"], tolerance)


@BOTH_PRECISIONS
@ALL_EMBEDDINGS
@PLAIN_AND_NORMALISED
def test_soft_triplet_is_the_authors(embeddings: str, precision: str, normalised: bool) -> None:
    dtype, _ = PRECISIONS[precision]
    student, teacher = leaf(LOSSES[f"{embeddings}_emb1"], dtype), leaf(LOSSES[f"{embeddings}_emb2"], dtype)
    distances, triplets = mined(student, torch.from_numpy(LOSSES[f"{embeddings}_labels"]), normalised)
    taught = euclidean_distances((F.normalize(teacher) if normalised else teacher).detach())
    loss = soft_triplet(triplet_log_ratios(distances, *triplets), triplet_log_ratios(taught, *triplets).exp())
    loss.backward()
    key, tolerance = f"{embeddings}_softtri_none{'_norm' * normalised}", tolerance_for(embeddings, precision)
    assert_close(loss, LOSSES[f"{key}_loss_{precision}"], tolerance)
    assert_close(student.grad, LOSSES[f"{key}_grad_{precision}"], tolerance)


@BOTH_PRECISIONS
@ALL_EMBEDDINGS
@PLAIN_AND_NORMALISED
def test_mined_triplets_give_the_authors_margin_loss(embeddings: str, precision: str, normalised: bool) -> None:
    # the margin loss is not part of the method, but its stored values depend on the very pairs that are mined
    dtype, _ = PRECISIONS[precision]
    student = leaf(LOSSES[f"{embeddings}_emb1"], dtype)
    distances, (positive, negative) = mined(student, torch.from_numpy(LOSSES[f"{embeddings}_labels"]), normalised)
    rows = torch.arange(len(student))
    to_positive, to_negative = distances[rows, positive], distances[rows, negative]
    loss = (to_positive - to_negative + 0.3).clamp(min=0).mean()
    loss.backward()
    key, tolerance = f"{embeddings}_triplet03{'_norm' * normalised}", tolerance_for(embeddings, precision)
    assert_close(loss, LOSSES[f"{key}_loss_{precision}"], tolerance)
    assert_close(student.grad, LOSSES[f"{key}_grad_{precision}"], tolerance)
    assert float((to_negative > to_positive).double().mean()) == float(LOSSES[f"{key}_prec_{precision}"])


# --- one whole iteration ---------------------------------------------------------------------------------------------


@BOTH_PRECISIONS
@pytest.mark.parametrize(("weights", "key"), [((0.5, 0.8), "w05_08"), ((0.0, 0.0), "w0_0"), ((1.0, 1.0), "w1_1")])
def test_whole_iteration_is_the_authors(precision: str, weights: tuple[float, float], key: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    leaves = {name: leaf(TOTAL[name], dtype) for name in TOTAL if name.endswith(("_feat", "_logits"))}
    counted = int(TOTAL["num_cluster"])

    def outputs(role: str) -> Outputs:
        return [(leaves[f"{role}{i}_feat"], leaves[f"{role}{i}_logits"][:, :counted]) for i in (1, 2)]

    loss = mutual_loss(outputs("s"), outputs("t"), Targets(torch.from_numpy(TOTAL["targets"])), *weights)
    loss["total"].backward()
    assert_close(loss["total"], TOTAL[f"{key}_loss_{precision}"], tolerance)
    assert_close(loss["hard_ce"], TOTAL[f"criterion_ce_values_{precision}"].sum(), tolerance)
    assert_close(loss["hard_tri"], TOTAL[f"criterion_tri_values_{precision}"].sum(), tolerance)
    assert_close(loss["soft_ce"], TOTAL[f"criterion_ce_soft_values_{precision}"].sum(), tolerance)
    assert_close(loss["soft_tri"], TOTAL[f"criterion_tri_soft_values_{precision}"].sum(), tolerance)
    for name in ("s1_feat", "s1_logits", "s2_feat", "s2_logits"):
        assert_close(leaves[name].grad, TOTAL[f"{key}_{name}_grad_{precision}"], tolerance)
    for name in ("t1_feat", "t1_logits", "t2_feat", "t2_logits"):
        assert leaves[name].grad is None, "a gradient reached a teacher"


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_smoothed_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[3 / 4, 1 / 4]], dtype=torch.float64))
    # of the mass 0.1 each class gets 0.05: 0.95 on the label, 0.05 on the other
    expected = -(0.95 * math.log(3 / 4) + 0.05 * math.log(1 / 4))
    assert float(hard_cross_entropy(logits, Targets(torch.tensor([0])), 0.1)) == pytest.approx(expected, rel=1e-12)


HALVES_AND_QUARTERS = torch.log(torch.tensor([[1 / 2, 1 / 2], [1 / 4, 3 / 4]], dtype=torch.float64))


def test_weighted_cross_entropy_by_hand() -> None:
    # the weights need not sum to anything: 2 ln 2 and 1/2 ln 4, over the two images
    targets = Targets(torch.tensor([1, 0]), weights=torch.tensor([2.0, 0.5], dtype=torch.float64))
    expected = (2 * math.log(2) + 0.5 * math.log(4)) / 2
    assert float(hard_cross_entropy(HALVES_AND_QUARTERS, targets, 0.0)) == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_of_soft_labels_by_hand() -> None:
    # the labels are not asked; smoothing 0.2 leaves 0.8 of what is believed and adds 0.1 to either class
    soft = torch.tensor([[1.0, 0.0], [0.25, 0.75]], dtype=torch.float64)
    targets = Targets(torch.tensor([1, 0]), soft=soft)
    first, second = math.log(2), 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    plain = float(hard_cross_entropy(HALVES_AND_QUARTERS, targets, 0.0))
    assert plain == pytest.approx((first + second) / 2, rel=1e-12)
    smoothed = 0.3 * math.log(4) + 0.7 * math.log(4 / 3)
    found = float(hard_cross_entropy(HALVES_AND_QUARTERS, targets, 0.2))
    assert found == pytest.approx((first + smoothed) / 2, rel=1e-12)


def test_weighted_cross_entropy_of_soft_labels_by_hand() -> None:
    soft = torch.tensor([[0.5, 0.5], [0.25, 0.75]], dtype=torch.float64)
    targets = Targets(torch.tensor([1, 0]), torch.tensor([3.0, 1.0], dtype=torch.float64), soft)
    expected = (3 * math.log(2) + 0.25 * math.log(4) + 0.75 * math.log(4 / 3)) / 2
    assert float(hard_cross_entropy(HALVES_AND_QUARTERS, targets, 0.0)) == pytest.approx(expected, rel=1e-12)


def test_soft_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[1 / 2, 1 / 2], [1 / 8, 7 / 8]], dtype=torch.float64))
    taught = torch.tensor([[0.3, 0.7], [1.0, 0.0]], dtype=torch.float64)
    expected = (math.log(2) + math.log(8)) / 2
    assert float(soft_cross_entropy(logits, taught)) == pytest.approx(expected, rel=1e-12)


def test_distances_by_hand() -> None:
    distances = euclidean_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], dtype=torch.float64))
    expected = torch.tensor([[0, 5, 1], [5, 0, math.sqrt(18)], [1, math.sqrt(18), 0]], dtype=torch.float64)
    # the diagonal is the root of the clamp, 1e-6
    assert_close(distances, expected.numpy() + 1e-6 * np.eye(3), 1e-12)


def test_coinciding_points_have_a_finite_gradient() -> None:
    pooled = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    distances, triplets = mined(pooled, torch.tensor([0, 0, 1, 1]), False)
    hard_triplet(triplet_log_ratios(distances, *triplets)).backward()
    assert pooled.grad is not None
    assert bool(pooled.grad.isfinite().all())


def test_hardest_triplets_by_hand() -> None:
    points = torch.tensor([[0.0], [1.0], [5.0], [7.0], [4.0]], dtype=torch.float64)
    positive, negative = hardest_triplets(euclidean_distances(points), torch.tensor([0, 0, 0, 1, 1]))
    # 0 and 1 have 5 as their farthest of class 0; 5 has 0; nearest of the other class: 4 for all of class 0
    assert positive.tolist() == [2, 2, 0, 4, 3]
    assert negative.tolist() == [4, 4, 4, 2, 2]


def test_an_anchor_alone_in_its_class_is_its_own_positive() -> None:
    positive, negative = hardest_triplets(euclidean_distances(torch.tensor([[0.0], [1.0], [3.0]])), torch.arange(3))
    assert positive.tolist() == [0, 1, 2]
    assert negative.tolist() == [1, 0, 1]


def test_hard_triplet_by_hand() -> None:
    # d_p = 0 and d_n = ln 3 give the negative 3/4 of the mass; d_p = d_n gives it 1/2
    distances = torch.tensor([[0, 0, math.log(3)], [2, 0, 2], [9, 9, 9]], dtype=torch.float64)
    ratios = triplet_log_ratios(distances, torch.tensor([1, 0, 0]), torch.tensor([2, 2, 1]))
    expected = (math.log(4 / 3) + 2 * math.log(2)) / 3
    assert float(hard_triplet(ratios)) == pytest.approx(expected, rel=1e-12)


def test_weights_of_triplets_are_the_anchors_by_hand() -> None:
    # the negatives' shares are 3/4, 1/2 and 1/4; the last anchor does not count
    ratios = torch.log(torch.tensor([[1 / 4, 3 / 4], [1 / 2, 1 / 2], [3 / 4, 1 / 4]], dtype=torch.float64))
    weights = torch.tensor([1.5, 0.5, 0.0], dtype=torch.float64)
    expected = (1.5 * math.log(4 / 3) + 0.5 * math.log(2)) / 3
    assert float(hard_triplet(ratios, weights)) == pytest.approx(expected, rel=1e-12)


def test_soft_triplet_by_hand() -> None:
    ratios = torch.log(torch.tensor([[1 / 4, 3 / 4]], dtype=torch.float64))
    taught = torch.tensor([[0.2, 0.8]], dtype=torch.float64)
    expected = -(0.2 * math.log(1 / 4) + 0.8 * math.log(3 / 4))
    assert float(soft_triplet(ratios, taught)) == pytest.approx(expected, rel=1e-12)


# --- a second implementation -----------------------------------------------------------------------------------------


def random_batch(seed: int, peers: int) -> tuple[Outputs, Outputs, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def outputs() -> Outputs:
        return [
            (
                torch.randn(16, 6, dtype=torch.float64, generator=generator),
                torch.randn(16, 5, dtype=torch.float64, generator=generator),
            )
            for _ in range(peers)
        ]

    targets = torch.randint(0, 5, (16,), generator=generator)
    return outputs(), outputs(), targets


def beliefs(seed: int) -> tuple[Tensor, Tensor]:
    """Weights, one of them 0, and soft labels of a random batch."""
    generator = torch.Generator().manual_seed(seed)
    weights = 2 * torch.rand(16, dtype=torch.float64, generator=generator)
    weights[3] = 0
    return weights, torch.randn(16, 5, dtype=torch.float64, generator=generator).softmax(1)


def plain_terms(students: Outputs, taught_by: list[Outputs], targets: Targets) -> dict[str, float]:
    """The four terms, summed over the students, one sample and one class at a time."""
    labels, count = targets.labels, len(targets.labels)
    weights = [1.0] * count if targets.weights is None else targets.weights.tolist()
    soft = F.one_hot(labels, 5).tolist() if targets.soft is None else targets.soft.tolist()
    found = dict.fromkeys(("hard_ce", "soft_ce", "hard_tri", "soft_tri"), 0.0)
    for (pooled, logits), teachers in zip(students, taught_by, strict=True):
        for a in range(count):
            log_p = [float(x) - math.log(sum(math.exp(float(y)) for y in logits[a])) for x in logits[a]]
            smooth = [0.1 / 5 + 0.9 * soft[a][k] for k in range(5)]
            means = [sum(float(teacher[1][a].softmax(0)[k]) for teacher in teachers) / len(teachers) for k in range(5)]
            found["hard_ce"] -= weights[a] * sum(q * lp for q, lp in zip(smooth, log_p, strict=True)) / count
            found["soft_ce"] -= sum(q * lp for q, lp in zip(means, log_p, strict=True)) / count

            away = [math.dist(pooled[a].tolist(), pooled[b].tolist()) for b in range(count)]
            p = max((b for b in range(count) if labels[b] == labels[a]), key=lambda b: away[b])
            n = min((b for b in range(count) if labels[b] != labels[a]), key=lambda b: away[b])
            negative = math.exp(away[n]) / (math.exp(away[p]) + math.exp(away[n]))
            shares = []
            for teacher_pooled, _ in teachers:
                to_p = math.exp(math.dist(teacher_pooled[a].tolist(), teacher_pooled[p].tolist()))
                to_n = math.exp(math.dist(teacher_pooled[a].tolist(), teacher_pooled[n].tolist()))
                shares.append(to_n / (to_p + to_n))
            share = sum(shares) / len(shares)
            found["hard_tri"] -= weights[a] * math.log(negative) / count
            found["soft_tri"] -= (share * math.log(negative) + (1 - share) * math.log(1 - negative)) / count
    return found


@pytest.mark.parametrize("kind", ["labels", "weights", "soft labels", "both"])
@pytest.mark.parametrize("peers", [1, 2, 3])
def test_whole_loss_agrees_with_loops(peers: int, kind: str) -> None:
    students, teachers, labels = random_batch(peers, peers)
    weights, soft = beliefs(peers)
    targets = Targets(
        labels, weights if kind in ("weights", "both") else None, soft if kind in ("soft labels", "both") else None
    )
    # the teachers of the other peers, all of equal say; the only peer has its own
    taught_by = {1: [[0]], 2: [[1], [0]], 3: [[1, 2], [0, 2], [0, 1]]}[peers]
    expected = plain_terms(students, [[teachers[j] for j in others] for others in taught_by], targets)
    found = mutual_loss(students, teachers, targets, 0.3, 0.6)
    # the clamped distance of an anchor to itself, 1e-6 instead of 0, is all that differs
    assert {term: float(found[term]) for term in expected} == pytest.approx(expected, rel=1e-6)
    total = 0.7 * expected["hard_ce"] + 0.3 * expected["soft_ce"]
    total += 0.4 * expected["hard_tri"] + 0.6 * expected["soft_tri"]
    assert float(found["total"]) == pytest.approx(total, rel=1e-6)


def test_the_hard_losses_of_one_network_are_those_of_a_peer_without_teachers() -> None:
    ((student,), _, labels), (weights, soft) = random_batch(12, 1), beliefs(12)
    for targets in (Targets(labels), Targets(labels, weights), Targets(labels, weights, soft)):
        ce, tri = hard_losses(*student, targets, 0.1)
        found = mutual_loss([student], None, targets, 0.0, 0.0)
        assert torch.equal(ce, found["hard_ce"])
        assert torch.equal(tri, found["hard_tri"])


def test_mined_triplets_agree_with_loops() -> None:
    ((pooled, _),) = random_batch(11, 1)[0]
    targets = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4])
    distances = euclidean_distances(pooled)
    positive, negative = hardest_triplets(distances, targets)
    for a in range(16):
        away = [math.dist(pooled[a].tolist(), pooled[b].tolist()) for b in range(16)]
        same = [b for b in range(16) if targets[b] == targets[a]]
        others = [b for b in range(16) if targets[b] != targets[a]]
        assert int(positive[a]) == max(same, key=lambda b: away[b])
        assert int(negative[a]) == min(others, key=lambda b: away[b])


# --- properties ------------------------------------------------------------------------------------------------------


def test_the_order_of_the_batch_does_not_matter() -> None:
    students, teachers, targets = random_batch(21, 2)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))

    weights, soft = beliefs(21)

    def total(shuffle: Tensor) -> float:
        s, t = ([(pooled[shuffle], logits[shuffle]) for pooled, logits in side] for side in (students, teachers))
        return float(mutual_loss(s, t, Targets(targets[shuffle], weights[shuffle], soft[shuffle]), 0.5, 0.8)["total"])

    assert total(order) == pytest.approx(total(torch.arange(16)), rel=1e-12)


def test_renaming_the_clusters_does_not_matter() -> None:
    students, teachers, targets = random_batch(22, 2)
    _, soft = beliefs(22)
    names = torch.tensor([3, 0, 4, 1, 2])  # class k is now called names[k]
    columns = names.argsort()
    s, t = ([(pooled, logits[:, columns]) for pooled, logits in side] for side in (students, teachers))
    for plain, renamed in (
        (Targets(targets), Targets(names[targets])),
        (Targets(targets, soft=soft), Targets(names[targets], soft=soft[:, columns])),
    ):
        expected = float(mutual_loss(students, teachers, plain, 0.5, 0.8)["total"])
        assert float(mutual_loss(s, t, renamed, 0.5, 0.8)["total"]) == pytest.approx(expected, rel=1e-12)


def test_weights_of_one_and_certain_soft_labels_change_nothing_but_rounding() -> None:
    students, teachers, targets = random_batch(26, 2)
    certain, ones = F.one_hot(targets, 5).double(), torch.ones(16, dtype=torch.float64)
    plain = mutual_loss(students, teachers, Targets(targets), 0.5, 0.8)
    for believed in (Targets(targets, ones), Targets(targets, None, certain), Targets(targets, ones, certain)):
        found = mutual_loss(students, teachers, believed, 0.5, 0.8)
        assert {k: float(v) for k, v in found.items()} == pytest.approx(
            {k: float(v) for k, v in plain.items()}, rel=1e-12
        )


def test_an_image_without_weight_learns_no_class_and_is_nobodys_anchor() -> None:
    ((pooled, logits),), _, targets = random_batch(27, 1)
    weights = torch.ones(16, dtype=torch.float64)
    weights[5] = 0
    logits.requires_grad_()
    log_ratios = Triplets.hardest(pooled, targets).log_ratios.detach().requires_grad_()
    (hard_cross_entropy(logits, Targets(targets, weights), 0.1) + hard_triplet(log_ratios, weights)).backward()
    for gradient in (logits.grad, log_ratios.grad):
        assert gradient is not None
        assert [bool(row.any()) for row in gradient] == [i != 5 for i in range(16)]


def test_without_teachers_only_hard_losses_remain_and_equal_those_beside_teachers() -> None:
    students, teachers, targets = random_batch(23, 2)
    alone, beside = (mutual_loss(students, taught, Targets(targets), 0.0, 0.0) for taught in (None, teachers))
    assert list(alone) == ["total", "hard_ce", "hard_tri"]
    assert float(alone["total"]) == float(beside["total"]) == pytest.approx(float(alone["hard_ce"] + alone["hard_tri"]))


@pytest.mark.parametrize("settings", [(0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.9)])
def test_soft_losses_and_mean_teachers_without_teachers_are_refused(settings: tuple[float, float, float]) -> None:
    students, _, targets = random_batch(24, 2)
    with pytest.raises(ValueError, match="teachers"):
        mutual_loss(students, None, Targets(targets), *settings)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it() -> None:
    ((pooled, logits),), _, targets = random_batch(25, 1)
    pooled.requires_grad_()
    logits.requires_grad_()
    loss = mutual_loss([(pooled, logits)], [(pooled.detach(), logits.detach())], Targets(targets), 1.0, 1.0)
    loss["total"].backward()
    assert logits.grad is not None
    assert pooled.grad is not None
    assert float(logits.grad.abs().max()) < 1e-12
    assert float(pooled.grad.abs().max()) < 1e-12


def test_the_student_chooses_the_triplets_and_the_teacher_only_judges_them() -> None:
    # one dimension: student and teacher disagree about who is the nearest negative of the anchor, sample 0
    student = torch.tensor([[0.0], [1.0], [2.0], [5.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0], [1.0], [9.0], [0.5]], dtype=torch.float64)
    logits = torch.zeros(4, 2, dtype=torch.float64)
    loss = mutual_loss([(student, logits)], [(teacher, logits)], Targets(torch.tensor([0, 0, 1, 1])), 0.0, 1.0)
    # anchor 0: p = 1, n = 2; anchor 1: p = 0, n = 2; anchor 2: p = 3, n = 1; anchor 3: p = 2, n = 1
    expected = 0.0
    for s_p, s_n, t_p, t_n in ((1, 2, 1, 9), (1, 1, 1, 8), (3, 1, 8.5, 8), (3, 4, 8.5, 0.5)):
        ratio = 1 / (1 + math.exp(s_p - s_n))
        taught = 1 / (1 + math.exp(t_p - t_n))
        expected -= (taught * math.log(ratio) + (1 - taught) * math.log(1 - ratio)) / 4
    assert float(loss["soft_tri"]) == pytest.approx(expected, rel=1e-9)
