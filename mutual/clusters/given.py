"""True identities in place of clusters, some of them wrong on purpose: for studies of what wrong labels do."""

from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.base.params import GIVEN
from mutual.images.index import UNKNOWN, read_index, relabel
from mutual.machine.streams import numpy_stream
from mutual.noise.corruption import other_labels, replaced


def labels_in_place(path: Path, clustering: str, noise: float, seed: int) -> np.ndarray | None:
    """(N,) int64 classes 0 .. C - 1 of the images of an index; of each identity the share ``noise`` has another's.

    Which are wrong is a function of the seed, the same in all rounds. None with a ``clustering`` that finds its own:
    then no pid is read. Raises :class:`InputError` for images whose identity is not known, or that are all of one.
    """
    if clustering != GIVEN:
        return None
    pids = read_index(path).pid
    if (unknown := int((pids == UNKNOWN).sum())) or len(np.unique(pids)) < 2:
        found = f"{unknown} of {len(pids)} images without one" if unknown else "one identity"
        raise InputError(f"{path}: clustering: labels expects the identities of all images, found {found}")
    labels, stream = relabel(pids), numpy_stream(seed, "label noise")
    return replaced(labels, other_labels(labels, stream), noise, stream)
