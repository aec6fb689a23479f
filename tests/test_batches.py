"""Batches of views, and whose labels come with them."""

import numpy as np
import torch

from mutual.images.views import normalise
from mutual.learning.batches import labelled_views, unlabelled_views
from mutual.machine.device import CPU


def test_outliers_are_never_drawn_and_labels_are_those_of_the_images() -> None:
    labels = np.array([-1, 0, 0, -1, 1, 1, -1])
    images = np.zeros((7, 32, 16, 3), np.uint8)
    images[:] = np.arange(7)[:, None, None, None]  # an image is known by its brightness
    streams = [np.random.default_rng(seed) for seed in range(3)]
    drawn = labelled_views(
        images, labels, np.zeros(7, np.int64), streams[0], streams[1:], batch_size=4, instances=2, padding=0, device=CPU
    )
    for _ in range(3):
        targets, views = next(drawn)
        assert sorted(targets.tolist()) == [0, 0, 1, 1]
        for view in views:
            shown = [
                int(torch.argmin((normalise(torch.from_numpy(images)) - one).square().sum((1, 2, 3)))) for one in view
            ]
            assert sorted(shown) == [1, 2, 4, 5]
            assert labels[shown].tolist() == targets.tolist()


def test_unlabelled_images_come_once_a_pass() -> None:
    images = np.zeros((6, 8, 4, 3), np.uint8)
    images[:] = 40 * np.arange(6)[:, None, None, None]
    streams = [np.random.default_rng(seed) for seed in range(2)]
    drawn = unlabelled_views(images, *streams, batch_size=3, padding=0, device=CPU)
    for _ in range(2):
        views = torch.cat([next(drawn), next(drawn)])
        shown = [
            int(torch.argmin((normalise(torch.from_numpy(images)) - one).square().sum((1, 2, 3)))) for one in views
        ]
        assert sorted(shown) == list(range(6))
