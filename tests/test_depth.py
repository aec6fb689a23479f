"""Deep grey pictures keep their grey levels or are refused; colours of 16 bits likewise."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mutual.base.errors import InputError
from mutual.datasets.packing import decode

HEIGHT, WIDTH = 40, 20


def packed(tmp_path: Path, values: np.ndarray, suffix: str = ".tif") -> np.ndarray:
    """The grey levels (H, W) of a picture that is stored with these values; its size is kept."""
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(values).save(path)
    (row,) = decode([str(path)], *values.shape)
    assert row.dtype == np.uint8
    np.testing.assert_array_equal(row[..., 0], row[..., 1])
    np.testing.assert_array_equal(row[..., 0], row[..., 2])
    return np.asarray(row[..., 0])


def ramp(white: float, dtype: type) -> np.ndarray:
    """Every value up to white (a thousand of them at the most), black first, (40, 25)."""
    return np.linspace(0, white, 1000).reshape(40, 25).astype(dtype)


@pytest.mark.parametrize(
    ("value", "dtype", "grey"),
    [
        (200, np.uint16, 200),  # 8 bits, stored wider
        (200, np.int32, 200),
        (255, np.int32, 255),
        (256, np.uint16, 64),  # of 10 bits, whose white is 1,023: 256 * 255 / 1023 = 63.8
        (4095, np.uint16, 255),  # the white of 12 bits
        (2048, np.uint16, 128),  # 2048 * 255 / 4095 = 127.5; NumPy rounds to even
        (51400, np.uint16, 200),  # 200 * 257
        (65535, np.uint16, 255),
        (2**17, np.int32, 128),  # of 18 bits: 131072 * 255 / 262143 = 127.5
        (0.78, np.float32, 199),  # 198.9
        (1.0, np.float32, 255),
        (200.0, np.float32, 200),
        (0.0, np.float32, 0),
        (51400.0, np.float32, 200),
    ],
)
def test_worked_examples(tmp_path: Path, value: float, dtype: type, grey: int) -> None:
    assert np.unique(packed(tmp_path, np.full((HEIGHT, WIDTH), value, dtype))).tolist() == [grey]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_ramp_keeps_every_grey_level_whatever_its_depth(tmp_path: Path, bits: int, suffix: str) -> None:
    white = 2**bits - 1
    grey = packed(tmp_path, ramp(white, np.uint16), suffix)
    expected = np.rint(ramp(white, np.uint16).astype(np.int64) * 255 / white)
    assert np.abs(grey - expected).max() <= 1
    assert len(np.unique(grey)) > 250
    assert (np.diff(grey.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize("white", [1.0, 255.0, 4095.0])
def test_a_ramp_of_floats(tmp_path: Path, white: float) -> None:
    assert len(np.unique(packed(tmp_path, ramp(white, np.float32)))) == 256


def test_big_endian_values(tmp_path: Path) -> None:
    little, big = (packed(tmp_path, ramp(4095, np.uint16).astype(kind)) for kind in ("<u2", ">u2"))
    np.testing.assert_array_equal(little, big)


def test_a_dark_picture_of_8_bits_stays_dark(tmp_path: Path) -> None:
    dark = ramp(12, np.int32)
    np.testing.assert_array_equal(packed(tmp_path, dark), dark)


def holding(value: float) -> np.ndarray:
    picture = ramp(1, np.float32)
    picture[3, 3] = value
    return picture


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (holding(np.nan), "it holds values that are no numbers"),
        (holding(np.inf), "it holds values that are no numbers"),
        (holding(-0.5), "its values go from -0.5 to 1, and what is black is not known"),
        (ramp(4095, np.int32) - 9, "its values go from -9 to 4086, and what is black is not known"),
        # hundredths of a kelvin: ten degrees of 16 bits
        (
            ramp(1000, np.uint16) + np.uint16(29000),
            "of 1,000 values from 29000 to 30000 only 5 grey levels would be left",
        ),
        (ramp(12.5, np.float32), "of 1,000 values from 0 to 12.5 only 13 grey levels would be left"),  # metres
        (holding(1.02), "of 1,000 values from 0 to 1.02 only 2 grey levels would be left"),
        (
            np.append(ramp(4095, np.uint16)[:-1], np.full((1, 25), 65535, np.uint16), 0),
            "only 18 grey levels would be left",
        ),
    ],
)
def test_what_would_be_destroyed_is_refused(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    Image.fromarray(values).save(tmp_path / "deep.tif")
    with pytest.raises(InputError) as caught:
        decode([str(tmp_path / "deep.tif")], HEIGHT, WIDTH)
    assert str(caught.value).startswith(f"{tmp_path / 'deep.tif'}: cannot be read as an image: ")
    assert reason in str(caught.value)
    assert "save it as 8-bit grey" in str(caught.value)


def png16(path: Path, colours: np.ndarray) -> None:
    """A PNG of 16-bit colours (H, W, 3), which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = colours.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in colours)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colours_are_read_and_twelve_bit_ones_refused(tmp_path: Path) -> None:
    png16(tmp_path / "a.png", np.full((HEIGHT, WIDTH, 3), (51400, 257, 65535)))
    (row,) = decode([str(tmp_path / "a.png")], HEIGHT, WIDTH)
    assert np.unique(row.reshape(-1, 3), axis=0).tolist() == [[200, 1, 255]]
    png16(tmp_path / "b.png", np.full((HEIGHT, WIDTH, 3), (4095, 257, 2000)))
    with pytest.raises(InputError, match=r"b.png: .*: no 16-bit colour is above 4,095, and the upper 8 bits alone are"):
        decode([str(tmp_path / "b.png")], HEIGHT, WIDTH)


def test_five_and_six_bits_a_colour_are_not_sixteen(tmp_path: Path) -> None:
    """A BMP of 16 bits a pixel, dark: read as it is."""
    pixels = np.full((HEIGHT, WIDTH), 4 << 10 | 4 << 5 | 4, "<u2").tobytes()  # 4 of 31 in each colour
    head = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 16, 0, len(pixels), 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + head + pixels)
    (row,) = decode([str(tmp_path / "a.bmp")], HEIGHT, WIDTH)
    assert np.unique(row).tolist() == [4 * 255 // 31]
