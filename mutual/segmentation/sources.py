"""The layouts of sets of pictures with masks: from folders and lists to what is decoded."""

from pathlib import Path
from typing import Literal

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.places import check_folder
from mutual.segmentation.entries import Sources
from mutual.segmentation.iou import IGNORED
from mutual.segmentation.pairs import read_pairs
from mutual.segmentation.published import (
    CITYSCAPES_IDS,
    CITYSCAPES_LAST_ID,
    VOC_CLASSES,
    read_cityscapes,
    read_voc,
)

Layout = Literal["voc2012", "cityscapes", "pairs"]
READERS = {"voc2012": read_voc, "cityscapes": read_cityscapes, "pairs": read_pairs}
CLASSES = {"voc2012": VOC_CLASSES, "cityscapes": tuple(CITYSCAPES_IDS)}  # their names; of one's own nobody knows them
REFUSED = -1


def read_sources(root: Path, layout: Layout) -> Sources:
    """The pictures of the data set at ``root``, each split in the order of its list, or of its paths.

    Raises :class:`InputError` for a folder, list, image or mask that is missing, and where there is no training image.
    """
    check_folder(root)
    found = READERS[layout](root)
    if not found.train:
        raise InputError(f"{root}: no images for train: expected some in the layout {layout}")
    return found


def label_table(layout: Layout, classes: int) -> np.ndarray:
    """(256,) int16: the label of each value of a mask; 255 is left out, and -1 is a value that masks may not have.

    Raises :class:`InputError` where a published set has another number of ``classes``.
    """
    if layout in CLASSES and classes != len(CLASSES[layout]):
        raise InputError(f"classes: expected {len(CLASSES[layout])}, as {layout} has, got {classes}")
    table = np.full(256, REFUSED, np.int16)
    table[IGNORED] = IGNORED
    if layout == "cityscapes":
        table[: CITYSCAPES_LAST_ID + 1] = IGNORED
        table[list(CITYSCAPES_IDS.values())] = np.arange(classes)
    else:
        table[:classes] = np.arange(classes)
    return table
