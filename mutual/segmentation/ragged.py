"""Packed pictures of mixed sizes with their masks: all pixels one after the other, and a table of the sizes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import integers, read_columns, table_of
from mutual.base.errors import InputError
from mutual.base.store import ask_room, read_array, written_beside

COLUMNS = ["file", "height", "width"]
LONGEST = 2**16  # pixels of a side
PIXELS, MASKS, TABLE = "pixels.npy", "masks.npy", "index.csv"


@dataclass(frozen=True)
class Sizes:
    """The table: picture i is file[i], of height[i] x width[i] pixels."""

    file: list[str]
    height: np.ndarray  # (N,) int64
    width: np.ndarray  # (N,) int64

    @property
    def total(self) -> int:
        """Pixels of all pictures."""
        return int((self.height * self.width).sum())


def write_pictures(folder: Path, sizes: Sizes, pictures: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write pixels.npy, masks.npy and index.csv into a folder, picture by picture.

    ``pictures``: of each the (H, W, 3) uint8 pixels and the (H, W) uint8 mask, in the order of ``sizes``; another size
    or number of them is a ValueError, and nothing is written. Raises :class:`InputError` where the disk has no room.
    """
    ask_room(folder, 4 * sizes.total)
    with (
        written_beside(folder / TABLE) as table_path,  # put in place last
        written_beside(folder / MASKS) as masks_path,
        written_beside(folder / PIXELS) as pixels_path,
    ):
        with open(pixels_path, "wb") as pixels, open(masks_path, "wb") as masks:
            for file, shape in ((pixels, (sizes.total, 3)), (masks, (sizes.total,))):
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            shapes = zip(sizes.height.tolist(), sizes.width.tolist(), strict=True)
            for shape, (image, mask) in zip(shapes, pictures, strict=True):
                if image.shape != (*shape, 3) or mask.shape != shape or {image.dtype, mask.dtype} != {np.dtype("u1")}:
                    raise ValueError(f"expected {shape} pixels and mask of uint8, got {image.shape}, {mask.shape}")
                pixels.write(np.ascontiguousarray(image).data)
                masks.write(np.ascontiguousarray(mask).data)
        rows = zip(sizes.file, sizes.height.tolist(), sizes.width.tolist(), strict=True)
        table_path.write_bytes(table_of(COLUMNS, rows))


class Pictures:
    """What :func:`write_pictures` wrote, memory-mapped, read-only.

    Raises :class:`InputError` where a file is missing or something else, or no picture is in it.
    """

    def __init__(self, folder: Path) -> None:
        table = folder / TABLE
        self.files, height, width = read_columns(table, COLUMNS)
        self.heights = integers(table, "height", height, least=1, most=LONGEST)  # (N,) int64
        self.widths = integers(table, "width", width, least=1, most=LONGEST)  # (N,) int64
        if not self.files:
            raise InputError(f"{table}: expected pictures, found none")
        ends = (self.heights * self.widths).cumsum()
        self.offsets = ends - self.heights * self.widths  # (N,) int64, of the first pixel
        self._pixels = read_array(folder / PIXELS, dtype=np.uint8, shape=(int(ends[-1]), 3))
        self._masks = read_array(folder / MASKS, dtype=np.uint8, shape=(int(ends[-1]),))

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of picture ``i``."""
        return self._pixels[self._of(i)].reshape(int(self.heights[i]), int(self.widths[i]), 3)

    def mask(self, i: int) -> np.ndarray:
        """(H, W) uint8 labels of picture ``i``, 255 where a pixel has none."""
        return self._masks[self._of(i)].reshape(int(self.heights[i]), int(self.widths[i]))

    def _of(self, i: int) -> slice:
        start = int(self.offsets[i])
        return slice(start, start + int(self.heights[i] * self.widths[i]))
