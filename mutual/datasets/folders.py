"""What lies below a folder of a data set: its images, and all else with the reason why it is left out."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mutual.base.errors import InputError

# Pillow's formats of still raster pictures: neither documents nor drawings (PDF, EPS, WMF), films, icons, textures of
# games, nor containers of science (FITS, HDF5) whose values are no brightness
FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "SUN", "TGA", "TIFF",
    "WEBP",
)  # fmt: skip
HIDDEN = "hidden"
OTHER = "of no image format that is read here"


@dataclass(frozen=True)
class Content:
    """What was found below one folder of a data set; posix paths below the data set's root, in sorted order."""

    images: list[str]
    left_out: dict[str, list[str]]  # reason -> files, a hidden folder as one entry with a slash at its end


def formats() -> list[str]:
    """Those of the formats above that this Pillow can open; MPO, several JPEGs in one, comes with JPEG."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def suffixes() -> frozenset[str]:
    """The suffixes, lower case with their dot, of the formats above that this Pillow has a decoder for."""
    Image.init()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


def content(root: Path, folder: str) -> Content:
    """The images at any depth below ``root / folder``, linked files and folders included; ``""`` is the root itself.

    An image is known by its suffix, in either case. Raises :class:`InputError` for a link that leads in a circle.
    """
    known = suffixes()
    images: list[str] = []
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        for entry in os.scandir(root / place):
            path = f"{place}/{entry.name}" if place else entry.name
            if entry.name.startswith("."):  # .DS_Store, ._0002_c1.jpg, .ipynb_checkpoints/
                left_out[HIDDEN].append(path + "/" * entry.is_dir())
            elif entry.is_dir():
                _check_circle(root, place, entry)
                waiting.append(path)
            elif os.path.splitext(entry.name)[1].lower() in known:
                images.append(path)
            else:  # Thumbs.db, readme.txt
                left_out[OTHER].append(path)
    return Content(sorted(images), {reason: sorted(files) for reason, files in sorted(left_out.items())})


def _check_circle(root: Path, place: str, entry: os.DirEntry[str]) -> None:
    """Without this check a link to a folder above it would repeat every image some forty times."""
    if entry.is_symlink() and Path(os.path.realpath(root / place)).is_relative_to(os.path.realpath(entry.path)):
        raise InputError(f"{entry.path}: a link to a folder that holds the link itself")


def shown(path: str | Path) -> str:
    """A path as it can be printed in one line: bytes that are not UTF-8 and line breaks as escapes."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def sentences(left_out: dict[str, list[str]]) -> list[str]:
    """``3 hidden (query/.DS_Store and 2 more)`` for each reason that there is."""
    return [
        f"{len(files):,} {reason} ({shown(files[0])}{f' and {len(files) - 1:,} more' if len(files) > 1 else ''})"
        for reason, files in left_out.items()
        if files
    ]
