"""What is known of the images: their identities and cameras, which a target of one's own need not have."""

from collections.abc import Iterable

import numpy as np

from mutual.images.index import UNKNOWN, Index


def pids_known(index: Index) -> bool:
    """Whether every image of a split has a pid, and there is one."""
    return len(index) > 0 and bool((index.pid != UNKNOWN).all())


def cameras_known(splits: Iterable[Index]) -> bool:
    """Whether any two images share a camera: where cameras are unknown, each image has one of its own."""
    camids = np.concatenate([index.camid for index in splits])
    return len(np.unique(camids)) < len(camids)
