"""Which images a network is tested on: the target's query and gallery, or a few that somebody labelled later."""

from pathlib import Path

import numpy as np

from mutual.base.errors import InputError, shown
from mutual.datasets.images_csv import read_list
from mutual.datasets.own import numbered
from mutual.images.index import UNKNOWN, Index, matched, read_index, read_split

SPLITS = ("train", "query", "gallery")
Split = tuple[np.ndarray, Index]  # (N, height, width, 3) uint8 images and their index


def query_and_gallery(packed: Path, labels: Path | None) -> dict[str, Split]:
    """Query and gallery of the packed set, which may be empty; with ``labels`` both are the images that it lists."""
    if labels is None:
        return {split: read_split(packed, split) for split in ("query", "gallery")}
    listed = labelled_images(packed, labels)
    return {"query": listed, "gallery": listed}


def labelled_images(packed: Path, labels: Path) -> Split:
    """The images of a packed set that a list ``file,pid,camid`` names, in order of their paths, wherever they lie.

    Each is a query for the others. Raises :class:`InputError` for an image that the set does not have, for one without
    a pid, and where no two images of an identity are of different cameras.
    """
    listed, _ = read_list(labels)
    if listed and not any(row.identity for _, row, _ in listed):
        raise InputError(f"{labels}: expected a column pid (or identity) with one for each image")
    places: dict[str, tuple[str, int]] = {}
    for split in SPLITS:
        places |= {file: (split, row) for row, file in enumerate(read_index(packed / f"{split}.csv").file)}
    for line, row, _ in listed:
        if row.file not in places:
            raise InputError(f"{labels}: line {line}: {shown(row.file)} is no image of the target")
        if not row.identity:
            raise InputError(
                f"{labels}: line {line}: expected a pid of {shown(row.file)}: only what is known is listed"
            )
    index = numbered({"gallery": [row for _, row, _ in listed]}, []).splits["gallery"]
    if not matched(index, index).any():
        raise InputError(f"{labels}: expected two images of a pid, of different cameras at least once")
    stored = {split: read_split(packed, split)[0] for split in SPLITS}
    images = np.stack([stored[split][row] for split, row in (places[file] for file in index.file)])
    return images, index


def known_identities(train: Index, labelled: Index) -> Index:
    """The training images with the pids of the labelled ones among them; nobody else's is known."""
    pids = dict(zip(labelled.file, labelled.pid.tolist(), strict=True))
    return Index(train.file, np.array([pids.get(file, UNKNOWN) for file in train.file], np.int64), train.camid)
