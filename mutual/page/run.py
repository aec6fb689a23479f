"""An experiment as the page needs it: what its stages wrote, read and checked, nothing computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
import pandas as pd
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from mutual.base.errors import InputError, shown
from mutual.base.params import FIRST_ROUND
from mutual.base.store import read_array, read_json
from mutual.clusters.alarms import alarms
from mutual.clusters.pseudo_labels import read_figures, read_pseudo_labels
from mutual.experiments.choice import LabelFree, alarms_over_rounds, label_free
from mutual.experiments.curves import joined_losses
from mutual.images.index import Index, read_index

LAST = "last"  # the folder of what the last round's networks see
SPLITS = ("train", "query", "gallery")
TESTED = "tested.csv"  # beside ranked lists whose queries and gallery are images that were labelled later


@dataclass(frozen=True)
class Places:
    """Where an experiment's artefacts lie."""

    packed: Path  # the target's
    rounds: Path
    retrieval: Path
    results: Path
    losses: Path


class Figures(TypedDict):
    """The test of one round. A peer has none where there are no labelled test images; r00 has no pseudo labels."""

    peers: dict[str, dict[str, float]]
    pseudo_labels: dict[str, float]
    label_free: NotRequired[dict[str, float]]
    computed: dict[str, str | int]


@dataclass(frozen=True)
class Found:
    """What one teacher found for each of the Q queries, the nearest first."""

    nearest: np.ndarray  # (Q, K) int32 rows of the gallery, -1 where there are fewer than K
    average_precision: np.ndarray  # (Q,) float64, 0 .. 1, NaN for queries without a match


@dataclass(frozen=True)
class State:
    """The target's training images as the networks after a round see them, and the pseudo labels made of that."""

    features: np.ndarray  # (N, D) float32
    labels: np.ndarray  # (N,) int64, -1 for an outlier


@dataclass(frozen=True)
class Run:
    """One experiment. ``after`` stands for the state after a round: r00, before any adaptation, to the last."""

    name: str
    places: Places
    params: Mapping[str, Any]  # as params.yaml has them
    rounds: Mapping[str, str]  # round -> the one it starts from, in the order in which they ran
    index: Mapping[str, Index]  # the target's splits
    figures: Mapping[str, Figures]  # of r00 and the rounds

    @property
    def after(self) -> list[str]:
        """r00, r01, ..."""
        return [FIRST_ROUND, *self.rounds]

    @property
    def peers(self) -> list[str]:
        """The peers' seeds."""
        return list(self.figures[FIRST_ROUND]["peers"])

    @property
    def tested(self) -> bool:
        """Whether there are labelled test images."""
        return len(self.index["query"]) > 0 and all(self.figures[FIRST_ROUND]["peers"].values())

    @property
    def label_free(self) -> LabelFree:
        """What is said of each round without a label."""
        path = self.places.retrieval / LAST / "clustering.json"
        if not path.exists():  # a run of an older version: of the others alone none would be chosen rightly
            return {}
        return label_free(self.figures, self.rounds, read_figures(path).get("label_free", {}))

    def found(self, after: str, peer: str) -> Found:
        """What a peer's teacher found after a round."""
        queries, start = len(self.index["query"]), self.places.retrieval / after
        nearest = read_array(start / f"peer{peer}.nearest.npy", dtype=np.int32, shape=(queries, None))
        if nearest.size and not -1 <= nearest.min() <= nearest.max() < len(self.index["gallery"]):
            raise InputError(f"{start}/peer{peer}.nearest.npy: expected rows of the gallery, or -1")
        precision = read_array(start / f"peer{peer}.average_precision.npy", dtype=np.float64, shape=(queries,))
        return Found(nearest, np.array(precision))

    def learned(self, name: str) -> State:
        """Features, memory-mapped, and pseudo labels that a round learned from."""
        files, folder = self.index["train"].file, self.places.rounds / name
        features = read_array(folder / "features.npy", dtype=np.float32, shape=(len(files), None))
        return State(features, read_pseudo_labels(folder / "pseudo_labels.csv", files).classes)

    def state(self, after: str) -> State | None:
        """What the networks after a round make of the training images; None where it was the start of no other.

        That is what the next round learned from; after the last round, what a next one would.
        """
        for name, start in self.rounds.items():
            if start == after:
                return self.learned(name)
        if after != self.after[-1]:
            return None
        files, folder = self.index["train"].file, self.places.retrieval / LAST
        of_peers = [
            read_array(folder / f"peer{peer}.train.npy", dtype=np.float32, shape=(len(files), None))
            for peer in self.peers
        ]
        labels = read_pseudo_labels(folder / "pseudo_labels.csv", files).classes
        return State(np.asarray(np.mean(of_peers, axis=0, dtype=np.float32)), labels)

    def alarms(self) -> list[tuple[str, str]]:
        """What goes wrong unseen: the state after which round, and a line; an empty name where it is of all rounds."""
        judged, found = self.label_free, []
        for after in self.after:
            figures, state = judged.get(after), self.state(after)
            if figures and state is not None:
                found += [(after, line) for line in alarms(state.labels, figures)]
        return [*found, *(("", line) for line in alarms_over_rounds(judged))]

    def losses(self) -> pd.DataFrame:
        """Every iteration of all rounds: ``iteration``, ``total`` and the refinery's terms."""
        return joined_losses([self.places.losses / f"{name}.csv" for name in self.rounds])


def read_run(name: str, places: Places, params: Mapping[str, Any], rounds: Mapping[str, str]) -> Run:
    """An experiment's figures and index. Raises :class:`InputError` for what is missing or of another form."""
    index = packed_index(places)
    if (listed := places.retrieval / FIRST_ROUND / TESTED).exists():
        index |= dict.fromkeys(("query", "gallery"), read_index(listed))
    figures = {after: read_json(places.results / f"{after}.json", Figures) for after in (FIRST_ROUND, *rounds)}
    for after, found in figures.items():
        if not found["peers"] or set(found["peers"]) != set(figures[FIRST_ROUND]["peers"]):
            raise InputError(f"{places.results / after}.json: peers: expected those of {FIRST_ROUND}")
    for key in ("source_name", "target_name"):
        if key not in params:
            raise InputError(f"{name}: params.yaml: {key}: missing")
    return Run(name, places, params, rounds, index, figures)


def packed_index(places: Places) -> dict[str, Index]:
    """The index of each packed split."""
    return {split: read_index(places.packed / f"{split}.csv") for split in SPLITS}


def read_packed(run: Run) -> dict[str, np.ndarray]:
    """The pictures of each split of the run's index, (N, H, W, 3) uint8; query and gallery may be empty.

    Packed splits are memory-mapped; images that were labelled later are taken from wherever they lie.
    """
    packed = packed_index(run.places)
    stored = {
        split: read_array(run.places.packed / f"{split}.npy", dtype=np.uint8, shape=(len(index), None, None, 3))
        for split, index in packed.items()
    }
    if not (run.places.retrieval / FIRST_ROUND / TESTED).exists():
        return stored
    place = {file: (split, row) for split, index in packed.items() for row, file in enumerate(index.file)}
    if absent := next((file for file in run.index["query"].file if file not in place), None):
        raise InputError(f"{run.places.retrieval / FIRST_ROUND / TESTED}: {shown(absent)} is no image of the target")
    listed = np.stack([stored[split][row] for split, row in (place[file] for file in run.index["query"].file)])
    return {"train": stored["train"], "query": listed, "gallery": listed}
