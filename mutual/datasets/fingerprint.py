"""By what a change of a folder's images is seen without reading them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mutual.base.progress import Progress


def fingerprint(folder: Path, files: Sequence[str]) -> str:
    """sha256 of the names, sizes and times of ``files`` below ``folder``: no image is opened."""
    digest = hashlib.sha256()
    for name in Progress(files, desc="listing", unit="img"):
        try:
            found = os.stat(folder / name)
            state = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:  # a link to nothing: that it cannot be read is said where it is opened
            state = "-"
        digest.update(os.fsencode(name) + f"\0{state}\0".encode())
    return digest.hexdigest()
