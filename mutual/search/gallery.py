"""A folder of images that is searched, and what is kept of it: made when it is not there or no longer right."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.store import read_json, write_json
from mutual.datasets.folders import shown
from mutual.search.embedding import FEATURES, Embedded, embed_folder, file_state, out_of_date, read_embedded
from mutual.search.index import EXACT, Index, coded, read_codes, recall, write_codes
from mutual.search.listing import Listing
from mutual.search.teachers import Teachers

CODES, ABOUT = "codes.faiss", "codes.json"


@dataclass(frozen=True)
class Gallery:
    """The images of a folder, ready to be searched."""

    listing: Listing
    embedded: Embedded
    index: Index
    recall: float  # 1 of an exact search

    @property
    def told(self) -> str:
        """How it is searched, for a line to the user."""
        if self.index.codes is None:
            return "exact search"
        return (
            f"approximate search: {self.recall:.1%} of the 10 nearest are found, measured on a sample of this gallery"
        )

    def lines(self, peers: Sequence[Path]) -> list[str]:
        """What was searched how, for the head of a page."""
        count = f"{len(self.embedded.files):,} image{'s' if len(self.embedded.files) > 1 else ''}"
        left_out = len(self.embedded.left_out)
        gallery = f"Gallery: {shown(self.listing.folder)}, {count}" + (
            f", {left_out:,} cannot be read" * bool(left_out)
        )
        distance = "Distance: squared Euclidean distance of features of length 1, from 0 (the same) to 4"
        return [gallery, f"Peers: {', '.join(map(shown, peers))}", f"Index: {self.told}", distance]


def opened(listing: Listing, place: Path, teachers: Teachers, workers: int) -> Gallery:
    """The gallery, with what is kept of it in the folder ``place``; what has to be made anew is said in a line.

    Raises :class:`InputError` where that cannot be written, or the gallery holds no image that can be read.
    """
    reason = out_of_date(place, listing, teachers)
    try:
        embedded = None if reason else read_embedded(place, teachers.length)
    except InputError:
        embedded, reason = None, "it is damaged"
    if embedded is None:
        print(f"index of {shown(listing.folder)}: {reason}: {len(listing.files):,} images to embed", flush=True)
        _check_writable(place)
        embedded = embed_folder(listing, place, teachers, workers)
    if len(embedded.files) <= EXACT:
        return Gallery(listing, embedded, Index(embedded.features), 1.0)
    return Gallery(listing, embedded, *_approximate(place, embedded))


def _approximate(place: Path, embedded: Embedded) -> tuple[Index, float]:
    """The index of the codes and its recall, read, or made where they are missing or damaged."""
    features = embedded.features
    try:
        about = read_json(place / ABOUT, dict[str, object])
        states = [file_state(place / name) for name in (FEATURES, CODES)]
        found = about.get("recall")
        if about.get("files") == states and isinstance(found, float):
            return Index(features, read_codes(place / CODES, features)), found
        reason = "is of other features, or damaged"
    except (InputError, OSError):
        reason = "is not there, or damaged"
    print(f"{shown(place / CODES)} {reason}: made from {len(features):,} features", flush=True)
    _check_writable(place)
    codes = coded(features)
    write_codes(place / CODES, codes)
    index = Index(features, codes)
    found = recall(index)
    write_json(place / ABOUT, {"files": [file_state(place / name) for name in (FEATURES, CODES)], "recall": found})
    return index, found


def _check_writable(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"{shown(place)}: cannot be written ({reason}): name another folder for the index") from None
