"""What a round trains on, read from artefacts that must belong together."""

from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.base.store import write_array, write_json
from mutual.clusters.pseudo_labels import PseudoLabels, write_pseudo_labels
from mutual.images.index import Index, write_index
from mutual.learning.material import read_material
from mutual.networks.peers import Peer, check_size, write_peer
from mutual.networks.reid import ReidNetwork

FILES = ["a.jpg", "b.jpg", "c.jpg"]
CENTROIDS = np.array([[0.6, 0.8], [1, 0]], np.float32)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A round's clusters and a packed target: three images in two clusters."""
    clustered, target = tmp_path / "r01", tmp_path / "target"
    target.mkdir()
    write_index(target / "train.csv", Index(FILES, np.array([5, 5, 7]), np.array([1, 2, 1])))
    write_array(target / "train.npy", np.ones((3, 4, 2, 3), np.uint8))
    write_array(clustered / "centroids.npy", CENTROIDS)
    write_json(clustered / "clustering.json", {"clusters": 2, "outliers": 0, "smallest": 1, "largest": 2})
    write_pseudo_labels(clustered / "pseudo_labels.csv", FILES, PseudoLabels(np.array([0, 0, 1])))
    return clustered, target


def test_the_parts_of_a_round_come_together(folders: tuple[Path, Path]) -> None:
    found = read_material(*folders, None)
    assert found.clusters == 2
    assert found.source is None
    assert found.target.labels.classes.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(found.classes, CENTROIDS)


@pytest.mark.parametrize("classes", [[0, 0, 0], [0, -1, 1], [-1, -1, -1], [0, 1, 2]])
def test_labels_of_another_clustering_than_its_figures_are_refused(
    folders: tuple[Path, Path], classes: list[int]
) -> None:
    write_pseudo_labels(folders[0] / "pseudo_labels.csv", FILES, PseudoLabels(np.array(classes)))
    with pytest.raises(InputError, match=r"clustering\.json and pseudo_labels\.csv are not of one clustering"):
        read_material(*folders, None)


@pytest.mark.parametrize(
    ("centroids", "message"),
    [
        (np.array([[0.6, 0.8], [1e38, 0]], np.float32), "expected means of features of length 1, found greater values"),
        (np.array([[0.6, 0.8], [-1.1, 0]], np.float32), "expected means of features of length 1, found greater values"),
        (np.array([[0.6, 0.8]], np.float32), "centroids.npy and clustering.json are not of one clustering"),
        (np.array([[0.6, 0.8], [np.nan, 0]], np.float32), "expected finite values"),
    ],
)
def test_centroids_of_another_kind_are_refused(folders: tuple[Path, Path], centroids: np.ndarray, message: str) -> None:
    write_array(folders[0] / "centroids.npy", centroids)
    with pytest.raises(InputError, match=message):
        read_material(*folders, None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A packed source of two images, of another size than the target's."""
    write_index(tmp_path / "source/train.csv", Index(["s.jpg", "t.jpg"], np.array([1, 2]), np.array([1, 1])))
    write_array(tmp_path / "source/train.npy", np.ones((2, 8, 4, 3), np.uint8))
    return tmp_path / "source"


def test_the_sources_features_are_held_to_the_same(folders: tuple[Path, Path], source: Path) -> None:
    features = np.array([[0, 1], [1, 0]], np.float32)
    write_array(folders[0] / "source_features.npy", features)
    found = read_material(*folders, source)
    np.testing.assert_array_equal(found.classes, np.concatenate([CENTROIDS, features]))
    write_array(folders[0] / "source_features.npy", 2 * features)
    with pytest.raises(InputError, match=r"source_features\.npy: expected means of features of length 1"):
        read_material(*folders, source)


def test_every_set_that_takes_part_must_be_of_the_peers_size(folders: tuple[Path, Path], source: Path) -> None:
    write_array(folders[0] / "source_features.npy", CENTROIDS)
    network = ReidNetwork("resnet18", 2)
    path = source / "peer1.safetensors"
    write_peer(path, network, network, Peer(network.form, 2, height=4, width=2))
    check_size(path, read_material(*folders, None).images)
    with pytest.raises(InputError, match=r"^source: expected 4 x 2 pixels .* found images of 8 x 4$"):
        check_size(path, read_material(*folders, source).images)
