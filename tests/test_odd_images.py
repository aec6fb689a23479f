"""Odd and damaged pictures: each becomes one row, or one line that names the file; nothing else."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mutual.base.errors import InputError
from mutual.datasets.packing import decode

HEIGHT, WIDTH = 40, 20
RED = (250, 0, 0)


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def outcome(path: Path, data: bytes) -> np.ndarray | str:
    """The row of a file with these bytes, (H, W, 3) uint8, or what is said of it, one line."""
    path.write_bytes(data)
    try:
        (row,) = decode([str(path)], HEIGHT, WIDTH)
    except InputError as error:
        message = str(error)
    else:
        assert row.shape == (HEIGHT, WIDTH, 3)
        assert row.dtype == np.uint8
        return np.asarray(row)
    assert message.startswith(f"{path}: cannot be read as an image: ")
    assert "\n" not in message
    return message


def plain(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (20, 40), colour)  # type: ignore[arg-type]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG of 8-bit RGB that says it has this size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


MOVING = {"save_all": True, "append_images": [plain("RGB", (0, 250, 0))]}


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        *((encoded(plain("RGB", RED), name, **MOVING), RED) for name in ("GIF", "PNG", "TIFF")),  # the first frame
        *((encoded(Image.new("RGB", size, RED), "PNG"), RED) for size in ((1, 1), (1, 5000), (5000, 1))),
        (encoded(plain("RGB", (200, 40, 40)).convert("CMYK"), "JPEG"), (200, 40, 40)),
        (encoded(plain("LA", (120, 0)), "PNG"), (120, 120, 120)),
        (encoded(plain("RGBA", (*RED, 0)), "PNG"), RED),
        (encoded(plain("1", 1), "PNG"), (255, 255, 255)),
        (encoded(plain("L", 77), "JPEG"), (77, 77, 77)),
        (b"P6 20 40 255\n" + bytes(RED) * 800, RED),
        (encoded(plain("RGB", RED), "PNG") + b"trailing", RED),
    ],
)
def test_odd_pictures_keep_their_colour(tmp_path: Path, data: bytes, colour: tuple[int, int, int]) -> None:
    row = outcome(tmp_path / "0001_c1.jpg", data)
    assert isinstance(row, np.ndarray), row
    assert np.abs(row.astype(int) - colour).max() <= 6


@pytest.mark.parametrize(
    "data",
    [
        png(0, 0),
        png(0, 5),
        png(20, 40),
        png(30000, 30000),
        b"P6 1000000000 4 255\n",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 5, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        b"%PDF-1.4\n",
        b"8BPS\0\x01" + bytes(40),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        bytes(5000),
        b"",
    ],
)
def test_no_pictures_are_refused(tmp_path: Path, data: bytes) -> None:
    assert isinstance(outcome(tmp_path / "0001_c1.jpg", data), str)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA", "QOI"])
def test_damaged_pictures_become_a_row_or_a_line(tmp_path: Path, name: str, seed: int) -> None:
    Image.init()
    if name not in Image.SAVE:
        pytest.skip("no such encoder here")
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 2, 3), dtype=np.uint8))
    whole = encoded(coarse.resize((20, 40), Image.Resampling.BICUBIC), name)
    assert isinstance(outcome(tmp_path / "whole.jpg", whole), np.ndarray)
    for _ in range(10):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        outcome(tmp_path / "changed.jpg", bytes(damaged))
        outcome(tmp_path / "cut.jpg", whole[: rng.integers(0, len(whole))])


def test_a_cut_jpeg_and_png_are_never_half_a_picture(tmp_path: Path) -> None:
    for name in ("JPEG", "PNG"):
        whole = encoded(Image.effect_noise((20, 40), 90).convert("RGB"), name)
        for share in range(10):
            assert isinstance(outcome(tmp_path / "cut.jpg", whole[: len(whole) * share // 10]), str), (name, share)
