"""What is said of features and clusters without a label: worked by hand, and beside plain implementations."""

import numpy as np
import pytest
import torch

from mutual.base.errors import InputError
from mutual.clusters import label_free as measures
from mutual.clusters.alarms import alarms
from mutual.clusters.label_free import agreement, consistency, label_free, silhouette, variance
from mutual.clusters.pseudo_labels import singletons

CPU = torch.device("cpu")


def as_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def test_an_outlier_is_a_cluster_of_its_own() -> None:
    assert singletons(np.array([1, -1, 0, -1])).tolist() == [1, 2, 0, 3]
    assert singletons(np.array([-1, -1])).tolist() == [0, 1]


def test_consistency_worked_by_hand() -> None:
    # clusters {0, 1, 2} {3}, then {0, 1} {2, 3}: 2/3, 2/3, 1/4, 1/2
    assert consistency(np.array([0, 0, 0, 1]), np.array([5, 5, 2, 2])) == pytest.approx(
        (2 / 3 + 2 / 3 + 1 / 4 + 1 / 2) / 4
    )


def test_consistency_is_that_of_sets() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(-1, 7, 200), rng.integers(-1, 5, 200)
    shares = []
    for i in range(200):
        first, second = (
            {i} if labels[i] < 0 else set(np.flatnonzero(labels == labels[i]).tolist()) for labels in (a, b)
        )
        shares.append(len(first & second) / len(first | second))
    assert consistency(a, b) == pytest.approx(np.mean(shares))
    assert consistency(a, a) == 1
    assert consistency(a, np.where(b < 0, b, 6 - b)) == pytest.approx(consistency(a, b))  # names do not matter


def test_variance_worked_by_hand() -> None:
    assert variance(np.array([[1, 0], [-1, 0]], np.float32)) == 1
    assert variance(np.array([[1, 0], [1, 0]], np.float32)) == 0
    assert variance(np.array([[1, 0], [0, 1]], np.float32)) == pytest.approx(0.5)


def test_silhouette_worked_by_hand() -> None:
    features, labels = np.array([[0.0], [1.0], [5.0], [9.0]], np.float32), np.array([0, 0, 1, 1])
    by_hand = [(7 - 1) / 7, (6 - 1) / 6, (4.5 - 4) / 4.5, (8.5 - 4) / 8.5]
    assert silhouette(features, labels) == pytest.approx(np.mean(by_hand))
    # an outlier plays no part
    assert silhouette(np.append(features, [[3.0]], 0), np.append(labels, -1)) == pytest.approx(np.mean(by_hand))
    assert silhouette(features, np.zeros(4, int)) == 0
    assert silhouette(features, np.full(4, -1)) == 0


def test_agreement_is_that_of_plain_neighbours() -> None:
    rng = np.random.default_rng(5)
    base = rng.normal(size=(40, 6))
    peers = [as_float32(base + rng.normal(size=base.shape) * scale) for scale in (0, 0.5, 2)]

    def neighbours(features: np.ndarray) -> list[set[int]]:
        distmat = np.linalg.norm(features[:, None] - features, axis=2)
        np.fill_diagonal(distmat, np.inf)
        return [set(row[:10].tolist()) for row in distmat.argsort(1)]

    found = [neighbours(features) for features in peers]
    pairs = [(0, 1), (0, 2), (1, 2)]
    shares = [[len(x & y) / 10 for x, y in zip(found[a], found[b], strict=True)] for a, b in pairs]
    assert agreement(peers, CPU)["agreement"] == pytest.approx(np.mean(shares))
    assert agreement([peers[0], peers[0] * 3], CPU) == {"agreement": 1}
    assert agreement(peers[:1], CPU) == {}
    assert agreement([peers[0][:1]] * 2, CPU) == {}


def test_of_many_images_some_agree_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    peers = [rng.standard_normal((70, 6)).astype(np.float32) for _ in range(2)]
    peers[1] += 2 * peers[0]
    nearest = [np.argsort(((x[:, None] - x) ** 2).sum(2) + np.diag([np.inf] * 70), axis=1)[:, :10] for x in peers]
    common = [len(np.intersect1d(*rows)) / 10 for rows in zip(*nearest, strict=True)]
    assert agreement(peers, CPU) == {"agreement": pytest.approx(np.mean(common))}
    monkeypatch.setattr(measures, "SAMPLE", 30)
    monkeypatch.setattr(measures, "BLOCK_VALUES", 200)
    assert agreement(peers, CPU) == {"agreement": pytest.approx(np.mean(common[::3]))}


def test_copies_of_an_image_do_not_count_it_as_its_own_neighbour() -> None:
    copies = as_float32(np.repeat(np.eye(3), 8, axis=0))
    assert agreement([copies, copies], CPU) == {"agreement": 1}


def test_what_cannot_be_said_is_left_out() -> None:
    rng = np.random.default_rng(0)
    features, labels = as_float32(rng.normal(size=(30, 4))), np.arange(30) % 3
    one, each = np.zeros(30, int), np.arange(30)
    for cameras in (one, each):
        assert "camera_nmi" not in label_free(features, labels, labels, cameras, None)
    found = label_free(features, labels, labels, labels // 2, labels[::-1].copy())
    assert found["consistency"] == 1
    assert label_free(features, labels, labels, labels, 2 - labels)["stability"] == 1  # other names, the same clusters
    assert label_free(features, labels, labels, labels, None)["camera_nmi"] == pytest.approx(1)


def test_labels_of_other_images_are_refused() -> None:
    features, labels = as_float32(np.eye(4)), np.array([0, 0, 1, 1])
    with pytest.raises(InputError, match=r"expected 4, an image each, found 3"):
        label_free(features, labels, labels, labels, labels[:3])


def test_clusters_that_ignore_cameras_have_little_in_common_with_them() -> None:
    rng = np.random.default_rng(1)
    features, cameras = as_float32(rng.normal(size=(900, 4))), rng.integers(0, 5, 900)
    assert abs(label_free(features, rng.integers(0, 80, 900), cameras, cameras, None)["camera_nmi"]) < 0.02


def test_what_goes_wrong_is_said_and_what_is_well_is_not() -> None:
    well = {"variance": 0.6, "stability": 0.7, "camera_nmi": 0.1, "consistency": 0.6}
    labels = np.arange(100) % 10
    assert not list(alarms(labels, well))
    for key, value, words in (
        ("variance", 0.001, "about to collapse"),
        ("stability", 1.0, "those of the round before"),
        ("camera_nmi", 0.6, "follow the cameras"),
        ("consistency", 0.1, "clustered again"),
    ):
        (line,) = alarms(labels, well | {key: value})
        assert words in line
    (line,) = alarms(np.where(labels < 6, 0, labels), well)
    assert line.startswith("one cluster holds 60% of the images")
    (line,) = alarms(np.where(labels < 6, -1, labels), well)
    assert line.startswith("60% of the images are outliers")


def test_labels_that_are_all_outliers_are_told_as_that() -> None:
    (line,) = alarms(np.full(5, -1), {})
    assert line.startswith("100% of the images are outliers")
