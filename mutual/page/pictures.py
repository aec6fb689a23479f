"""Small pictures for the page, each once in it, as many as there is room for."""

import io
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from PIL import Image

from mutual.base.progress import Progress
from mutual.base.threads import threads

BATCH = 256  # pictures that wait at a time
HEIGHT = 128  # pixels at most
QUALITY = 75
METHOD = 4  # libwebp's own choice of its efforts 0 .. 6


def thumbnail(image: np.ndarray) -> Image.Image:
    """An (H, W, 3) uint8 image, at most 128 pixels high."""
    height, width = image.shape[:2]
    picture = Image.fromarray(np.array(image))
    if height <= HEIGHT:
        return picture
    return picture.resize((max(1, round(width * HEIGHT / height)), HEIGHT), Image.Resampling.BOX)


def encoded(image: np.ndarray) -> str:
    """The thumbnail as WebP in base64."""
    file = io.BytesIO()
    thumbnail(image).save(file, "WEBP", quality=QUALITY, method=METHOD)
    return b64encode(file.getvalue()).decode("ascii")


class Album:
    """Images that the page shows, in the order in which they were asked for, the most important first."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, int], int] = {}

    def add(self, split: str, row: int) -> int:
        """The number of an image, the same whenever it is asked for."""
        return self.places.setdefault((split, int(row)), len(self.places))

    def pictures(self, images: Mapping[str, np.ndarray], room: int) -> list[str]:
        """A picture an image, base64; empty from the first on for which ``room`` bytes are not enough.

        ``images`` are the packed splits, (N, H, W, 3) uint8.
        """
        found: list[str] = []
        places = Progress(list(self.places), desc="pictures", unit="picture")
        with ThreadPoolExecutor(threads()) as pool:  # Pillow lets go of Python's lock while it encodes
            for batch in batched(places, BATCH):
                wanted = [images[split][row] for split, row in batch]
                for picture in pool.map(encoded, wanted) if room > 0 else [""] * len(wanted):
                    room -= len(picture) + len('"",')
                    found.append(picture if room >= 0 else "")
        return found


def batched(places: Iterable[tuple[str, int]], size: int) -> Iterator[list[tuple[str, int]]]:
    """So many at a time, the last fewer."""
    rest = iter(places)
    while batch := list(islice(rest, size)):
        yield batch
