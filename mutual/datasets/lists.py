"""MSMT17's lists: a line names an image and the person on it."""

import os
import posixpath
import re
from pathlib import Path

from mutual.base.errors import InputError

NAME = re.compile(r"[0-9]{1,18}_[0-9]+_([0-9]{1,9})(?![0-9])")


def read_list(root: Path, list_name: str, folder: str, expected: str) -> list[tuple[str, int, int]]:
    """(file, pid, camid) of each line ``path pid`` of a list, whose paths count from ``folder``.

    The camera comes from the image's name; ``expected`` describes such names. Lists made on Windows are read: with
    ``\\`` in paths, a byte order mark and its ends of lines. Raises :class:`InputError` naming the line.
    """
    rows = []
    below = str(root / folder)  # a hundred thousand lines: texts are several times as fast as paths
    for number, line in enumerate(_lines(root / list_name), start=1):
        path, pid = [*line.rsplit(maxsplit=1), "", ""][:2]
        # ./0000/0000_000_01.jpg is the same image as 0000/0000_000_01.jpg
        path = posixpath.normpath(path.replace("\\", "/"))
        match = NAME.match(path.rpartition("/")[2])
        if match is None or re.fullmatch("[0-9]{1,18}", pid) is None:
            where = f"{root / list_name}: line {number}"
            raise InputError(f"{where}: expected `path pid` with the path's last part {expected}")
        if path.startswith(("/", "../")):
            raise InputError(f"{root / list_name}: line {number}: expected a path below {folder}, got {path}")
        if not os.path.isfile(f"{below}/{path}"):
            raise InputError(f"{root / folder / path}: not found, but line {number} of {list_name} has it")
        rows.append((f"{folder}/{path}", int(pid), int(match[1])))
    return rows


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a text file in UTF-8 with lines `path pid`") from None
    return text.split("\n") if text else []  # not splitlines(): a name may hold what Unicode counts as an end of a line
