"""Data of one's own: a list, or folders, from texts to pids and cameras; what is not known, and what is refused."""

import codecs
from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.datasets.checks import check_source, check_target, identities
from mutual.datasets.layouts import read_dataset
from mutual.datasets.own import Reading, Row, numbered
from mutual.datasets.places import image_folders
from mutual.datasets.tracked import unseen
from mutual.images.index import UNKNOWN, read_further, read_index, write_index
from tests.test_datasets import rows, touch

ANIMALS = """\
image_id,identity,path,date,orientation,split
0,Ömer,photos/a.jpg,2020-01-05,left,train
1,bella,photos/b.jpg,2020-01-06,right,train
2,unknown,photos/c.jpg,,left,train
3,bella,photos/d.jpg,2020-01-07,left,train
4,cleo,photos/e.jpg,2020-02-01,left,query
5,cleo,photos/f.jpg,2020-02-02,"left, then right",gallery
"""


def listed(root: Path, text: str | bytes, files: str = "") -> Path:
    """A root with this images.csv and pictures of these names."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "images.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    for file in files.split():
        touch(root / file)
    return root


def animals(root: Path, text: str | bytes = ANIMALS) -> Path:
    return listed(root, text, " ".join(f"photos/{letter}.jpg" for letter in "abcdef"))


def pictures(root: Path, files: str) -> Path:
    for file in files.split():
        touch(root / file)
    return root


def found(reading: Reading) -> dict[str, list[tuple[str, int, int]]]:
    return {split: rows(index) for split, index in reading.splits.items()}


# --- texts become numbers --------------------------------------------------------------------------------------------


def test_names_become_numbers_in_sorted_order_over_all_splits(tmp_path: Path) -> None:
    reading = read_dataset(animals(tmp_path), "csv")
    # bella, cleo, Ömer: 1, 2, 3; no cameras: each image has its own
    assert found(reading) == {
        "train": [
            ("photos/a.jpg", 3, 1),
            ("photos/b.jpg", 1, 2),
            ("photos/c.jpg", UNKNOWN, 3),
            ("photos/d.jpg", 1, 4),
        ],
        "query": [("photos/e.jpg", 2, 5)],
        "gallery": [("photos/f.jpg", 2, 6)],
    }
    assert reading.remarks == [
        "train: 1 of 4 images have no pid",
        "cameras are not known: each image counts as its own",
        "pids 1 to 3 are the identities in sorted order, whose names are kept in the column identity",
    ]
    assert reading.further["gallery"] == {
        "image_id": ["5"],
        "date": ["2020-02-02"],
        "orientation": ["left, then right"],
        "identity": ["cleo"],
    }
    assert identities(reading.splits["train"], "csv") == (2, 0)
    assert check_target(tmp_path, reading.splits) == []
    with pytest.raises(InputError, match=r"1 of 4 images of train have no pid"):
        check_source(tmp_path, reading.splits)


def test_what_a_list_has_further_is_kept_beside_the_packed_images(tmp_path: Path) -> None:
    reading = read_dataset(animals(tmp_path / "set"), "csv")
    write_index(tmp_path / "train.csv", reading.splits["train"], reading.further["train"])
    assert rows(read_index(tmp_path / "train.csv")) == rows(reading.splits["train"])
    assert read_further(tmp_path / "train.csv") == reading.further["train"]
    assert (tmp_path / "train.csv").read_text().splitlines()[:2] == [
        "file,pid,camid,image_id,date,orientation,identity",
        "photos/a.jpg,3,1,0,2020-01-05,left,Ömer",
    ]


def test_whole_numbers_stay_what_they_are(tmp_path: Path) -> None:
    text = "camid,file,pid\n7,a.jpg,0012\n8,b.jpg,5\n,c.jpg,\n7,d.jpg,-1\n"
    reading = read_dataset(listed(tmp_path, text, "a.jpg b.jpg c.jpg d.jpg"), "csv")
    assert found(reading)["train"] == [
        ("a.jpg", 12, 7),
        ("b.jpg", 5, 8),
        ("c.jpg", UNKNOWN, 9),
        ("d.jpg", UNKNOWN, 7),
    ]
    assert reading.further["train"] == {}
    assert reading.remarks == [
        "train: 2 of 4 images have no pid",
        "1 of 4 images have no camera: each counts as its own",
    ]


def test_cameras_may_have_names(tmp_path: Path) -> None:
    text = "path,camera\na.jpg,south\nb.jpg,north\nc.jpg,south\n"
    reading = read_dataset(listed(tmp_path, text, "a.jpg b.jpg c.jpg"), "csv")
    assert reading.splits["train"].camid.tolist() == [2, 1, 2]
    assert reading.further["train"] == {"camera": ["south", "north", "south"]}
    assert reading.remarks[-1].startswith("camids 1 to 2 are the cameras in sorted order")


def test_a_list_of_files_alone_is_an_unlabelled_training_set(tmp_path: Path) -> None:
    reading = read_dataset(listed(tmp_path, "file\nb.jpg\na.jpg\n", "a.jpg b.jpg"), "csv")
    assert found(reading) == {"train": [("a.jpg", UNKNOWN, 1), ("b.jpg", UNKNOWN, 2)], "query": [], "gallery": []}
    (line,) = check_target(tmp_path, reading.splits)
    assert "no labelled test images: query and gallery have no images; adaptation runs" in line
    with pytest.raises(InputError, match=r"expected a labelled test set"):
        check_source(tmp_path, reading.splits)


def test_every_second_test_image_of_an_identity_is_a_query(tmp_path: Path) -> None:
    test = [Row(f"{number}.jpg", who, "") for number, who in enumerate(["a", "b", "a", "a", "", "", "b", "c", "a"])]
    reading = numbered({"train": [Row("t.jpg", "a", "")], "test": list(reversed(test))}, [])
    names = {split: index.file for split, index in reading.splits.items()}
    assert names == {
        "train": ["t.jpg"],
        "query": ["2.jpg", "6.jpg", "8.jpg"],
        "gallery": ["0.jpg", "1.jpg", "3.jpg", "4.jpg", "5.jpg", "7.jpg"],
    }
    assert reading.remarks[0] == "test: of each identity every second image is a query, the others are the gallery"
    camids = np.concatenate([index.camid for index in reading.splits.values()])
    assert sorted(camids.tolist()) == list(range(1, 11))


# --- the list, as programs write it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        codecs.BOM_UTF8 + ANIMALS.encode(),
        ANIMALS.replace("\n", "\r\n").encode(),
        ANIMALS.replace("photos/", ".\\photos\\").encode(),
        ANIMALS.replace('"left, then right"', "left\\ then right").replace(",", ";").replace("\\", ",").encode(),
        ANIMALS.replace("identity,path", " Identity ,PATH").replace("train", " Train ").encode(),
        (ANIMALS + "\n\n,,,,,\n").encode(),
    ],
    ids=["BOM", "CRLF", "backslashes", "semicolons", "capitals", "blank lines"],
)
def test_a_list_is_read_however_it_was_written(tmp_path: Path, text: bytes) -> None:
    plain, other = (read_dataset(animals(tmp_path / name, data), "csv") for name, data in (("a", ANIMALS), ("b", text)))
    assert found(other) == found(plain)
    assert other.further == plain.further


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1: expected a header with a column file (or path), found ''"),
        ("pid,camid\n1,2\n", "line 1: expected a header with a column file (or path), found 'pid,camid'"),
        ("file,pid,identity\na.jpg,1,x\n", "line 1: expected one of the columns pid and identity, which mean the same"),
        ("file,date,Date\na.jpg,1,2\n", "line 1: expected columns of different names, found 'date' twice"),
        ("file,pid\na.jpg,1\nb.jpg\n", "line 3: expected 2 cells, as many as line 1 has, found 1"),
        ("file,pid\na.jpg,1\n\nc.jpg,2\n", "line 4: 'c.jpg': not found in "),
        ("file\na.jpg\nb.jpg\n./a.jpg\n", "line 4: 'a.jpg' stands in line 2 already: expected a line an image"),
        ("file\n../a.jpg\n", "line 2: expected a path below "),
        ("file\nx/../../a.jpg\n", "line 2: expected a path below "),
        ("file\n/etc/passwd\n", "line 2: expected a path below "),
        ("file\nC:\\a.jpg\n", "line 2: expected a path below "),
        ("file,pid\n,1\n", "line 2: expected the path of an image, found none"),
        ("file,split\na.jpg,val\n", "line 2: split: expected train, query, gallery or test, found 'val'"),
        ('file\n"a.jpg\nb.jpg\n', "line 3: expected comma-separated values: unexpected end of data"),
        ("file\na\0.jpg\n", "line 2: expected text, found a NUL"),
        (b"file\na.jpg\n\xe4.jpg\n", "line 3: not UTF-8: save it as CSV in UTF-8"),
        ("file\n".encode("utf-16"), "line 1: not UTF-8: save it as CSV in UTF-8"),
    ],
)
def test_a_list_that_is_wrong_is_refused_by_the_line(tmp_path: Path, text: str | bytes, fault: str) -> None:
    root = listed(tmp_path / "set", text, "a.jpg b.jpg")
    touch(tmp_path / "a.jpg")
    with pytest.raises(InputError) as refused:
        read_dataset(root, "csv")
    assert str(refused.value).startswith(f"{root}/images.csv: {fault}")
    assert str(refused.value).isprintable()


def test_a_list_without_training_images_or_of_another_name(tmp_path: Path) -> None:
    root = listed(tmp_path / "set", "file,split\na.jpg,query\n", "a.jpg b.jpg")
    with pytest.raises(InputError, match=r"set: no images for train: expected lines with split train.*1 not in images"):
        read_dataset(root, "csv")
    (root / "images.csv").rename(root / "labels.csv")
    with pytest.raises(
        InputError, match=r"images\.csv: not found, but the layout csv has it; rename labels\.csv to it$"
    ):
        read_dataset(root, "csv")


def test_what_no_line_names_is_counted(tmp_path: Path) -> None:
    root = listed(tmp_path, "file\nx/a.jpg\n", "x/a.jpg x/b.jpg c.jpg readme.txt .DS_Store")
    left_out = read_dataset(root, "csv").remarks[0].partition(": left out: ")[2]
    assert left_out == (
        "2 not in images.csv (c.jpg and 1 more), 1 hidden (.DS_Store), 1 of no image format that is read here"
        " (readme.txt)"
    )


# --- folders ---------------------------------------------------------------------------------------------------------

TREE = "bella/1.jpg bella/2019/2.jpg omar/1.jpg 9.jpg"


@pytest.mark.parametrize(
    ("layout", "pids", "cameras"),
    [
        ("folders", [UNKNOWN, 1, 1, 2], [1, 2, 3, 4]),
        ("camera_folders", [UNKNOWN] * 4, [3, 1, 1, 2]),
        ("heap", [UNKNOWN] * 4, [1, 2, 3, 4]),
    ],
)
def test_the_first_folder_is_the_identity_or_the_camera_or_nothing(
    tmp_path: Path, layout: str, pids: list[int], cameras: list[int]
) -> None:
    reading = read_dataset(pictures(tmp_path, TREE), layout)
    train = reading.splits["train"]
    assert train.file == ["9.jpg", "bella/1.jpg", "bella/2019/2.jpg", "omar/1.jpg"]
    assert train.pid.tolist() == pids
    assert train.camid.tolist() == cameras
    assert [len(index) for index in reading.splits.values()] == [4, 0, 0]


def test_folders_named_like_splits_are_splits(tmp_path: Path) -> None:
    tree = " ".join(f"{split}/{name}" for split in ("train", "query", "gallery") for name in TREE.split())
    root = pictures(tmp_path, f"{tree} val/cleo/1.jpg poster.jpg train/.thumbs/1.jpg")
    reading = read_dataset(root, "folders")
    assert [index.pid.tolist() for index in reading.splits.values()] == [[UNKNOWN, 1, 1, 2]] * 3
    assert reading.splits["query"].file[1] == "query/bella/1.jpg"
    assert reading.remarks[0].partition(": left out: ")[2] == (
        "2 beside train, query, gallery and test (poster.jpg and 1 more), 1 hidden (train/.thumbs/)"
    )
    assert reading.further["query"] == {"identity": ["", "bella", "bella", "omar"]}


def test_a_folder_of_test_images_is_divided(tmp_path: Path) -> None:
    root = pictures(tmp_path, "train/1/a.jpg train/2/a.jpg test/3/a.jpg test/3/b.jpg test/3/c.jpg")
    reading = read_dataset(root, "folders")
    assert found(reading)["query"] == [("test/3/b.jpg", 3, 3)]
    assert found(reading)["gallery"] == [("test/3/a.jpg", 3, 4), ("test/3/c.jpg", 3, 5)]
    assert check_target(tmp_path, reading.splits) == []


def test_splits_may_be_written_in_capitals(tmp_path: Path) -> None:
    reading = read_dataset(pictures(tmp_path, "Train/bella/1.jpg QUERY/omar/1.jpg Gallery/omar/2.jpg"), "folders")
    assert {split: len(rows) for split, rows in found(reading).items()} == {"train": 1, "query": 1, "gallery": 1}


@pytest.mark.parametrize("layout", ["folders", "camera_folders", "heap"])
def test_a_folder_without_images(tmp_path: Path, layout: str) -> None:
    for files, left_out in (("", ""), ("query/a.jpg", ""), ("notes.txt", "; left out: 1 of no image format")):
        root = pictures(tmp_path / (files.replace("/", "_") or "empty"), files)
        root.mkdir(exist_ok=True)
        with pytest.raises(InputError, match=r"no images for train: expected images in the folder train") as refused:
            read_dataset(root, layout)
        assert left_out in str(refused.value)
    with pytest.raises(InputError, match=r"nowhere: not found: expected the folder of a data set"):
        read_dataset(tmp_path / "nowhere", layout)


def test_one_image(tmp_path: Path) -> None:
    (line,) = found(read_dataset(pictures(tmp_path, "a.jpg"), "heap"))["train"]
    assert line == ("a.jpg", UNKNOWN, 1)


@pytest.mark.parametrize("layout", ["csv", "folders", "camera_folders", "heap"])
def test_of_these_layouts_dvc_must_see_all(tmp_path: Path, layout: str) -> None:
    root = pictures(tmp_path / "set", TREE)
    assert list(unseen(root, image_folders(layout), "target_root")) == []
    (root / "omar" / "more").symlink_to(root / "bella")
    (root / ".cache").symlink_to(root / "bella")
    (line,) = unseen(root, image_folders(layout), "target_root")
    assert line.startswith(f"{root}/omar/more: a linked folder, behind which DVC sees no change")
