"""What a data set must have before anything is trained on it: labels where they are needed, the counts published."""

from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.images.index import DISTRACTOR, UNKNOWN, Index, matched

# images and identities (without distractors) of each split as published; market1501 without its junk
PUBLISHED = {
    "market1501": {"train": (12936, 751), "query": (3368, 750), "gallery": (15913, 750)},
    "dukemtmc": {"train": (16522, 702), "query": (2228, 702), "gallery": (17661, 1110)},
    "msmt17": {"train": (32621, 1041), "query": (11659, 3060), "gallery": (82161, 3060)},
    "veri776": {"train": (37778, 576), "query": (1678, 200), "gallery": (11579, 200)},
}
MATCH = "a gallery image of the same pid in another camera"


def identities(index: Index, layout: str) -> tuple[int, int]:
    """How many identities a split has, and how many images of distractors, which are counted apart."""
    distractor = (index.pid == DISTRACTOR) & (layout == "market1501")
    return len(np.unique(index.pid[~distractor & (index.pid != UNKNOWN)])), int(distractor.sum())


def table(splits: dict[str, Index], layout: str) -> str:
    """One line for each split: images, identities, cameras, images of distractors."""
    lines = [f"{'split':8}{'images':>9}{'ids':>7}{'cameras':>9}{'distractors':>13}"]
    for split, index in splits.items():
        pids, distractors = identities(index, layout)
        lines.append(f"{split:8}{len(index):9,}{pids:7,}{len(np.unique(index.camid)):9}{distractors:13,}")
    return "\n".join(lines)


def check_source(where: Path, splits: dict[str, Index]) -> list[str]:
    """Lines on what a source's labels lack but can do without; none for most.

    Raises :class:`InputError` naming ``where``, the data set's folder, for labels that pre-training, or the choice of
    its checkpoint, cannot do without.
    """
    reason = untested(where, splits["query"], splits["gallery"])
    if reason:
        raise InputError(f"{where}: {reason}: expected a labelled test set, by which the source's checkpoint is chosen")
    return check_matches(where, splits["query"], splits["gallery"]) + check_identities(where, splits["train"])


def check_target(where: Path, splits: dict[str, Index]) -> list[str]:
    """Lines on what a target's test set lacks, which may have no labels, or no images; none for most.

    Raises :class:`InputError` for labels that were meant to be used and cannot be, as :func:`untested` does.
    """
    reason = untested(where, splits["query"], splits["gallery"])
    if reason:
        return [f"{where}: no labelled test images: {reason}; adaptation runs, nothing is measured"]
    return check_matches(where, splits["query"], splits["gallery"])


def untested(where: Path, query: Index, gallery: Index) -> str:
    """Why nothing can be measured by these; an empty text where something can.

    Raises :class:`InputError` where several pids are in query and gallery, each in one camera alone: that is no dummy,
    but a labelled test set whose cameras are wrong.
    """
    empty = [name for name, split in (("query", query), ("gallery", gallery)) if not len(split)]
    if empty:
        return f"{' and '.join(empty)} {'has' if len(empty) == 1 else 'have'} no images"
    for name, split in (("query", query), ("gallery", gallery)):
        if (split.pid == UNKNOWN).all():
            return f"no image of {name} has a pid"
    if matched(query, gallery).any():
        return ""
    seen = sorted({*query.camid.tolist(), *gallery.camid.tolist()})
    every = f": all are of camera {seen[0]}" if len(seen) == 1 else f", such as {query.file[0]}"
    shared = set(query.pid.tolist()) & set(gallery.pid.tolist()) - {UNKNOWN}
    if len(shared) > 1:
        way_out = "where cameras are not known, give each image of a person its own"
        raise InputError(f"{where}: no query has {MATCH}{every}; {way_out}")
    return f"no query has {MATCH}{every}"


def check_matches(where: Path, query: Index, gallery: Index) -> list[str]:
    """A line when some queries have no gallery image of the same pid in another camera; none otherwise."""
    unmatched = int((~matched(query, gallery)).sum())
    without = f"have no {MATCH.removeprefix('a ')} and do not count in mAP"
    return [f"{where}: {unmatched:,} of {len(query):,} queries {without}"] if unmatched else []


def check_identities(where: Path, train: Index) -> list[str]:
    """A line when identities of a labelled training set have a single image, which is no positive of another.

    Raises :class:`InputError` when all have, when there is one identity, and for images without a pid.
    """
    unlabelled = int((train.pid == UNKNOWN).sum())
    if unlabelled:
        found = f"{unlabelled:,} of {len(train):,} images of train have no pid"
        raise InputError(f"{where}: {found}: expected a source whose training images all have one")
    images = np.unique(train.pid, return_counts=True)[1]
    if len(images) < 2 or images.max() < 2:
        found = f"{len(train):,} images of {len(images):,} ids"
        raise InputError(
            f"{where}: train has {found}, but pre-training compares two images of a person with another person's:"
            " expected two ids at least, and ids with several images"
        )
    single = int((images == 1).sum())
    return (
        [f"{where}: {single:,} of {len(images):,} ids of train have one image: no positives for a triplet"]
        if single
        else []
    )


def check_counts(name: str, splits: dict[str, Index], layout: str) -> list[str]:
    """One line for each split that deviates from what was published under ``name``; none for names of one's own."""
    deviations = []
    for split, (images, pids) in PUBLISHED.get(name, {}).items():
        found = len(splits[split]), identities(splits[split], layout)[0]
        if found != (images, pids):
            was = f"{images:,} images of {pids:,} ids, found {found[0]:,} of {found[1]:,}"
            deviations.append(f"{name} {split}: published are {was}")
    return deviations
