"""Pieces of a folder's images, decoded in processes that need no PyTorch; what cannot be read is told, not raised."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mutual.base.errors import InputError
from mutual.datasets.packing import decode

PIECE = 256  # images: a multiple of every batch, so that batches are the same however often a run was stopped


class Fault(NamedTuple):
    """An image that cannot be read."""

    place: int  # in its piece
    reason: str


@dataclass(frozen=True)
class Decoded:
    """What became of the images of a piece."""

    images: np.ndarray  # (B, height, width, 3) uint8, of those that can be read, in their order
    faults: list[Fault]  # of the others


@dataclass(frozen=True)
class Piece:
    """Up to 256 images that one process decodes at a time."""

    folder: Path
    files: list[str]  # below the folder
    height: int
    width: int

    def decode(self) -> Decoded:
        """The images, each resized to the piece's size."""
        rows, faults = [], []
        for place, name in enumerate(self.files):
            path = str(self.folder / name)
            try:
                rows.append(decode([path], self.height, self.width)[0])
            except InputError as error:
                faults.append(Fault(place, str(error).rpartition("cannot be read as an image: ")[2]))
        shape = (0, self.height, self.width, 3)
        return Decoded(np.stack(rows) if rows else np.empty(shape, np.uint8), faults)


def pieces(folder: Path, files: list[str], height: int, width: int) -> list[Piece]:
    """The files in pieces, in their order."""
    return [Piece(folder, files[i : i + PIECE], height, width) for i in range(0, len(files), PIECE)]
