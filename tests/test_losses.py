"""The losses against the authors' values, against plain loops, and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.refineries.losses import (
    euclidean_distances,
    hard_cross_entropy,
    hard_triplet,
    hardest_triplets,
    mutual_loss,
    soft_cross_entropy,
    soft_triplet,
    triplet_log_ratios,
)
from tests.golden import assert_close, golden

LOSSES = golden("losses")
TOTAL = golden("total_loss")
PRECISIONS = {"f32": (torch.float32, 1e-4), "f64": (torch.float64, 1e-6)}
BOTH_PRECISIONS = pytest.mark.parametrize("precision", list(PRECISIONS))


def leaf(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype, requires_grad=True)


# --- the authors' values, loss by loss -------------------------------------------------------------------------------


@BOTH_PRECISIONS
def test_hard_cross_entropy_is_the_authors(precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    logits = leaf(LOSSES["ce_logits"], dtype)
    loss = hard_cross_entropy(logits, torch.from_numpy(LOSSES["ce_targets"]), 0.1)
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

    def outputs(role: str) -> list[tuple[Tensor, Tensor]]:
        return [(leaves[f"{role}{i}_feat"], leaves[f"{role}{i}_logits"][:, :counted]) for i in (1, 2)]

    loss = mutual_loss(
        outputs("s"),
        outputs("t"),
        torch.from_numpy(TOTAL["targets"]),
        soft_ce_weight=weights[0],
        soft_tri_weight=weights[1],
        label_smoothing=0.1,
    )
    loss.total.backward()
    assert_close(loss.total, TOTAL[f"{key}_loss_{precision}"], tolerance)
    assert_close(loss.hard_ce, TOTAL[f"criterion_ce_values_{precision}"].sum(), tolerance)
    assert_close(loss.hard_tri, TOTAL[f"criterion_tri_values_{precision}"].sum(), tolerance)
    assert_close(loss.soft_ce, TOTAL[f"criterion_ce_soft_values_{precision}"].sum(), tolerance)
    assert_close(loss.soft_tri, TOTAL[f"criterion_tri_soft_values_{precision}"].sum(), tolerance)
    for name in ("s1_feat", "s1_logits", "s2_feat", "s2_logits"):
        assert_close(leaves[name].grad, TOTAL[f"{key}_{name}_grad_{precision}"], tolerance)
    for name in ("t1_feat", "t1_logits", "t2_feat", "t2_logits"):
        assert leaves[name].grad is None, "a gradient reached a teacher"


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_smoothed_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[3 / 4, 1 / 4]], dtype=torch.float64))
    # of the mass 0.1 each class gets 0.05: 0.95 on the label, 0.05 on the other
    expected = -(0.95 * math.log(3 / 4) + 0.05 * math.log(1 / 4))
    assert float(hard_cross_entropy(logits, torch.tensor([0]), 0.1)) == pytest.approx(expected, rel=1e-12)


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


def test_soft_triplet_by_hand() -> None:
    ratios = torch.log(torch.tensor([[1 / 4, 3 / 4]], dtype=torch.float64))
    taught = torch.tensor([[0.2, 0.8]], dtype=torch.float64)
    expected = -(0.2 * math.log(1 / 4) + 0.8 * math.log(3 / 4))
    assert float(soft_triplet(ratios, taught)) == pytest.approx(expected, rel=1e-12)


# --- a second implementation -----------------------------------------------------------------------------------------


def random_batch(seed: int, peers: int) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]], Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def outputs() -> list[tuple[Tensor, Tensor]]:
        return [
            (
                torch.randn(16, 6, dtype=torch.float64, generator=generator),
                torch.randn(16, 5, dtype=torch.float64, generator=generator),
            )
            for _ in range(peers)
        ]

    targets = torch.randint(0, 5, (16,), generator=generator)
    return outputs(), outputs(), targets


def plain_terms(
    students: list[tuple[Tensor, Tensor]], taught_by: list[list[tuple[Tensor, Tensor]]], targets: Tensor
) -> tuple[float, float, float, float]:
    """Hard CE, soft CE, hard triplet, soft triplet, summed over the students, one sample and one class at a time."""
    hard_ce = soft_ce = hard_tri = soft_tri = 0.0
    count = len(targets)
    for (pooled, logits), teachers in zip(students, taught_by, strict=True):
        for a in range(count):
            log_p = [float(x) - math.log(sum(math.exp(float(y)) for y in logits[a])) for x in logits[a]]
            smooth = [0.1 / 5 + (0.9 if k == int(targets[a]) else 0.0) for k in range(5)]
            means = [sum(float(teacher[1][a].softmax(0)[k]) for teacher in teachers) / len(teachers) for k in range(5)]
            hard_ce -= sum(q * lp for q, lp in zip(smooth, log_p, strict=True)) / count
            soft_ce -= sum(q * lp for q, lp in zip(means, log_p, strict=True)) / count

            away = [math.dist(pooled[a].tolist(), pooled[b].tolist()) for b in range(count)]
            p = max((b for b in range(count) if targets[b] == targets[a]), key=lambda b: away[b])
            n = min((b for b in range(count) if targets[b] != targets[a]), key=lambda b: away[b])
            negative = math.exp(away[n]) / (math.exp(away[p]) + math.exp(away[n]))
            shares = []
            for teacher_pooled, _ in teachers:
                to_p = math.exp(math.dist(teacher_pooled[a].tolist(), teacher_pooled[p].tolist()))
                to_n = math.exp(math.dist(teacher_pooled[a].tolist(), teacher_pooled[n].tolist()))
                shares.append(to_n / (to_p + to_n))
            share = sum(shares) / len(shares)
            hard_tri -= math.log(negative) / count
            soft_tri -= (share * math.log(negative) + (1 - share) * math.log(1 - negative)) / count
    return hard_ce, soft_ce, hard_tri, soft_tri


@pytest.mark.parametrize("peers", [1, 2, 3])
def test_whole_loss_agrees_with_loops(peers: int) -> None:
    students, teachers, targets = random_batch(peers, peers)
    # the teachers of the other peers, all of equal say; the only peer has its own
    taught_by = {1: [[0]], 2: [[1], [0]], 3: [[1, 2], [0, 2], [0, 1]]}[peers]
    hard_ce, soft_ce, hard_tri, soft_tri = plain_terms(
        students, [[teachers[j] for j in others] for others in taught_by], targets
    )
    found = mutual_loss(students, teachers, targets, soft_ce_weight=0.3, soft_tri_weight=0.6, label_smoothing=0.1)
    assert found.soft_ce is not None
    assert found.soft_tri is not None
    terms = [found.hard_ce, found.soft_ce, found.hard_tri, found.soft_tri]
    # the clamped distance of an anchor to itself, 1e-6 instead of 0, is all that differs
    assert [float(term) for term in terms] == pytest.approx([hard_ce, soft_ce, hard_tri, soft_tri], rel=1e-6)
    expected = 0.7 * hard_ce + 0.3 * soft_ce + 0.4 * hard_tri + 0.6 * soft_tri
    assert float(found.total) == pytest.approx(expected, rel=1e-6)


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

    def total(shuffle: Tensor) -> float:
        s, t = ([(pooled[shuffle], logits[shuffle]) for pooled, logits in side] for side in (students, teachers))
        loss = mutual_loss(s, t, targets[shuffle], soft_ce_weight=0.5, soft_tri_weight=0.8, label_smoothing=0.1)
        return float(loss.total)

    assert total(order) == pytest.approx(total(torch.arange(16)), rel=1e-12)


def test_renaming_the_clusters_does_not_matter() -> None:
    students, teachers, targets = random_batch(22, 2)
    names = torch.tensor([3, 0, 4, 1, 2])  # class k is now called names[k]
    columns = names.argsort()
    s, t = ([(pooled, logits[:, columns]) for pooled, logits in side] for side in (students, teachers))
    settings = {"soft_ce_weight": 0.5, "soft_tri_weight": 0.8, "label_smoothing": 0.1}
    plain, renamed = mutual_loss(students, teachers, targets, **settings), mutual_loss(s, t, names[targets], **settings)
    assert float(renamed.total) == pytest.approx(float(plain.total), rel=1e-12)


def test_without_teachers_only_hard_losses_remain_and_equal_those_beside_teachers() -> None:
    students, teachers, targets = random_batch(23, 2)
    settings = {"soft_ce_weight": 0.0, "soft_tri_weight": 0.0, "label_smoothing": 0.1}
    alone, beside = (
        mutual_loss(students, None, targets, **settings),
        mutual_loss(students, teachers, targets, **settings),
    )
    assert alone.soft_ce is None
    assert alone.soft_tri is None
    assert float(alone.total) == float(beside.total) == pytest.approx(float(alone.hard_ce + alone.hard_tri))


@pytest.mark.parametrize("weights", [(0.1, 0.0), (0.0, 0.1)])
def test_soft_losses_without_teachers_are_refused(weights: tuple[float, float]) -> None:
    students, _, targets = random_batch(24, 2)
    with pytest.raises(ValueError, match="teachers"):
        mutual_loss(students, None, targets, soft_ce_weight=weights[0], soft_tri_weight=weights[1], label_smoothing=0.1)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it() -> None:
    ((pooled, logits),), _, targets = random_batch(25, 1)
    pooled.requires_grad_()
    logits.requires_grad_()
    loss = mutual_loss(
        [(pooled, logits)],
        [(pooled.detach(), logits.detach())],
        targets,
        soft_ce_weight=1.0,
        soft_tri_weight=1.0,
        label_smoothing=0.1,
    )
    loss.total.backward()
    assert logits.grad is not None
    assert pooled.grad is not None
    assert float(logits.grad.abs().max()) < 1e-12
    assert float(pooled.grad.abs().max()) < 1e-12


def test_the_student_chooses_the_triplets_and_the_teacher_only_judges_them() -> None:
    # one dimension: student and teacher disagree about who is the nearest negative of the anchor, sample 0
    student = torch.tensor([[0.0], [1.0], [2.0], [5.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0], [1.0], [9.0], [0.5]], dtype=torch.float64)
    targets = torch.tensor([0, 0, 1, 1])
    logits = torch.zeros(4, 2, dtype=torch.float64)
    loss = mutual_loss(
        [(student, logits)],
        [(teacher, logits)],
        targets,
        soft_ce_weight=0.0,
        soft_tri_weight=1.0,
        label_smoothing=0.1,
    )
    # anchor 0: p = 1, n = 2; anchor 1: p = 0, n = 2; anchor 2: p = 3, n = 1; anchor 3: p = 2, n = 1
    expected = 0.0
    for s_p, s_n, t_p, t_n in ((1, 2, 1, 9), (1, 1, 1, 8), (3, 1, 8.5, 8), (3, 4, 8.5, 0.5)):
        ratio = 1 / (1 + math.exp(s_p - s_n))
        taught = 1 / (1 + math.exp(t_p - t_n))
        expected -= (taught * math.log(ratio) + (1 - taught) * math.log(1 - ratio)) / 4
    assert loss.soft_tri is not None
    assert float(loss.soft_tri) == pytest.approx(expected, rel=1e-9)
