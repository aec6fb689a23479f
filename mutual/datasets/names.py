"""File names that say who is on an image and which camera took it."""

import re
from pathlib import Path

from mutual.base.errors import InputError
from mutual.datasets.folders import shown
from mutual.images.index import DISTRACTOR

JUNK = -1  # market1501: a bad detection, left out
PATTERNS = {
    "market1501": re.compile(r"(-1|[0-9]{1,18})_c([0-9]{1,9})(?![0-9])"),
    "dukemtmc": re.compile(r"([0-9]{1,18})_c([0-9]{1,9})_f[0-9]"),
    "veri776": re.compile(r"([0-9]{1,18})_c([0-9]{1,9})_[0-9]+_[0-9]"),
}
EXPECTED = {
    "market1501": "PID_cCAMERA such as 0002_c1s1_000451_03.jpg",
    "dukemtmc": "PID_cCAMERA_fFRAME such as 0001_c2_f0046182.jpg",
    "veri776": "PID_cCAMERA_TIME_NUMBER such as 0002_c002_00030600_0.jpg",
    "msmt17": "PID_IMAGE_CAMERA such as 0000_000_01_0303morning_0008_0.jpg",
}


def read_name(root: Path, path: str, layout: str, may_distract: bool) -> tuple[int, int]:
    """pid and camid of the image at ``path`` below ``root``, from its name.

    Raises :class:`InputError` for a name that does not parse, and for a distractor unless it ``may_distract``.
    """
    name = path.rpartition("/")[2]
    match = PATTERNS[layout].match(name)
    if match is None:
        raise InputError(f"{shown(root / path)}: {layout} expects names {EXPECTED[layout]}{shown(_renamed(path))}")
    pid = int(match[1])
    if layout == "market1501" and pid == DISTRACTOR and not may_distract:
        way_out = "give a person whose number is 0 another one, in all three folders"
        raise InputError(f"{shown(root / path)}: pid 0 is a distractor, expected in bounding_box_test alone: {way_out}")
    return pid, int(match[2])


def _renamed(path: str) -> str:
    """A way out for a name that does not parse."""
    folder, name = path.split("/")[-2:]
    for other, pattern in PATTERNS.items():
        if pattern.match(name):
            return f"; {other} has such names"
    if re.fullmatch("[0-9]{1,18}", folder):
        return f"; the folder's name is not read: rename the image, to {folder}_c1_{name} for instance"
    pid = re.match("[0-9]{1,18}(?![0-9])", name)
    if pid:
        return f"; if cameras are not known, give each image of a person its own: {pid[0]}_c1_…, {pid[0]}_c2_…"
    return ""
