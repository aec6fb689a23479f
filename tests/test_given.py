"""True labels in place of clusters, some wrong on purpose; and what networks believe of the labels they were given."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.clusters.clustering import cluster_twice
from mutual.clusters.given import labels_in_place
from mutual.clusters.pseudo_labels import read_pseudo_labels
from mutual.evaluation.quality import believed_quality
from mutual.images.index import UNKNOWN, Index, read_cameras, write_index
from mutual.machine.device import deterministic_device
from mutual.machine.streams import numpy_stream
from tests.herd import draw_herd, stage


def of_pids(path: Path, pids: list[int]) -> Path:
    count = len(pids)
    write_index(path, Index([f"{i}.jpg" for i in range(count)], np.array(pids), np.ones(count, np.int64)))
    return path


def test_of_each_identity_the_share_has_anothers_label(tmp_path: Path) -> None:
    path = of_pids(tmp_path / "train.csv", [30] * 10 + [5] * 6 + [9] * 4)
    true = np.repeat([2, 0, 1], [10, 6, 4])  # classes by rising pid
    found, clean, again, other = (
        labels_in_place(path, "labels", noise, seed) for noise, seed in ((0.5, 1), (0.0, 1), (0.5, 1), (0.5, 2))
    )
    assert found is not None
    assert clean is not None
    assert again is not None
    assert other is not None
    assert clean.tolist() == true.tolist()
    assert [int((found != true)[true == pid].sum()) for pid in (2, 0, 1)] == [5, 3, 2]
    assert set(found.tolist()) <= {0, 1, 2}
    assert again.tolist() == found.tolist() != other.tolist()


def test_where_clusters_are_looked_for_no_label_is_read(tmp_path: Path) -> None:
    assert labels_in_place(tmp_path / "there is none.csv", "kmeans", 0.0, 1) is None
    assert labels_in_place(tmp_path / "there is none.csv", "dbscan", 0.0, 1) is None


@pytest.mark.parametrize(
    ("pids", "told"),
    [([1, UNKNOWN, UNKNOWN], "2 of 3 images without one"), ([4, 4], "one identity")],
)
def test_identities_that_are_not_known_cannot_be_given(tmp_path: Path, pids: list[int], told: str) -> None:
    path = of_pids(tmp_path / "train.csv", pids)
    with pytest.raises(InputError, match=f"labels expects the identities of all images, found {told}$"):
        labels_in_place(path, "labels", 0.2, 1)


def test_given_labels_have_the_centroids_of_their_images() -> None:
    features = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    streams = numpy_stream(1, "one"), numpy_stream(1, "two")
    found, again = cluster_twice(
        features, features[:0], np.array([0, 0, 1, 1]), None, streams, deterministic_device(), {}
    )
    assert again is None
    np.testing.assert_array_equal(found.labels.classes, [0, 0, 1, 1])
    np.testing.assert_allclose(found.centroids, [[0.5, 0.5], [0.5, 0.5]])
    assert found.figures == {}


def test_what_is_believed_by_hand() -> None:
    """Of one network what it believes is right, the other takes all images for one person: chance, an ARI of 0."""
    train = Index(list("abcd"), np.array([1, 1, 2, 2]), np.ones(4, np.int64))
    found = believed_quality(np.array([[5, 5, 0, 0], [3, 3, 3, 3]]), train)
    assert found == {"nmi": pytest.approx(0.5), "ari": pytest.approx(0.5)}
    unknown = Index(list("abcd"), np.full(4, UNKNOWN), np.ones(4, np.int64))
    assert believed_quality(np.zeros((2, 4), np.int64), unknown) == {}


def test_from_given_labels_to_what_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round on labels of which half are wrong: the card says so, and what the networks make of them is told."""
    monkeypatch.chdir(tmp_path)
    draw_herd(clustering="labels", label_noise="0.5", batch_size="12", instances="3")
    for name in ("prepare --set source", "prepare --set target"):
        stage(monkeypatch, name)
    with pytest.raises(InputError, match="clustering: labels expects the identities of all images, found 24 of 24"):
        stage(monkeypatch, "check_target")
    files, camids = read_cameras(Path("data/packed/target/train.csv"))
    index = Path("data/packed/target/train.csv")
    index.unlink()  # write-protected
    write_index(index, Index(files, np.arange(24) % 4 + 1, camids))
    lines = ["check_target", "pretrain --seed 1", "pretrain --seed 2", "evaluate --round r00"]
    names = "--round r01 --start r00"
    for name in (*lines, f"extract {names}", f"cluster {names}", f"train {names}", "evaluate --round r01", "last"):
        stage(monkeypatch, name)
    given = read_pseudo_labels(Path("data/rounds/r01/pseudo_labels.csv"), files).classes
    assert [int((given != np.arange(24) % 4)[pid::4].sum()) for pid in range(4)] == [3, 3, 3, 3]
    assert "consistency" not in json.loads(Path("data/rounds/r01/clustering.json").read_text())["label_free"]
    believed = np.load("data/retrieval/last/believed.npy")
    assert believed.shape == (2, 24)
    assert 0 <= believed.min() <= believed.max() <= 3
    stage(monkeypatch, "report")
    found = json.loads(Path("metrics/summary.json").read_text())
    train = Index(files, np.arange(24) % 4 + 1, camids)
    assert found["last_believed_ari"] == round(believed_quality(believed, train)["ari"], 6)
    assert re.search(r"and were told\): NMI [\d.]+ \([\d.]+\), ARI -?[\d.]+ \(-?[\d.]+\)\.", read("metrics/results.md"))
    card = read("adapted/README.md")
    assert "with its labels by `mmt`" in card
    assert "training images were used in training**, in place of clusters, with 50% of them made wrong" in card
    assert "No label of the target" not in card


def read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")
