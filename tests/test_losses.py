"""The losses against the authors' values, against plain loops, and by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stages.reid.losses import (
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
