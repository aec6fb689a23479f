"""Which layout a folder has, by what lies there."""

import re
from pathlib import Path

from mutual.base.errors import shown
from mutual.datasets.folders import content
from mutual.datasets.names import PATTERNS
from mutual.datasets.own_folders import read_own_folders
from mutual.datasets.places import LIST, check_folder, fitting

CAMERA = re.compile(r"(c|cam|camera|kamera|station|trap|view)[ _-]?[0-9]+", re.IGNORECASE)


def guessed_layout(root: Path) -> tuple[str, str]:
    """A layout and why: a list or folders of a published set by their names, else the folders of one's own.

    Folders that are called like cameras (``cam3``, ``c_03``) are taken for cameras, others for identities; a list that
    is not called images.csv is named. Raises :class:`InputError` where there is no such folder.
    """
    check_folder(root)
    fit = fitting(root)
    if "csv" in fit:
        return "csv", "there is an images.csv"
    if "dukemtmc" in fit:
        names = [file.rpartition("/")[2] for file in content(root, "bounding_box_train").images[:100]]
        duke = bool(names) and all(PATTERNS["dukemtmc"].match(name) for name in names)
        return ("dukemtmc" if duke else "market1501"), "there is a bounding_box_train, by the names in it"
    if fit:
        return fit[0], "by its folders and lists"
    lists = sorted(shown(path.name) for path in root.glob("*.csv"))
    beside = f"; {lists[0]} is read where it is called {LIST}" if lists else ""
    folders = {row.identity for rows in read_own_folders(root, "folders")[0].values() for row in rows} - {""}
    if not folders:
        return "heap", f"images lie in no folders that could mean something{beside}"
    if all(CAMERA.fullmatch(name) for name in folders):
        return "camera_folders", f"its folders are called like cameras{beside}"
    return "folders", f"its folders may be identities{beside}"
