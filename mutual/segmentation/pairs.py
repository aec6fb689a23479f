"""A data set of one's own: images in one folder, masks of the same names in another."""

import posixpath
from collections.abc import Sequence
from pathlib import Path

from mutual.base.errors import InputError
from mutual.datasets.folders import content, sentences, shown, suffixes
from mutual.segmentation.entries import Entry, Sources, check_apart, check_once, read_names

IMAGES, MASKS, UNLABELLED = "images", "masks", "unlabelled"
# what a split's list or folder may be called
NAMES = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}


def read_pairs(root: Path) -> Sources:
    """``images/`` and ``masks/``, where a mask has its image's path but for the suffix.

    Which are for what say ``train.txt``, ``val.txt`` and ``test.txt`` with a name a line, or else folders of these
    names in ``images/`` and ``masks/``; where there are neither, all are for training. ``unlabelled/``, which need not
    be there, holds images without masks, for training.
    """
    for folder in (IMAGES, MASKS):
        if not (root / folder).is_dir():
            raise InputError(f"{root / folder}: not found, but the layout pairs has it")
    remarks: list[str] = []
    images, masks = _by_stem(root, IMAGES, remarks), _by_stem(root, MASKS, remarks)
    splits = _listed(root, images) or _in_folders(root, images)
    check_apart(root, splits)
    used = {stem for stems in splits.values() for stem in stems}
    unused = {
        "in no list": [path for stem, path in images.items() if stem not in used],
        "without an image": [path for stem, path in masks.items() if stem not in images],
    }
    remarks += [f"left out: {line}" for line in sentences(unused)]
    found = {split: [_entry(root, stem, images, masks) for stem in stems] for split, stems in splits.items()}
    unlabelled = _by_stem(root, UNLABELLED, remarks) if (root / UNLABELLED).is_dir() else {}
    free = [Entry(path, root / path, None) for path in unlabelled.values()]
    return Sources(found["train"], found["validation"], found["test"], free, remarks)


def _by_stem(root: Path, folder: str, remarks: list[str]) -> dict[str, str]:
    """Path below the folder without its suffix -> path below the root."""
    inside = content(root, folder)
    remarks += [f"{folder}: left out: {line}" for line in sentences(inside.left_out)]
    found: dict[str, str] = {}
    for path in inside.images:
        stem = posixpath.splitext(path)[0].removeprefix(f"{folder}/")
        if stem in found:
            raise InputError(f"{shown(root / path)}: {shown(found[stem])} has the same name: expected one of them")
        found[stem] = path
    return found


def _entry(root: Path, stem: str, images: dict[str, str], masks: dict[str, str]) -> Entry:
    if stem not in masks:
        wanted = f"expected {MASKS}/{stem}.png, or the image in {UNLABELLED}/"
        raise InputError(f"{shown(root / images[stem])}: it has no mask: {shown(wanted)}")
    return Entry(images[stem], root / images[stem], root / masks[stem])


def _listed(root: Path, images: dict[str, str]) -> dict[str, Sequence[str]] | None:
    """Split -> stems, by the lists; None where there is no list."""
    lists = {split: [root / f"{name}.txt" for name in names] for split, names in NAMES.items()}
    there = {split: [path for path in paths if path.is_file()] for split, paths in lists.items()}
    if not any(there.values()):
        return None
    if not there["train"]:
        other = next(path for paths in there.values() for path in paths)
        raise InputError(f"{lists['train'][0]}: not found, but there is {other.name}")
    found: dict[str, Sequence[str]] = {}
    for split, paths in there.items():
        stems = [_stem(path, name, images) for path in paths for name in read_names(path)]
        check_once(" and ".join(map(str, paths)), stems)
        found[split] = stems
    return found


def _stem(path: Path, name: str, images: dict[str, str]) -> str:
    """A list may name the file or its stem, below ``images``."""
    base, suffix = posixpath.splitext(name)
    for stem in (name, base if suffix.lower() in suffixes() else name):
        if stem in images:
            return stem
    raise InputError(f"{path}: {shown(name)}: expected an image below {IMAGES}/, found none of this name")


def _in_folders(root: Path, images: dict[str, str]) -> dict[str, Sequence[str]]:
    """Split -> stems, by the first folder of each; all are for training where no folder is called like a split."""
    split_of = {name: split for split, names in NAMES.items() for name in names}
    found: dict[str, list[str]] = {split: [] for split in NAMES}
    tops = {stem: stem.split("/")[0] if "/" in stem else "" for stem in images}
    divided = any(top in split_of for top in tops.values())
    for stem, top in tops.items():
        if divided and top not in split_of:
            raise InputError(f"{shown(root / images[stem])}: expected in {', '.join(split_of)}, as others are")
        found[split_of[top] if divided else "train"].append(stem)
    return {**found}
