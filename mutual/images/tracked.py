"""What DVC sees of a data set: a stage must read nothing else, or changes would go unnoticed."""

import os
from collections.abc import Collection
from pathlib import Path

from mutual.base.errors import InputError
from mutual.images.folders import shown


def check_tracked(root: Path, folders: Collection[str], key: str) -> None:
    """Refuse what DVC cannot hash of the data set at ``root``, or does not look at.

    ``folders`` are those below the root whose images are read, ``key`` names the parameter that holds the root. DVC
    follows a root that is a link, links above it, and links to single files. Raises :class:`InputError` for

    - a relative root outside the project, which DVC's temporary copies of the project do not reach;
    - a linked folder within ``folders``, at any depth: DVC hashes a folder without what is behind such links;
    - a name that is not UTF-8, anywhere below the root: DVC ends in the middle of hashing it.
    """
    if os.path.normpath(root).split(os.sep)[0] == os.pardir:
        whole = os.path.normpath(root.absolute())
        way_out = f"expected an absolute path ({whole}): temporary and queued experiments run in another folder"
        raise InputError(f"{key}: {root} leaves the project: {way_out}")
    for place, below, files in os.walk(root):
        below.sort()  # the first fault is the same one everywhere
        for name in [*below, *sorted(files)]:
            path = Path(place, name)
            if not _is_utf8(name):
                raise InputError(
                    f"{shown(path)}: the name is not UTF-8 and DVC cannot hash it: rename it, or move it away"
                )
        for name in below:
            path = Path(place, name)
            parts = path.relative_to(root).parts
            if path.is_symlink() and parts[0] in folders and not any(part.startswith(".") for part in parts):
                way_out = f"let {key} name the real data set, {root} be the only link, or the files be linked (cp -rs)"
                raise InputError(f"{shown(path)}: a linked folder, behind which DVC sees no change: {way_out}")


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
