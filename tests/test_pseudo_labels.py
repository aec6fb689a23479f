"""Pseudo labels on disk."""

import re
from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.clusters.pseudo_labels import PseudoLabels, cluster_means, read_pseudo_labels, write_pseudo_labels

FILES = ["0002_c1s1.jpg", "sub/ä, b.jpg", 'quo"te.jpg', "new\nline.jpg", "r\udce9n.jpg"]
LABELS = np.array([3, -1, 0, 4, 3], np.int64)
WEIGHTS = np.array([1, 0, 1 / 3, 2.5, 1e-7], np.float32)
KEPT = np.array([True, False, True, False, True])
SOFT = np.array(
    [[0, 0, 0.25, 0.75, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0.1, 0.2, 0.3, 0.3, 0.1], [0, 0, 0, 1 / 3, 2 / 3]],
    np.float32,
)


def test_labels_come_back_whatever_the_files_are_called(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, FILES, PseudoLabels(LABELS))
    found = read_pseudo_labels(path, FILES)
    assert found.classes.dtype == np.int64
    np.testing.assert_array_equal(found.classes, LABELS)
    assert (found.weights, found.kept, found.soft) == (None, None, None)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weights"])
@pytest.mark.parametrize("kept", [None, KEPT], ids=["", "mask"])
@pytest.mark.parametrize("soft", [None, SOFT], ids=["", "soft labels"])
def test_what_comes_with_the_labels_comes_back_to_the_bit(
    tmp_path: Path, weights: np.ndarray | None, kept: np.ndarray | None, soft: np.ndarray | None
) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, FILES, PseudoLabels(LABELS, weights, kept, soft))
    found = read_pseudo_labels(path, FILES)
    np.testing.assert_array_equal(found.classes, LABELS)
    for ours, theirs in ((found.weights, weights), (found.kept, kept), (found.soft, soft)):
        if theirs is None:
            assert ours is None
        else:
            assert ours is not None
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_random_weights_and_soft_labels_come_back_to_the_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files, classes = [f"{i}.jpg" for i in range(300)], np.arange(300) % 12
    soft = rng.dirichlet(np.full(12, 0.2), 300).astype(np.float32)
    weights = (10.0 ** rng.uniform(-30, 30, 300)).astype(np.float32)
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, files, PseudoLabels(classes, weights, None, soft))
    found = read_pseudo_labels(path, files)
    np.testing.assert_array_equal(found.weights, weights)
    np.testing.assert_array_equal(found.soft, soft)


def test_the_file_is_plain_csv(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, ["a.jpg", "b.jpg"], PseudoLabels(np.array([1, -1])))
    assert path.read_bytes() == b"file,cluster\na.jpg,1\nb.jpg,-1\n"


