"""Which pictures lie below a folder, and a fingerprint by which a change of them is seen."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mutual.base.errors import InputError
from mutual.datasets.fingerprint import fingerprint
from mutual.datasets.folders import content, sentences, shown

INDEX_FOLDER = ".mutual-search"  # in a gallery: what a search keeps of it; hidden, so that it is no part of the images


@dataclass(frozen=True)
class Listing:
    """The images at any depth below a folder."""

    folder: Path
    files: list[str]  # posix paths below the folder, sorted
    remarks: list[str]  # what else lies there, a line for each reason why it is no image
    fingerprint: str  # of names, sizes and times of the images: sha256


def listed(folder: Path) -> Listing:
    """What lies below ``folder``. Raises :class:`InputError` where it is none, or holds no image."""
    if not folder.is_dir():
        raise InputError(f"{shown(folder)}: expected a folder, found {'a file' if folder.exists() else 'nothing'}")
    found = content(folder, ".")
    left_out = {
        reason: [path.removeprefix("./") for path in paths if not path.endswith(f"/{INDEX_FOLDER}/")]
        for reason, paths in found.left_out.items()
    }
    remarks = [f"left out: {sentence}" for sentence in sentences(left_out)]
    if not found.images:
        raise InputError("; ".join([f"{shown(folder)}: holds no image", *remarks]))
    files = [path.removeprefix("./") for path in found.images]
    return Listing(folder, files, remarks, fingerprint(folder, files))


def fingerprint_of(path: Path) -> str:
    """Of one file's content: sha256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
