"""What a round learns from: the clustered target and, where it takes part, the labelled source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.base.store import read_array
from mutual.clusters.pseudo_labels import PseudoLabels, check_figures, cluster_means, read_figures, read_pseudo_labels
from mutual.images.index import read_cameras, read_images, read_split, relabel
from mutual.learning.batches import Batch, Cut, Streams, TrainingSet, labelled_batches

LONGEST = 1.001  # a value of a mean of vectors of length 1, with room for rounding


@dataclass(frozen=True)
class Material:
    """Training sets, and a start for the classifiers."""

    target: TrainingSet
    source: TrainingSet | None
    clusters: int  # of the target; the source's identities follow
    classes: np.ndarray  # (clusters, or clusters + identities, D) float32
    eps: float | None  # of DBSCAN

    @property
    def images(self) -> dict[str, np.ndarray]:
        """The images of each set that takes part."""
        sets = {"target": self.target, "source": self.source}
        return {name: each.images for name, each in sets.items() if each is not None}


def read_material(clustered: Path, target: Path, source: Path | None) -> Material:
    """The folders of a round's clusters, of the packed target and of the packed source, where that takes part.

    Raises :class:`InputError` for artefacts that are damaged or do not belong together.
    """
    files, camids = read_cameras(target / "train.csv")
    images = read_images(target / "train.npy", len(files))
    labels = read_pseudo_labels(clustered / "pseudo_labels.csv", files)
    centroids = np.array(read_array(clustered / "centroids.npy", dtype=np.float32, shape=(None, None), finite=True))
    check_lengths(clustered / "centroids.npy", centroids)
    figures = read_figures(clustered / "clustering.json")
    check_figures(clustered, labels.classes, figures)
    if len(centroids) != figures["clusters"]:
        raise InputError(f"{clustered}: centroids.npy and clustering.json are not of one clustering")
    of_target, eps = TrainingSet(images, labels, camids), figures.get("eps")
    if source is None:
        return Material(of_target, None, len(centroids), centroids, eps)
    source_images, index = read_split(source, "train")
    of_source = TrainingSet(source_images, PseudoLabels(relabel(index.pid)), index.camid)
    shape = (len(index), centroids.shape[1])
    features = read_array(clustered / "source_features.npy", dtype=np.float32, shape=shape, finite=True)
    check_lengths(clustered / "source_features.npy", features)
    classes = np.concatenate([centroids, cluster_means(features, of_source.labels.classes)])
    return Material(of_target, of_source, len(centroids), classes, eps)


def files_of(clustered: Path, target: Path, source: Path | None) -> list[Path]:
    """What :func:`read_material` reads."""
    names = ["pseudo_labels.csv", "centroids.npy", "clustering.json", *(["source_features.npy"] if source else [])]
    sets = [target, *([source] if source else [])]
    return [
        *(clustered / name for name in names),
        *(each / f"train.{form}" for each in sets for form in ("npy", "csv")),
    ]


def check_lengths(path: Path, means: np.ndarray) -> None:
    """Raise :class:`InputError` where (N, D) means of features of length 1 have a value that none of them can have."""
    if np.abs(means).max(initial=0) > LONGEST:
        raise InputError(f"{path}: expected means of features of length 1, found greater values")


def batches_of(
    material: Material, streams: Streams, seeds: Sequence[int], cut: Cut, erase_probability: float
) -> tuple[Callable[[int], Batch], Callable[[int], Batch] | None]:
    """The functions iteration -> batch of the target and, where it takes part, of the source.

    Each peer, known by its seed, has views of its own. Random erasing is for the target alone.
    """
    views = [f"views of peer {seed}" for seed in seeds]
    erased = cut.erasing(erase_probability)
    of_target = labelled_batches(material.target, streams, "target batches", views, erased)
    if material.source is None:
        return of_target, None
    of_peers = [f"source {view}" for view in views]
    return of_target, labelled_batches(material.source, streams, "source batches", of_peers, cut)
