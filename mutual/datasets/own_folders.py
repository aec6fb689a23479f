"""The layouts folders, camera_folders and heap: an image's folder says who is on it, or which camera, or nothing."""

from pathlib import Path

from mutual.datasets.folders import content
from mutual.datasets.own import SPLITS, TEST, Row, known
from mutual.datasets.places import FOLDER_LAYOUTS

BESIDE = f"beside {', '.join(SPLITS)} and {TEST}"


def read_own_folders(root: Path, layout: str) -> tuple[dict[str, list[Row]], dict[str, list[str]]]:
    """The images below ``root`` by split, and what is left out.

    Folders ``train``, ``query``, ``gallery`` and ``test`` in the root, in capitals or not, are the splits; without any
    of them every image is one of train. Of the folders below that the first is the identity (``folders``) or the camera
    (``camera_folders``), and deeper ones mean nothing; in a ``heap`` none means anything. An image in no such folder
    has no identity, or no camera.
    """
    found = content(root, "")
    rows: dict[str, list[Row]] = {split: [] for split in (*SPLITS, TEST)}
    divided = any(path.name.lower() in rows and path.is_dir() for path in root.iterdir())
    beside = []
    for file in found.images:
        split, below = tuple(file.split("/", 1)) if divided and "/" in file else ("" if divided else "train", file)
        split = split.lower()
        if split not in rows:
            beside.append(file)
            continue
        folder = known(below.split("/")[0]) if "/" in below else ""
        identity, camera = (folder if layout == meant else "" for meant in FOLDER_LAYOUTS[:2])
        rows[split].append(Row(file, identity, camera))
    return rows, {BESIDE: beside} | found.left_out
