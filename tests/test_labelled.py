"""Testing on a few images that somebody labelled later."""

from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.base.store import write_array
from mutual.evaluation.labelled import known_identities, labelled_images, query_and_gallery
from mutual.evaluation.ranking import rank_distances
from mutual.images.index import UNKNOWN, Index, read_index, write_index


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A target without a label: image i of the set is grey value i; two of them are gallery, none is query."""
    files = {"train": ["b/0.jpg", "b/1.jpg", "b/2.jpg"], "query": [], "gallery": ["a/3.jpg", "c/4.jpg"]}
    for split, names in files.items():
        values = np.array([int(name[2]) for name in names], np.uint8)
        write_array(
            tmp_path / f"{split}.npy", np.broadcast_to(values[:, None, None, None], (len(names), 2, 2, 3)).copy()
        )
        unknown = np.full(len(names), UNKNOWN, np.int64)
        write_index(tmp_path / f"{split}.csv", Index(names, unknown, np.arange(len(names))))
    return tmp_path


def listed(packed: Path, text: str) -> Path:
    (packed / "labels.csv").write_text(text)
    return packed / "labels.csv"


def test_listed_images_are_found_wherever_they_lie(packed: Path) -> None:
    labels = listed(packed, "file,pid,camid\nb/2.jpg,rex,yard\na/3.jpg,rex,gate\nc/4.jpg,ada,\nb/0.jpg,ada,\n")
    images, index = labelled_images(packed, labels)
    assert index.file == ["a/3.jpg", "b/0.jpg", "b/2.jpg", "c/4.jpg"]
    assert images[:, 0, 0, 0].tolist() == [3, 0, 2, 4]
    assert index.pid.tolist() == [2, 1, 2, 1]  # names in sorted order
    assert len(set(index.camid.tolist())) == 4  # gate, yard, and two that are not known
    found = query_and_gallery(packed, labels)
    assert found["query"][1] is found["gallery"][1]
    # an image is no match of itself: each has one match, and the others are wrong
    distmat = np.array([[0, 3, 2, 1], [3, 0, 1, 2], [2, 1, 0, 3], [1, 2, 3, 0]], np.float32)
    ranking = rank_distances(distmat, index.pid, index.pid, index.camid, index.camid)
    assert ranking.first_match.tolist() == [2, 2, 2, 2]


def test_without_a_list_the_packed_splits_are_tested(packed: Path) -> None:
    found = query_and_gallery(packed, None)
    assert {split: len(index) for split, (_, index) in found.items()} == {"query": 0, "gallery": 2}


def test_of_the_training_images_only_the_listed_are_known(packed: Path) -> None:
    labels = listed(packed, "file,pid\nb/2.jpg,7\na/3.jpg,7\n")
    train = known_identities(read_index(packed / "train.csv"), labelled_images(packed, labels)[1])
    assert train.pid.tolist() == [UNKNOWN, UNKNOWN, 7]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "file,pid\nb/9.jpg,1\n",
            r"labels.csv: line 2: 'b/9.jpg' is no image of the target",
        ),
        ("file,pid\nb/0.jpg,1\nb/1.jpg,\n", r"labels.csv: line 3: expected a pid of .b/1.jpg"),
        ("file,pid\nb/0.jpg,1\nb/0.jpg,1\n", r"labels.csv: line 3: .*b/0.jpg.* stands in line 2 already"),
        ("file,pid\nb/0.jpg,1\nb/1.jpg,2\n", r"labels.csv: expected two images of a pid, of different cameras"),
        ("file,pid,camid\nb/0.jpg,1,x\nb/1.jpg,1,x\n", r"labels.csv: expected two images of a pid, of different"),
        ("file\nb/0.jpg\nb/1.jpg\n", r"labels.csv: expected a column pid \(or identity\) with one for each image"),
        ("pid\n1\n", r"labels.csv: line 1: expected a header with a column file"),
        ("", r"labels.csv"),
    ],
)
def test_a_list_that_cannot_be_tested_on_is_one_line(packed: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as caught:
        labelled_images(packed, listed(packed, text))
    assert "\n" not in str(caught.value)
