"""Pseudo labels on disk."""

from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.clusters.pseudo_labels import cluster_means, read_pseudo_labels, write_pseudo_labels

FILES = ["0002_c1s1.jpg", "sub/ä, b.jpg", 'quo"te.jpg', "new\nline.jpg", "r\udce9n.jpg"]
LABELS = np.array([3, -1, 0, 12, 3], np.int64)


def test_labels_come_back_whatever_the_files_are_called(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, FILES, LABELS)
    found = read_pseudo_labels(path, FILES)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, LABELS)


def test_the_file_is_plain_csv(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, ["a.jpg", "b.jpg"], np.array([1, -1]))
    assert path.read_bytes() == b"file,cluster\na.jpg,1\nb.jpg,-1\n"


def test_other_images_or_another_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, FILES, LABELS)
    for files in (FILES[::-1], FILES[:-1], [*FILES, "more.jpg"], ["other.jpg", *FILES[1:]]):
        with pytest.raises(InputError, match=f"of the {len(files)} target training images"):
            read_pseudo_labels(path, files)


def test_labels_and_files_must_be_as_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_pseudo_labels(tmp_path / "pseudo_labels.csv", FILES, LABELS[:-1])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        read_pseudo_labels(tmp_path / "pseudo_labels.csv", FILES)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "file,pid\na.jpg,1\n",
        "a.jpg,1\n",
        "file,cluster\na.jpg\n",
        "file,cluster\na.jpg,x\n",
        "file,cluster\n\na.jpg,1\n",
    ],
    ids=["empty", "other columns", "no header", "no label", "no number", "blank line"],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pseudo_labels.csv"
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        read_pseudo_labels(path, ["a.jpg"])
    assert str(refused.value).startswith(f"{path}: expected file,cluster")


def test_means_of_clusters_leave_outliers_out() -> None:
    features = np.array([[1, 0], [9, 9], [3, 2], [5, 5]], np.float32)
    assert cluster_means(features, np.array([1, -1, 1, 0])).tolist() == [[5, 5], [2, 1]]
