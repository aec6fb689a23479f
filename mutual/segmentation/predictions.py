"""What a network makes of whole pictures, and the labels that are kept of it."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import torch

from mutual.base.store import ask_room, read_array, written_beside
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.form import Form, batch_of, logits_of
from mutual.segmentation.iou import IGNORED
from mutual.segmentation.ragged import Pictures
from mutual.segmentation.thresholds import class_thresholds, kept_labels

PIXELS_AT_ONCE = {"cpu": 2**17, "cuda": 2**21}


@torch.inference_mode()
def predicted(
    network: DeepLab, form: Form, pictures: Pictures, rows: Sequence[int], padded: Sequence[int], device: torch.device
) -> Iterator[torch.Tensor]:
    """(C, H, W) float32 probabilities of each of these pictures, on the device, in order.

    A picture smaller than ``padded`` is black below and to the right of it, as far as that.
    """
    for (height, width), same in groupby(rows, key=lambda row: _padded(pictures, row, padded)):
        waiting = list(same)
        step = max(1, PIXELS_AT_ONCE[device.type] // (height * width))
        for start in range(0, len(waiting), step):
            part = waiting[start : start + step]
            images = batch_of([pictures.image(row) for row in part], height, width, form.seen, device)
            for row, map_ in zip(part, logits_of(network, images, form.precision).softmax(1), strict=True):
                yield map_[:, : pictures.heights[row], : pictures.widths[row]]


def _padded(pictures: Pictures, row: int, padded: Sequence[int]) -> tuple[int, int]:
    return max(int(pictures.heights[row]), padded[0]), max(int(pictures.widths[row]), padded[1])


def label_pictures(
    folder: Path,
    network: DeepLab,
    form: Form,
    pictures: Pictures,
    rows: np.ndarray,
    padded: Sequence[int],
    share: float,
    sampled: int,
    together: bool,
    device: torch.device,
) -> None:
    """Write ``labels.npy``, uint8 with 255 for what is not kept, and ``confidences.npy``, float32, of all pixels.

    A few pictures are in memory at a time. ``share``, ``sampled`` (each so many pixels are looked at) and ``together``:
    :func:`mutual.segmentation.thresholds.class_thresholds`.
    """
    shapes = [(int(pictures.heights[row]), int(pictures.widths[row])) for row in rows]
    total = sum(height * width for height, width in shapes)
    ask_room(folder, 5 * total)
    with written_beside(folder / "labels.npy") as first, written_beside(folder / "confidences.npy") as second:
        labels = np.lib.format.open_memmap(first, "w+", np.uint8, (total,))
        sure = np.lib.format.open_memmap(second, "w+", np.float32, (total,))
        ends = np.cumsum([0, *(height * width for height, width in shapes)])
        parts = [slice(start, end) for start, end in pairwise(ends.tolist())]
        for part, map_ in zip(parts, predicted(network, form, pictures, rows.tolist(), padded, device), strict=True):
            confidences, named = map_.max(0)
            labels[part] = named.to(torch.uint8).cpu().numpy().reshape(-1)
            sure[part] = confidences.float().cpu().numpy().reshape(-1)
        maps = partial(_maps, labels, sure, parts)
        thresholds = class_thresholds(maps, form.classes, share, sampled, together=together)
        for part in parts:
            labels[part] = kept_labels(labels[part], sure[part], thresholds)
        labels.flush()
        sure.flush()
        del maps, labels, sure  # Windows renames no file that is mapped


def _maps(labels: np.ndarray, sure: np.ndarray, parts: Sequence[slice]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((labels[part], sure[part]) for part in parts)


class PseudoLabels:
    """What :func:`label_pictures` wrote of these rows of the pictures, memory-mapped."""

    def __init__(self, folder: Path, pictures: Pictures, rows: np.ndarray) -> None:
        sizes = pictures.heights[rows] * pictures.widths[rows]
        ends, total = np.cumsum(sizes), int(sizes.sum())
        self._starts = dict(zip(rows.tolist(), (ends - sizes).tolist(), strict=True))
        self._labels = read_array(folder / "labels.npy", dtype=np.uint8, shape=(total,))
        self._sure = read_array(folder / "confidences.npy", dtype=np.float32, shape=(total,))
        self._pictures = pictures

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) uint8 labels of a picture, 255 where none is kept, and (H, W) float32 confidences."""
        shape = int(self._pictures.heights[row]), int(self._pictures.widths[row])
        part = slice(self._starts[row], self._starts[row] + shape[0] * shape[1])
        return self._labels[part].reshape(shape), self._sure[part].reshape(shape)

    def used(self) -> int:
        """Pixels that have a label."""
        return int(np.count_nonzero(self._labels != IGNORED))
