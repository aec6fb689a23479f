"""MSMT17's lists: a line names an image and the person on it."""

import re
from pathlib import Path, PurePosixPath

from mutual.base.errors import InputError

NAME = re.compile(r"[0-9]{1,18}_[0-9]+_([0-9]{1,9})(?![0-9])")


def read_list(root: Path, list_name: str, folder: str, expected: str) -> list[tuple[str, int, int]]:
    """(file, pid, camid) of each line ``path pid`` of a list, whose paths count from ``folder``.

    The camera comes from the image's name; ``expected`` describes such names. Lists made on Windows are read: with
    ``\\`` in paths, a byte order mark and its ends of lines. Raises :class:`InputError` naming the line.
    """
    rows = []
    for number, line in enumerate(_lines(root / list_name), start=1):
        path, pid = [*line.rsplit(maxsplit=1), "", ""][:2]
        path = path.replace("\\", "/")
        match = NAME.match(path.rpartition("/")[2])
        where = f"{root / list_name}: line {number}"
        if match is None or re.fullmatch("[0-9]{1,18}", pid) is None:
            raise InputError(f"{where}: expected `path pid` with the path's last part {expected}")
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise InputError(f"{where}: expected a path below {folder}, got {path}")
        if not (root / folder / path).is_file():
            raise InputError(f"{root / folder / path}: not found, but line {number} of {list_name} has it")
        # ./0000/0000_000_01.jpg is the same image as 0000/0000_000_01.jpg
        rows.append((f"{folder}/{PurePosixPath(path)}", int(pid), int(match[1])))
    return rows


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a text file in UTF-8 with lines `path pid`") from None
    return text.split("\n") if text else []  # not splitlines(): a name may hold what Unicode counts as an end of a line
