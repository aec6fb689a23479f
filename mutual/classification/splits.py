"""Which training images have a label, which do not, and which are kept aside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mutual.base.errors import InputError
from mutual.machine.streams import numpy_stream


@dataclass(frozen=True)
class Parts:
    """Rows of the training images, each int64, ascending; no row is in two of them."""

    labelled: np.ndarray
    unlabelled: np.ndarray
    validation: np.ndarray


def divided(
    labels: np.ndarray, classes: Sequence[str], labels_per_class: int, validation_per_class: int, seed: int
) -> Parts:
    """The three parts of images with (N,) int64 ``labels`` 0 .. C - 1, by shuffles of the ``seed``.

    Of one seed the labelled images of a smaller number are among those of a larger one, and what is kept aside is the
    same. Raises :class:`InputError` for a class that has fewer images, and where no image is left without a label.
    """
    aside = numpy_stream(seed, "images kept for validation").permutation(len(labels))
    order = numpy_stream(seed, "images that have a label").permutation(len(labels))
    needed = labels_per_class + validation_per_class
    named, kept = [], []
    for label, name in enumerate(classes):
        count = int((labels == label).sum())
        if count < needed:
            wanted = f"{labels_per_class} with a label and {validation_per_class} for validation"
            raise InputError(f"class {name}: expected at least {needed} training images, {wanted}, got {count}")
        kept.append(aside[labels[aside] == label][:validation_per_class])
        there = order[labels[order] == label]
        named.append(there[~np.isin(there, kept[-1])][:labels_per_class])
    labelled, validation = np.sort(np.concatenate(named)), np.sort(np.concatenate(kept))
    unlabelled = np.setdiff1d(np.arange(len(labels)), np.concatenate([labelled, validation]))
    if not len(unlabelled):
        taken = f"{len(labelled):,} have a label and {len(validation):,} are for validation"
        raise InputError(f"labels_per_class: expected images without a label, but of {len(labels):,} {taken}")
    return Parts(labelled, unlabelled, validation)
