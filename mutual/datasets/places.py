"""What lies where in a data set of each layout, and where the mistake may be if it does not."""

from collections.abc import Iterable
from pathlib import Path

from mutual.base.errors import InputError

MARKET = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
FOLDERS = {
    "market1501": MARKET,
    "dukemtmc": MARKET,
    "veri776": {"train": "image_train", "query": "image_query", "gallery": "image_test"},
}
LIST = "images.csv"  # of one's own
FOLDER_LAYOUTS = ("folders", "camera_folders", "heap")  # a folder is an identity, a camera, nothing
LISTS = {"train": ("list_train.txt", "list_val.txt"), "query": ("list_query.txt",), "gallery": ("list_gallery.txt",)}
# the folders of MSMT17's images in both of its versions, which share their lists
LIST_FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
LISTED_IN = {"train": "train", "query": "test", "gallery": "test"}
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {  # of each inner tuple one name has to be there
    **{layout: ((folders["train"],),) for layout, folders in FOLDERS.items()},
    "msmt17": (LIST_FOLDERS["train"], *((name,) for name in LISTS["train"])),
    "csv": ((LIST,),),
    **dict.fromkeys(FOLDER_LAYOUTS, ()),
}


def image_folders(layout: str) -> set[str]:
    """The folders below the root that ``layout`` reads images from; ``.`` is the root itself."""
    if layout == "msmt17":
        return {name for names in LIST_FOLDERS.values() for name in names}
    return set(FOLDERS[layout].values()) if layout in FOLDERS else {"."}


def check_folder(root: Path) -> None:
    """Raise :class:`InputError` where there is no such folder."""
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: expected the folder of a data set, found a file")
    if not root.is_dir():
        raise InputError(f"{root}: not found: expected the folder of a data set")


def check_layout(root: Path, layout: str) -> None:
    """Raise :class:`InputError` where ``root`` lacks what the layout cannot do without."""
    check_folder(root)
    tested = layout == "msmt17" and has(root, [*LISTS["query"], *LISTS["gallery"]])
    for names in (*REQUIRED[layout], *([LIST_FOLDERS["test"]] if tested else [])):
        there = [name for name in names if has(root, [name])]
        if not there:
            either = f" (or {names[1]})" if names[1:] else ""
            raise InputError(
                f"{root / names[0]}: not found, but the layout {layout} has it{either}{_hint(root, layout)}"
            )
        if there[1:]:
            raise InputError(f"{root}: expected one of the folders {' and '.join(there)}, found both")


def has(root: Path, names: Iterable[str]) -> bool:
    """Whether ``root`` has one of these lists (``.txt``, ``.csv``) or folders."""
    return any((root / name).is_file() if "." in name else (root / name).is_dir() for name in names)


def fitting(root: Path) -> list[str]:
    """The layouts that have something of their own in ``root``."""
    return [layout for layout, required in REQUIRED.items() if required and all(has(root, names) for names in required)]


def _hint(root: Path, layout: str) -> str:
    """Where the mistake may lie: another layout, or the folder one level up or down, or a list's name."""
    for other in fitting(root):
        if other != layout and REQUIRED[other] != REQUIRED[layout]:
            return f"; this looks like {other}"
    for folder in [root.parent, *sorted(child for child in root.iterdir() if child.is_dir())]:
        if layout in fitting(folder):
            return f"; try {folder}"
    lists = sorted(root.glob("*.csv")) if layout == "csv" else []
    return f"; rename {lists[0].name} to it" if lists else ""
