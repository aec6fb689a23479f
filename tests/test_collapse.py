"""Features and clusters that cannot teach anything."""

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.clusters.collapse import check_clusters, check_features


def cloud(count: int = 50, width: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_features_that_are_no_numbers_or_beyond_them(value: float) -> None:
    features = cloud()
    features[20, 3] = features[21, 1] = value
    with pytest.raises(InputError, match=r"^features: expected finite numbers, got NaN or infinity in 2 of 50 images"):
        check_features(features, "features")


def test_features_of_nothing() -> None:
    features = cloud()
    features[[3, 4, 49]] = 0
    with pytest.raises(InputError, match=r"^features of the source: 3 of 50 images have zeros alone"):
        check_features(features, "features of the source")


@pytest.mark.parametrize("shift", [1.0, 1e-3, 1e4])
def test_what_differs_by_rounding_alone_is_the_same(shift: float) -> None:
    same = np.full((40, 64), shift, np.float32)
    with pytest.raises(InputError, match=r"^features: those of all 40 images are the same: the network has collapsed"):
        check_features(same * (1 + 1e-7 * cloud(40, 64)), "features")
    check_features(same * (1 + 1e-2 * cloud(40, 64)), "features")  # a weak network, not a dead one


def test_one_image_that_differs_is_enough() -> None:
    features = np.ones((40, 8), np.float32)
    features[7, 2] = 1.5
    check_features(features, "features", 2)


def test_fewer_images_than_clusters() -> None:
    with pytest.raises(InputError, match=r"^clusters: 51 clusters need as many images, .* has 50$"):
        check_features(cloud(), "features", 51)


def test_fewer_different_images_than_clusters() -> None:
    features = np.repeat(cloud(5), 10, axis=0)
    check_features(features, "features", 5)
    with pytest.raises(InputError, match=r"^clusters: 6 clusters .* that differ, the features of 50 images are 5 diff"):
        check_features(features, "features", 6)


def test_clusters() -> None:
    check_clusters(np.array([0, -1, 1]), "clusters: of 2")
    for labels, told in (([0, 0, -1], "1 cluster.s. and 1 outliers"), ([-1, -1, -1], "0 cluster.s. and 3 outliers")):
        with pytest.raises(
            InputError, match=rf"^dbscan_eps: at 0.5 the 3 images make {told}: expected several clusters"
        ):
            check_clusters(np.array(labels), "dbscan_eps: at 0.5")
