"""Batches of views, and whose labels come with them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.clusters.pseudo_labels import PseudoLabels
from mutual.images.normalisation import normalise
from mutual.images.views import training_views
from mutual.learning.batches import Batch, Cut, Streams, TrainingSet, labelled_batches, unlabelled_views
from mutual.machine.device import CPU
from mutual.machine.streams import numpy_stream

CUT = Cut(batch_size=4, instances=2, padding=0, device=CPU)
OUTLIERS = np.array([-1, 0, 0, -1, 1, 1, -1])


def bright(count: int) -> np.ndarray:
    """Images that are known by their brightness."""
    images = np.zeros((count, 32, 16, 3), np.uint8)
    images[:] = np.arange(count)[:, None, None, None]
    return images


def shown(images: np.ndarray, views: Tensor) -> list[int]:
    """Which of the images each view is of."""
    plain = normalise(torch.from_numpy(images))
    return [int(torch.argmin((plain - one).square().sum((1, 2, 3)))) for one in views]


def small_set(labels: PseudoLabels | None = None) -> TrainingSet:
    """60 random images of 15 identities, seen by three cameras."""
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 8, 3), np.uint8)
    return TrainingSet(images, labels or PseudoLabels(np.arange(60) % 15), np.arange(60) % 3)


PEERS = ("views of peer 1", "views of peer 2")
ERASED = Cut(batch_size=16, instances=4, padding=2, device=CPU, erase_probability=0.5)


def same(ours: Batch, theirs: Batch) -> bool:
    pairs = [(ours.rows, theirs.rows), (ours.targets.labels, theirs.targets.labels)]
    pairs += zip(ours.views, theirs.views, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_outliers_are_never_drawn_and_labels_are_those_of_the_images() -> None:
    images = bright(7)
    of = TrainingSet(images, PseudoLabels(OUTLIERS), np.zeros(7, np.int64))
    batch_at = labelled_batches(of, Streams(1), "batches", PEERS, CUT)
    for i in range(3):
        batch = batch_at(i)
        assert sorted(batch.targets.labels.tolist()) == [0, 0, 1, 1]
        for view in batch.views:
            assert shown(images, view) == batch.rows.tolist()
            assert sorted(batch.rows.tolist()) == [1, 2, 4, 5]
            assert OUTLIERS[batch.rows].tolist() == batch.targets.labels.tolist()


def test_unlabelled_images_come_once_a_pass() -> None:
    images = 40 * bright(6)
    views_at = unlabelled_views(images, Streams(1), "order", "views", replace(CUT, batch_size=3))
    for i in range(2):
        views = torch.cat([views_at(2 * i), views_at(2 * i + 1)])
        assert sorted(shown(images, views)) == list(range(6))


# --- a function of the iteration -------------------------------------------------------------------------------------


def test_batch_37_of_round_3_needs_no_batch_before_it() -> None:
    def fresh(streams: Streams) -> Batch:
        return labelled_batches(small_set(), streams, "target batches", PEERS, ERASED)(37)

    batch_at = labelled_batches(small_set(), Streams(1, 3), "target batches", PEERS, ERASED)
    in_order = [batch_at(i) for i in range(38)]
    assert same(fresh(Streams(1, 3)), in_order[37])
    assert all(same(batch_at(i), in_order[i]) for i in range(37, -1, -1))
    others = (fresh(Streams(1, 2)), fresh(Streams(2, 3)), in_order[36])
    assert not any(torch.equal(other.rows, in_order[37].rows) for other in others)


def test_unlabelled_views_37_of_round_3_need_none_before_them() -> None:
    views_at = unlabelled_views(small_set().images, Streams(1, 3), "order", "views", ERASED)
    in_order = [views_at(i) for i in range(38)]
    fresh = unlabelled_views(small_set().images, Streams(1, 3), "order", "views", ERASED)(37)
    assert torch.equal(fresh, in_order[37])
    assert all(torch.equal(views_at(i), in_order[i]) for i in range(37, -1, -1))


def test_views_are_those_of_the_stream_of_seed_purpose_round_and_iteration() -> None:
    batch = labelled_batches(small_set(), Streams(1, 3), "target batches", PEERS, ERASED)(37)
    for purpose, views in zip(PEERS, batch.views, strict=True):
        rng = numpy_stream(1, purpose, 3, 37)
        drawn = training_views(small_set().images[batch.rows], rng, padding=2, erase_probability=0.5)
        assert torch.equal(views, drawn)


def test_no_two_purposes_rounds_or_iterations_give_an_image_the_same_views() -> None:
    # always the same rows: a set that is one batch, so that views differ by their own numbers alone
    images = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8)
    of = TrainingSet(images, PseudoLabels(np.array([0, 0, 1, 1])), np.array([0, 1, 0, 1]))
    wide = Cut(batch_size=4, instances=2, padding=30, device=CPU)  # 61 x 61 places and a flip
    seen: set[bytes] = set()
    for round_number in range(3):
        batch_at = labelled_batches(of, Streams(1, round_number), "target batches", PEERS, wide)
        for i in range(10):
            batch = batch_at(i)
            order = batch.rows.argsort()
            seen |= {view[order].numpy().tobytes() for view in batch.views}
    assert len(seen) == 3 * 10 * 2


def test_the_number_of_peers_changes_neither_the_batches_nor_the_views_of_the_others() -> None:
    def batch(purposes: Sequence[str]) -> Batch:
        return labelled_batches(small_set(), Streams(1, 3), "target batches", purposes, ERASED)(5)

    two, three = batch(PEERS), batch([*PEERS, "views of peer 3"])
    assert torch.equal(two.rows, three.rows)
    assert all(torch.equal(a, b) for a, b in zip(two.views, three.views, strict=False))
    assert len(three.views) == 3


# --- what comes with the labels --------------------------------------------------------------------------------------


def test_masked_images_are_never_drawn() -> None:
    kept = np.arange(60) % 4 > 0
    classes = np.where(np.arange(60) % 15 == 7, -1, np.arange(60) % 15)
    of = small_set(PseudoLabels(classes, kept=kept))
    batch_at = labelled_batches(of, Streams(1), "batches", PEERS, ERASED)
    drawn = {row for i in range(60) for row in batch_at(i).rows.tolist()}
    assert drawn == set(np.flatnonzero(kept & (classes >= 0)).tolist())


def test_a_mask_that_leaves_too_few_identities_is_refused() -> None:
    kept = np.arange(60) % 15 < 3
    with pytest.raises(InputError, match=r"batch_size: 16 images.* there are 3 identities"):
        labelled_batches(small_set(PseudoLabels(np.arange(60) % 15, kept=kept)), Streams(1), "batches", PEERS, ERASED)


def test_weights_and_soft_labels_are_those_of_the_images() -> None:
    rng = np.random.default_rng(3)
    weights, soft = rng.random(60).astype(np.float32), rng.dirichlet(np.ones(15), 60).astype(np.float32)
    labels = PseudoLabels(np.arange(60) % 15, weights, None, soft)
    plain, batch = (
        labelled_batches(small_set(each), Streams(1), "batches", PEERS, ERASED)(3) for each in (None, labels)
    )
    assert same(plain, batch)  # they change neither what is drawn nor how
    assert (plain.targets.weights, plain.targets.soft) == (None, None)
    assert batch.targets.weights is not None
    assert batch.targets.soft is not None
    assert batch.targets.weights.dtype == batch.targets.soft.dtype == torch.float32
    np.testing.assert_array_equal(batch.targets.weights, weights[batch.rows])
    np.testing.assert_array_equal(batch.targets.soft, soft[batch.rows])
    assert batch.targets.labels.dtype == batch.rows.dtype == torch.int64


def test_erasing_is_all_that_a_cut_with_erasing_changes() -> None:
    cut = CUT.erasing(0.25)
    assert cut.erase_probability == 0.25
    assert cut.erasing(0.0) == CUT
