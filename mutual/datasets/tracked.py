"""What DVC sees of a data set: a stage must read nothing else, or changes would go unnoticed."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from mutual.datasets.folders import shown


def unseen(root: Path, folders: Collection[str], key: str) -> Iterator[str]:
    """Yield a line for each thing of a data set that DVC cannot hash or does not look at.

    ``root`` is as the parameter ``key`` has it, ``folders`` are those below it whose images are read, or ``.`` for all
    of it. DVC follows a root that is a link, links above it, and links to single files. It does not see

    - a root with ``~``, which it does not expand;
    - a relative root outside the project, in the temporary copies of the project that experiments run in;
    - what is behind a linked folder within ``folders``, at any depth: the hash of a folder is made without it;
    - a folder with a name in it that is not UTF-8: DVC ends in the middle of hashing, without naming the file.
    """
    if root.parts[:1] and root.parts[0].startswith("~"):
        yield f"{key}: {root}: DVC does not expand ~: expected an absolute path ({os.path.expanduser(root)})"
        return
    if os.path.normpath(root).split(os.sep)[0] == os.pardir:
        way_out = f"expected an absolute path ({os.path.normpath(root.absolute())})"
        yield f"{key}: {root} leaves the project, whose temporary copies then do not find it: {way_out}"
    for place, below, files in os.walk(root):
        below.sort()  # the first fault is the same one everywhere
        for path in [Path(place, name) for name in [*below, *sorted(files)]]:
            if not _is_utf8(path.name):
                yield f"{shown(path)}: the name is not UTF-8 and DVC cannot hash it: rename it, or move it away"
        for path in [Path(place, name) for name in below]:
            parts = path.relative_to(root).parts
            read = parts[0] in folders or os.curdir in folders
            if read and path.is_symlink() and not any(part.startswith(".") for part in parts):
                way_out = f"let {key} name the real data set, {root} be the only link, or the files be linked (cp -rs)"
                yield f"{shown(path)}: a linked folder, behind which DVC sees no change: {way_out}"


def absent(path: Path, key: str) -> Iterator[str]:
    """Yield a line where nothing lies at the path of the parameter ``key`` and DVC does not know where to get it.

    DVC itself ends with the system's words only. What it tracks, alone or in a folder, may be out of the workspace.
    """
    tracked = any(folder.with_name(f"{folder.name}.dvc").exists() for folder in [path, *path.parents] if folder.name)
    if not path.exists() and not tracked:
        yield f"{key}: {shown(path)}: not found"


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