def test_more_columns_are_plain_csv_too(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    soft = np.array([[0.25, 0.75], [0, 0], [1, 0]], np.float32)
    labels = PseudoLabels(np.array([1, -1, 0]), np.array([0.5, 1, 2], np.float32), np.array([True, True, False]), soft)
    write_pseudo_labels(path, ["a.jpg", "b.jpg", "c.jpg"], labels)
    assert path.read_text().splitlines() == [
        "file,cluster,weight,kept,soft",
        "a.jpg,1,0.5,1,0:0.25 1:0.75",
        "b.jpg,-1,1,1,",
        "c.jpg,0,2,0,0:1",
    ]


def test_trained_are_the_inliers_that_the_mask_keeps() -> None:
    assert PseudoLabels(LABELS).trained.tolist() == [True, False, True, True, True]
    # a mask cannot bring an outlier back
    assert PseudoLabels(LABELS, kept=~KEPT).trained.tolist() == [False, False, False, True, False]
    assert PseudoLabels(LABELS, kept=KEPT).trained.tolist() == [True, False, True, False, True]


def test_of_some_rows_there_is_what_belongs_to_them_in_their_order() -> None:
    rows = np.array([4, 0, 4, 2])
    classes, weights, soft = PseudoLabels(LABELS, WEIGHTS, KEPT, SOFT).of(rows)
    assert classes.tolist() == [3, 3, 3, 0]
    assert weights is not None
    assert soft is not None
    assert weights.tolist() == [WEIGHTS[i] for i in rows]
    assert soft.tolist() == [SOFT[i].tolist() for i in rows]
    assert PseudoLabels(LABELS).of(rows)[1:] == (None, None)


def test_other_images_or_another_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    write_pseudo_labels(path, FILES, PseudoLabels(LABELS))
    for files in (FILES[::-1], FILES[:-1], [*FILES, "more.jpg"], ["other.jpg", *FILES[1:]]):
        with pytest.raises(InputError, match=f"expected the {len(files)} target training images, in order"):
            read_pseudo_labels(path, files)


@pytest.mark.parametrize(
    "labels",
    [
        PseudoLabels(LABELS[:-1]),
        PseudoLabels(LABELS, weights=WEIGHTS[:-1]),
        PseudoLabels(LABELS, kept=KEPT[:-1]),
        PseudoLabels(LABELS, soft=SOFT[:-1]),
    ],
    ids=["labels", "weights", "mask", "soft labels"],
)
def test_labels_and_files_must_be_as_many(tmp_path: Path, labels: PseudoLabels) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_pseudo_labels(tmp_path / "pseudo_labels.csv", FILES, labels)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        read_pseudo_labels(tmp_path / "pseudo_labels.csv", FILES)


def refusal(path: Path, content: str, files: list[str]) -> str:
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        read_pseudo_labels(path, files)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "file,pid\na.jpg,1\n",
        "a.jpg,1\n",
        "file,cluster\na.jpg\n",
        "file,cluster\n\na.jpg,1\n",
        "file,cluster\n",
        "file,cluster,weight\na.jpg,0\n",
        "file,cluster\na.jpg,0,1\n",
        "file,cluster,confidence\na.jpg,0,1\n",
        "file,cluster,kept,weight\na.jpg,0,1,1\n",
        "file,cluster,weight,weight\na.jpg,0,1,1\n",
        "cluster,file\n0,a.jpg\n",
        "weight,file,cluster\n1,a.jpg,0\n",
    ],
    ids=[
        "empty",
        "other columns",
        "no header",
        "no label",
        "blank line",
        "no line",
        "no weight",
        "a value too many",
        "unknown column",
        "another order",
        "twice the same",
        "labels first",
        "weights first",
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pseudo_labels.csv"
    message = refusal(path, content, ["a.jpg"])
    assert re.match(
        rf"{path}: (line \d+: )?expected (the header )?(file,cluster|the 1 target training images)", message
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("cluster", value) for value in ("x", "", "0.5", "-2", "2", "1" * 5000, "nan", "\u0661", " 1")),
        *(("weight", value) for value in ("x", "", "-0.1", "nan", "inf", "-inf", "1e60", "\u0661")),
        *(("kept", value) for value in ("2", "", "True", "-1", "1.0")),
        *(("soft", value) for value in ("x", "1", "0:0.5", "0:0.5 1:0.6", "2:1", "-1:1", "0:nan", "0:1.5 1:-0.5")),
        *(
            ("soft", value)
            for value in ("", "0:1:1", "0:0.5,1:0.5", "0.5:1", "0:inf", "0:0.5 0:1", "0:1e60", "\u0660:1")
        ),
    ],
)
def test_bad_values_are_refused_in_a_line(tmp_path: Path, column: str, value: str) -> None:
    path = tmp_path / "pseudo_labels.csv"
    good = {"file": "a.jpg", "cluster": "0", "weight": "1", "kept": "1", "soft": "0:0.5 1:0.5"}

    def table(*rows: dict[str, str]) -> str:
        return "".join(f"{','.join(row)}\n" for row in ([*good], *(row.values() for row in rows)))

    other = good | {"file": "b.jpg", "cluster": "1"}
    path.write_text(table(good, other))
    read_pseudo_labels(path, ["a.jpg", "b.jpg"])  # nothing but the value is wrong
    quoted = f'"{value}"' if "," in value else value
    message = refusal(path, table(good | {column: quoted}, other), ["a.jpg", "b.jpg"])
    assert message.startswith(f"{path}: {column} of row 1: expected ")
    assert len(message) < 300


def test_only_images_that_are_trained_on_need_a_soft_label(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    path.write_text("file,cluster,kept,soft\na.jpg,0,1,0:1\nb.jpg,-1,1,\nc.jpg,0,0,\n")
    found = read_pseudo_labels(path, ["a.jpg", "b.jpg", "c.jpg"])
    assert found.soft is not None
    assert found.soft.tolist() == [[1], [0], [0]]


def test_means_of_clusters_leave_outliers_out() -> None:
    features = np.array([[1, 0], [9, 9], [3, 2], [5, 5]], np.float32)
    assert cluster_means(features, np.array([1, -1, 1, 0])).tolist() == [[5, 5], [2, 1]]
