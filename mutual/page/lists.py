"""Ranked lists: of a few queries the first ten images that were found after each round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mutual.base.progress import Progress
from mutual.page.pictures import Album
from mutual.page.queries import Group, by_change, by_precision, nearest_rows
from mutual.page.run import Run

FIRST = 10  # of a list
GROUP = 8  # queries
CANDIDATES = 64  # of which the training images are chosen that take the place of queries
RIGHT, WRONG = "1", "0"


@dataclass(frozen=True)
class Lists:
    """Lists of M queries after each of A rounds, by each of P peers."""

    groups: list[Group]  # their rows count the M queries
    split: tuple[str, str]  # of the queries, of what is found
    queries: np.ndarray  # (M,) rows
    after: list[str]  # A
    peers: list[str]  # P
    found: np.ndarray  # (A, P, M, 10) rows, -1 where there are fewer
    right: np.ndarray  # (A, P, M, 10) bool: the same pid; where that is not known, the same pseudo label
    precision: np.ndarray  # (A, P, M) average precision, 0 .. 1; NaN where it is not known

    def add_to(self, album: Album) -> None:
        """Ask for the pictures: the queries, what is found at the end and at the start, then between."""
        for row in self.queries:
            album.add(self.split[0], row)
        for a in dict.fromkeys([len(self.after) - 1, 0, *range(len(self.after))]):
            for row in self.found[a][self.found[a] >= 0].tolist():
                album.add(self.split[1], row)

    def content(self, name: str, album: Album) -> dict[str, Any]:
        """For the page's script: images by their number in the album, right and wrong as a text of 1 and 0."""
        number = np.vectorize(lambda row: album.add(self.split[1], row) if row >= 0 else -1, otypes=[int])
        marks = [[["".join(np.where(of, RIGHT, WRONG)) for of in peer] for peer in after] for after in self.right]
        precision = np.where(np.isnan(self.precision), -1, self.precision.round(4)).tolist()
        shown = {"found": number(self.found).tolist(), "right": marks, "precision": precision}
        return {"name": name, "after": self.after, "peers": self.peers} | shown


def tested_queries(run: Run, random: np.random.Generator) -> list[Group]:
    """Of the test set's queries those that are shown, by their mean average precision over the peers."""
    start, end = (
        np.mean([run.found(after, peer).average_precision for peer in run.peers], axis=0)
        for after in (run.after[0], run.after[-1])
    )
    return by_precision(start, end, GROUP, random)


def tested(run: Run, groups: Sequence[Group]) -> Lists:
    """The lists of these queries of the test set, by every peer."""
    rows, counted = _counted(groups)
    query, gallery = run.index["query"], run.index["gallery"]
    shape = len(run.after), len(run.peers), len(rows)
    found, precision = np.full((*shape, FIRST), -1), np.empty(shape)
    for a, after in enumerate(Progress(run.after, desc="ranked lists", unit="round")):
        for p, peer in enumerate(run.peers):
            of = run.found(after, peer)
            nearest = of.nearest[rows, :FIRST]
            found[a, p, :, : nearest.shape[1]] = nearest
            precision[a, p] = of.average_precision[rows]
    right = (gallery.pid[found] == query.pid[rows][:, None]) & (found >= 0)
    return Lists(counted, ("query", "gallery"), rows, run.after, run.peers, found, right, precision)


def among_training(run: Run, pids: np.ndarray | None, random: np.random.Generator) -> Lists:
    """Training images nearest to a few of them, where there are no labelled test images.

    By the mean of the peers' features, as they are clustered. With the (N,) ``pids`` right is the same pid, without
    them the same pseudo label.
    """
    candidates = random.permutation(len(run.index["train"]))[:CANDIDATES]
    after, found, right = [], [], []
    for name in Progress(run.after, desc="nearest images", unit="round"):
        state = run.state(name)
        if state is None:
            continue
        nearest = nearest_rows(state.features, candidates, FIRST)
        same = state.labels if pids is None else pids
        after.append(name)
        found.append(np.pad(nearest, ((0, 0), (0, FIRST - nearest.shape[1])), constant_values=-1))
        right.append(
            (same[found[-1]] == same[candidates][:, None]) & (found[-1] >= 0) & (same[candidates] >= 0)[:, None]
        )
    chosen, counted = _counted(by_change(found[0], found[-1], GROUP))
    lists, marks = (np.array(each)[:, None, chosen] for each in (found, right))
    unknown = np.full(lists.shape[:3], np.nan)
    return Lists(counted, ("train", "train"), candidates[chosen], after, ["mean"], lists, marks, unknown)


def _counted(groups: Sequence[Group]) -> tuple[np.ndarray, list[Group]]:
    """The rows of all groups, each once, and the groups with places among them instead."""
    rows = list(dict.fromkeys(row for group in groups for row in group.rows))
    place: Mapping[int, int] = {row: i for i, row in enumerate(rows)}
    return np.array(rows, np.int64), [Group(of.title, of.note, [place[row] for row in of.rows]) for of in groups]
