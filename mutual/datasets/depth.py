"""Pictures with more than 8 bits a value, whose files do not say how many of these bits mean something."""

import math
import re

import numpy as np
from PIL import Image

SAMPLE = 512  # places a side that are looked at for the number of levels
FEW = 32  # grey levels; a camera's picture of a person has more, or was dark in the file already


def is_deep(image: Image.Image) -> bool:
    """Whether the picture is grey with 16-bit, 32-bit or floating-point values."""
    return image.mode.startswith(("I", "F"))


def resized_to_8_bits(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """A deep picture resized (bicubic, antialiased) to ``size`` (width, height): (height, width, 3) uint8, grey.

    A value v becomes ``255 v / white``, where white comes from the largest value of this picture: 1 for floats that
    stay below it, else the largest value of as many bits as hold it, an even number of 8 or more. These are the depths
    of sensors (10, 12, 14, 16), so that the pictures of one camera mostly share their white, and 8-bit values that
    were merely stored wider stay what they are. Raises :class:`ValueError` for values that this rule would destroy.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it holds values that are no numbers: save it as 8-bit grey")
    if low < 0:
        raise ValueError(
            f"its values go from {low:g} to {high:g}, and what is black is not known: save it as 8-bit grey"
        )
    scale = 255 / _white(image.mode, high)
    _check_levels(values, scale)
    # resized before it is rounded: a large picture is never held as a second, wider array
    small = np.asarray(image.convert("F").resize(size, Image.Resampling.BICUBIC))
    return np.repeat(_grey(small, scale)[..., None], 3, axis=-1)


def _grey(values: np.ndarray, scale: float) -> np.ndarray:
    return (values.astype(np.float64) * scale).round().clip(0, 255).astype(np.uint8)


def _check_levels(values: np.ndarray, scale: float) -> None:
    """Raise where many values (H, W) become few grey levels: temperatures far from 0, one bright pixel, metres."""
    rows, columns = (length // SAMPLE + 1 for length in values.shape)
    sample = values[::rows, ::columns]
    before, after = len(np.unique(sample)), len(np.unique(_grey(sample, scale)))
    if after < FEW and before >= 4 * after:
        found = f"of {before:,} values from {sample.min():g} to {sample.max():g} only {after} grey levels would be left"
        raise ValueError(f"{found}: save it as 8-bit grey with the contrast that is meant")


def check_colours(image: Image.Image, stored: str) -> None:
    """Of 16-bit colours Pillow gives the high byte alone; ``stored`` is its name of the file's own mode.

    Raises :class:`ValueError` where that byte has 6 bits or fewer: 12-bit colours would be nearly black.
    """
    if not re.search(r"\b(LA|RGB|RGBA|RGBX);16", stored):  # BGR;16 are 5, 6 and 5 bits, which Pillow spreads
        return
    colours = np.asarray(image)[..., : 1 if image.mode == "LA" else 3]
    if colours.max() < 64:
        found = f"no 16-bit colour is above {int(colours.max()) * 256 + 255:,}, and the upper 8 bits alone are read"
        raise ValueError(f"{found}: save it with 8 bits a colour")


def _white(mode: str, high: float) -> float:
    """The value that becomes 255."""
    if mode.startswith("F") and high <= 1:
        return 1.0
    bits = max(8, int(high).bit_length())
    return float(2 ** (bits + bits % 2) - 1)
