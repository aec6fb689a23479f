"""The packed form of a split: its images decoded and resized once, into one uint8 array."""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.base.stopping import Stop, stop_asked
from mutual.base.store import named, written_beside
from mutual.datasets.depth import check_colours, is_deep, resized_to_8_bits
from mutual.datasets.folders import formats, shown
from mutual.datasets.half_packed import HalfPacked
from mutual.machine.processes import in_order

# 1 GiB as Pillow holds it, a second one while the image is turned or converted: above the 200 megapixels of telephones
MAX_PIXELS = 2**28
CHUNK = 64  # images that a process holds at a time: 6 MB at 256 x 128
CHUNKS_WORTH_A_PROCESS = 8  # below, decoding is over sooner than a process has started


def pack(
    root: Path,
    files: Sequence[str],
    path: Path,
    height: int,
    width: int,
    workers: int,
    label: str,
    seconds: float = 0,
) -> None:
    """Decode and resize ``files`` (paths below ``root``) into ``path``: (N, height, width, 3) uint8 RGB, ``.npy``.

    Memory does not grow with N, and the bytes do not depend on ``workers``. ``label`` names the progress bar. Raises
    :class:`InputError` for the first image in order that cannot be read; ``path`` is then left as it was.

    With ``seconds`` between two notes of how far it is, ``path`` is written where it lies, and the next run goes on
    from there: the caller's name for it says what it is made of. Raises :class:`mutual.base.errors.Stopped` where a
    signal asked to stop.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), height, width, 3)}
    half = HalfPacked(path, height * width * 3, seconds, label) if seconds else None
    done = half.rows() if half else 0
    with (
        nullcontext(path) if half else written_beside(path) as place,
        Progress(total=len(files), initial=done, desc=label, unit="img") as bar,
        stop_asked() if half else nullcontext(Stop()) as stop,
    ):
        with open(place, "r+b" if done else "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            first_row = file.tell()
        jobs = []
        for start in range(done, len(files), CHUNK):
            images = [str(root / name) for name in files[start : start + CHUNK]]
            jobs.append(Job(place, first_row + start * height * width * 3, images, height, width))
        try:
            for count in in_order(Job.do, jobs, min(workers, len(jobs) // CHUNKS_WORTH_A_PROCESS), str(root)):
                done += count
                bar.update(count)
                if half:
                    half.between(stop, done)
        except OSError as error:
            named(error, place, place)
            raise
        except InputError:
            if half:  # a signal that ended a process which decoded came here, too
                half.between(stop, done)
            raise
    if half:
        half.whole(done)


@dataclass(frozen=True)
class Job:
    """One chunk: the images and the place in the file that their rows start at."""

    file: Path
    offset: int
    images: list[str]
    height: int
    width: int

    def do(self) -> int:
        """Decode the images into their place; how many they are."""
        rows = decode(self.images, self.height, self.width)
        # a plain write: a full disk is then an OSError, where writing to a memory map would kill the process (SIGBUS)
        with open(self.file, "r+b") as file:
            file.seek(self.offset)
            file.write(rows.data)
        return len(rows)


def decode(paths: Iterable[str], height: int, width: int) -> np.ndarray:
    """The images at ``paths`` as (B, height, width, 3) uint8 RGB.

    Raises :class:`InputError` for the first that cannot be read.
    """
    with quietly():
        return np.stack([_decode_one(path, height, width) for path in paths])


@contextmanager
def quietly() -> Iterator[None]:
    """Odd metadata is of no interest; and Pillow warns above 89 megapixels, which cameras of today have: see below."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _decode_one(path: str, height: int, width: int) -> np.ndarray:
    with opened(path) as image:
        return resized(image, height, width)


@contextmanager
def opened(path: str) -> Iterator[ImageFile.ImageFile]:
    """An image of which the head alone has been read.

    Raises :class:`InputError` where that cannot be read, and where what is done with the image fails.
    """
    try:
        if not os.path.getsize(path):
            raise ValueError("the file is empty")
        with Image.open(path, formats=formats()) as image:
            _check_size(image)
            yield image
        return
    except UnidentifiedImageError:
        reason = "not an image in a known format"
    except Exception as error:  # what a broken file raises depends on the format and on where it is broken
        reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    raise InputError(f"{shown(path)}: cannot be read as an image: {reason}")


def resized(image: ImageFile.ImageFile, height: int, width: int) -> np.ndarray:
    """Upright, (height, width, 3) uint8 RGB, bicubic with antialiasing as in the authors' code."""
    stored = str(image.tile[0][3]) if image.tile else image.mode
    ImageOps.exif_transpose(image, in_place=True)
    if is_deep(image):
        return resized_to_8_bits(image, (width, height))
    check_colours(image, stored)
    # an alpha channel is dropped as in the authors' code; RGB is not converted, which would copy it
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(rgb.resize((width, height), Image.Resampling.BICUBIC))


def _check_size(image: Image.Image) -> None:
    """There is a limit of this project's own."""
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height} pixels are more than the {MAX_PIXELS:,} that are decoded at once"
        raise ValueError(f"{size} (4 bytes each): make it smaller")
