"""What a data set of pictures with masks consists of, and the lists of names that say which picture is for what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.store import read_text
from mutual.datasets.folders import shown


@dataclass(frozen=True)
class Entry:
    """One picture."""

    name: str  # posix path of the image below the root of the data set
    image: Path
    mask: Path | None  # None: nobody labelled it


@dataclass(frozen=True)
class Sources:
    """The splits of a data set; all but ``train`` may be empty. Remarks are lines on what was left out."""

    train: list[Entry]
    validation: list[Entry] = field(default_factory=list)
    test: list[Entry] = field(default_factory=list)
    unlabelled: list[Entry] = field(default_factory=list)  # for training, without masks
    remarks: list[str] = field(default_factory=list)


def read_names(path: Path) -> list[str]:
    """The names of a list, one a line. Raises :class:`InputError` for a line that is none, and a name twice."""
    names = []
    for number, line in enumerate(
        read_text(path, "expected a name a line").removeprefix("\ufeff").split("\n"), start=1
    ):
        name = line.strip().replace("\\", "/")
        if not name:
            continue
        if len(name.split()) > 1 or name.startswith("/") or ".." in name.split("/"):
            raise InputError(f"{path}: line {number}: expected the name of a picture, got {shown(line.strip())}")
        names.append(name)
    check_once(str(path), names)
    return names


def check_once(where: str, names: Iterable[str]) -> None:
    """Raise :class:`InputError` for a name that is there twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise InputError(f"{where}: {shown(name)} is listed twice")
        seen.add(name)


def check_apart(root: Path, splits: dict[str, Sequence[str]]) -> None:
    """Raise :class:`InputError` for a name in two splits: what is learned from is not tested with."""
    found: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if found.setdefault(name, split) != split:
                raise InputError(f"{root}: {shown(name)} is listed for {found[name]} and for {split}: expected one")


def existing_file(path: Path, because: str) -> Path:
    """The path itself; :class:`InputError` where no file is there, though ``because`` of something it should."""
    if not path.is_file():
        raise InputError(f"{shown(path)}: not found, but {because}")
    return path
