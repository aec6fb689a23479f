"""The published layouts, drawn small: what is read, in which order, and what is refused in one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.datasets.checks import (
    MATCH,
    check_counts,
    check_identities,
    check_matches,
    check_source,
    check_target,
    identities,
)
from mutual.datasets.layouts import read_dataset
from mutual.datasets.packing import pack
from mutual.images.index import (
    UNKNOWN,
    Index,
    matched,
    read_cameras,
    read_further,
    read_images,
    read_index,
    read_split,
    relabel,
    write_index,
)

MARKET = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000776_01.jpg", "0007_c3s3_077419_03.jpg"],
    "query": ["0001_c1s1_001051_00.jpg", "0003_c2s3_064562_00.jpg"],
    "bounding_box_test": [
        "0000_c1s1_000151_01.jpg",
        "0000_c6s4_002427_05.jpg",
        "-1_c2s1_000301_02.jpg",
        "0001_c3s1_007351_00.jpg",
        "0003_c2s3_064562_01.jpg",
        "0003_c5s3_065187_01.jpg",
    ],
}
DUKE = {
    "bounding_box_train": ["0001_c2_f0046182.jpg", "0001_c7_f0046302.jpg", "0005_c8_f0000001.jpg"],
    "query": ["0004_c1_f0049000.jpg"],
    "bounding_box_test": ["0004_c4_f0051003.jpg", "7139_c2_f0160815.jpg"],
}
MSMT = {
    "list_train.txt": ["0000/0000_000_01_0303morning_0008_0.jpg 0", "0001/0001_003_14_0303noon_0100_2.jpg 1"],
    "list_val.txt": ["0000/0000_044_15_0303morning_0020_1.jpg 0"],
    "list_query.txt": ["0000/0000_000_01_0303morning_0015_0.jpg 0"],
    "list_gallery.txt": ["0000/0000_002_05_0303noon_0042_3.jpg 0", "0012/0012_002_05_0303noon_0042_3.jpg 12"],
}


def read(root: Path, layout: str) -> dict[str, Index]:
    return read_dataset(root, layout)[0]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def folders(root: Path, content: dict[str, list[str]]) -> Path:
    for folder, names in content.items():
        for name in names:
            touch(root / folder / name)
    return root


def msmt17(root: Path) -> Path:
    for name, lines in MSMT.items():
        for line in lines:
            touch(root / ("train" if name in ("list_train.txt", "list_val.txt") else "test") / line.split()[0])
        (root / name).write_text("".join(f"{line}\n" for line in lines))
    return root


def rows(index: Index) -> list[tuple[str, int, int]]:
    return list(zip(index.file, index.pid.tolist(), index.camid.tolist(), strict=True))


def test_market1501_drops_junk_and_keeps_distractors(tmp_path: Path) -> None:
    splits = read(folders(tmp_path, MARKET), "market1501")
    assert list(splits) == ["train", "query", "gallery"]
    assert rows(splits["query"]) == [("query/0001_c1s1_001051_00.jpg", 1, 1), ("query/0003_c2s3_064562_00.jpg", 3, 2)]
    assert [(pid, camid) for _, pid, camid in rows(splits["gallery"])] == [(0, 1), (0, 6), (1, 3), (3, 2), (3, 5)]
    assert splits["train"].pid.dtype == splits["train"].camid.dtype == np.int64
    assert identities(splits["gallery"], "market1501") == (2, 2)
    assert check_matches(tmp_path, splits["query"], splits["gallery"]) == []


@pytest.mark.parametrize("folder", ["bounding_box_train", "query"])
def test_a_distractor_outside_the_gallery_is_refused(tmp_path: Path, folder: str) -> None:
    root = folders(tmp_path, MARKET)
    touch(root / folder / "0000_c3s1_000151_01.jpg")
    with pytest.raises(InputError, match=f"{folder}/0000_c3s1_000151_01.jpg: pid 0 is a distractor, expected in bound"):
        read(root, "market1501")


def test_dukemtmc(tmp_path: Path) -> None:
    splits = read(folders(tmp_path, DUKE), "dukemtmc")
    assert [(pid, camid) for _, pid, camid in rows(splits["train"])] == [(1, 2), (1, 7), (5, 8)]
    assert rows(splits["gallery"])[1] == ("bounding_box_test/7139_c2_f0160815.jpg", 7139, 2)


def test_msmt17_joins_train_and_val_and_has_an_ordinary_pid_0(tmp_path: Path) -> None:
    splits = read(msmt17(tmp_path), "msmt17")
    assert rows(splits["train"]) == [
        ("train/0000/0000_000_01_0303morning_0008_0.jpg", 0, 1),
        ("train/0000/0000_044_15_0303morning_0020_1.jpg", 0, 15),
        ("train/0001/0001_003_14_0303noon_0100_2.jpg", 1, 14),
    ]
    assert rows(splits["gallery"])[1] == ("test/0012/0012_002_05_0303noon_0042_3.jpg", 12, 5)
    assert identities(splits["gallery"], "msmt17") == (2, 0)


def test_msmt17_in_its_second_version(tmp_path: Path) -> None:
    expected = rows(read(msmt17(tmp_path), "msmt17")["query"])
    for old, new in (("train", "mask_train_v2"), ("test", "mask_test_v2")):
        (tmp_path / old).rename(tmp_path / new)
    splits = read(tmp_path, "msmt17")
    assert rows(splits["query"]) == [(f"mask_{file.replace('/', '_v2/', 1)}", *rest) for file, *rest in expected]
    assert {file.partition("/")[0] for file in splits["train"].file} == {"mask_train_v2"}
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"expected one of the folders train and mask_train_v2, found both$"):
        read(tmp_path, "msmt17")


def test_msmt17_lists_with_backslashes(tmp_path: Path) -> None:
    expected = rows(read(msmt17(tmp_path), "msmt17")["gallery"])
    path = tmp_path / "list_gallery.txt"
    path.write_text(path.read_text().replace("/", "\\"))
    assert rows(read(tmp_path, "msmt17")["gallery"]) == expected


@pytest.mark.parametrize("path", ["../train/0000/0000_000_01_x.jpg", "/0000/0000_000_01_x.jpg"])
def test_a_list_does_not_lead_out_of_its_folder(tmp_path: Path, path: str) -> None:
    (msmt17(tmp_path) / "list_query.txt").write_text(f"{path} 0\n")
    with pytest.raises(InputError, match=r"list_query.txt: line 1: expected a path below test, got "):
        read(tmp_path, "msmt17")


def test_msmt17_lists_from_windows(tmp_path: Path) -> None:
    expected = rows(read(msmt17(tmp_path), "msmt17")["query"])
    path = tmp_path / "list_query.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert rows(read(tmp_path, "msmt17")["query"]) == expected


def test_rows_are_in_byte_order(tmp_path: Path) -> None:
    folders(tmp_path, MARKET)
    for name in ("12_c3.jpg", "2_c1.PNG", "10_c2é.jpeg", "10_c2z.BMP", "10_c2Z.JPG"):
        touch(tmp_path / "bounding_box_train" / name)
    files = read(tmp_path, "market1501")["train"].file
    assert [file.partition("/")[2] for file in files] == [
        *MARKET["bounding_box_train"],
        "10_c2Z.JPG",
        "10_c2z.BMP",
        "10_c2é.jpeg",
        "12_c3.jpg",
        "2_c1.PNG",
    ]


@pytest.mark.parametrize(
    ("layout", "content", "name", "like"),
    [
        ("market1501", MARKET, "IMG_20240101.jpg", ""),
        (
            "market1501",
            MARKET,
            "0002_cam1.png",
            "; if cameras are not known, give each image of a person its own: 0002_c1_…, 0002_c2_…",
        ),
        ("market1501", MARKET, "c1_0002.png", ""),
        (
            "market1501",
            MARKET,
            "0002/7.png",
            "; the folder's name is not read: rename the image, to 0002_c1_7.png for instance",
        ),
        ("market1501", MARKET, "99999999999999999999_c1.jpg", ""),  # fits no int64
        ("dukemtmc", DUKE, "0002_c1s1_000451_03.jpg", "; market1501 has such names"),
    ],
)
def test_a_name_that_does_not_parse(
    tmp_path: Path, layout: str, content: dict[str, list[str]], name: str, like: str
) -> None:
    touch(folders(tmp_path, content) / "query" / name)
    with pytest.raises(InputError) as caught:
        read(tmp_path, layout)
    assert str(caught.value).startswith(f"{tmp_path / 'query' / name}: {layout} expects names PID_cCAMERA")
    assert str(caught.value).endswith(".jpg" + like)


def test_a_missing_root(tmp_path: Path) -> None:
    touch(tmp_path / "file")
    for name, fault in (
        ("nowhere", "not found: expected the folder of a data set"),
        ("file", "expected the folder of a data set, found a file"),
    ):
        with pytest.raises(InputError, match=f"^{tmp_path / name}: {fault}$"):
            read(tmp_path / name, "market1501")


def test_another_layout_is_recognised(tmp_path: Path) -> None:
    folders(tmp_path / "a", MARKET)
    msmt17(tmp_path / "b")
    with pytest.raises(
        InputError, match=r"a/train: not found, but .* msmt17 has it \(or mask_train_v2\); this looks like market1501"
    ):
        read(tmp_path / "a", "msmt17")
    with pytest.raises(InputError, match=r"bounding_box_train: not found, .* dukemtmc has it; this looks like msmt17"):
        read(tmp_path / "b", "dukemtmc")


def test_one_folder_too_high_or_too_low(tmp_path: Path) -> None:
    root = folders(tmp_path / "Market", MARKET)
    for wrong in (tmp_path, root / "query"):
        with pytest.raises(InputError, match=f"market1501 has it; try {root}$"):
            read(wrong, "market1501")


def test_a_missing_folder_or_a_file_in_its_place(tmp_path: Path) -> None:
    folders(tmp_path, {name: files for name, files in DUKE.items() if name != "bounding_box_train"})
    for _ in range(2):
        with pytest.raises(InputError, match=r"bounding_box_train: not found, but the layout dukemtmc has it$"):
            read(tmp_path, "dukemtmc")
        touch(tmp_path / "bounding_box_train")


@pytest.mark.parametrize(("folder", "split"), [("query", "query"), ("bounding_box_test", "gallery")])
def test_query_and_gallery_may_be_missing_which_is_said(tmp_path: Path, folder: str, split: str) -> None:
    folders(tmp_path, {name: files for name, files in DUKE.items() if name != folder})
    for _ in range(2):
        splits, remarks, _ = read_dataset(tmp_path, "dukemtmc")
        assert [name for name, index in splits.items() if not len(index)] == [split]
        assert remarks == [f"{folder}: not there: no images for {split}"]
        touch(tmp_path / folder)


def test_a_missing_folder_of_msmt17_has_two_names(tmp_path: Path) -> None:
    (msmt17(tmp_path) / "test").rename(tmp_path / "tests")
    with pytest.raises(InputError, match=r"test: not found, but the layout msmt17 has it \(or mask_test_v2\)$"):
        read(tmp_path, "msmt17")


def test_a_missing_list(tmp_path: Path) -> None:
    (msmt17(tmp_path) / "list_val.txt").unlink()
    with pytest.raises(InputError, match=r"list_val.txt: not found, but the layout msmt17 has it$"):
        read(tmp_path, "msmt17")


def test_a_listed_image_that_is_missing(tmp_path: Path) -> None:
    (msmt17(tmp_path) / "test/0012/0012_002_05_0303noon_0042_3.jpg").unlink()
    with pytest.raises(InputError, match=r"test/0012/0012_002_05\S+.jpg: not found, but line 2 of list_gallery.txt"):
        read(tmp_path, "msmt17")


@pytest.mark.parametrize(
    "line", ["0000/0000_000_01_x.jpg", "0000/0000_000_01_x.jpg -1", "0000/portrait.jpg 0", "\n0 1"]
)
def test_a_list_line_that_does_not_parse(tmp_path: Path, line: str) -> None:
    with (msmt17(tmp_path) / "list_train.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"list_train.txt: line 3: expected `path pid`"):
        read(tmp_path, "msmt17")


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (msmt17(tmp_path) / "list_train.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match=r"list_train.txt: expected a text file"):
        read(tmp_path, "msmt17")


@pytest.mark.parametrize("start", ["", "./", "0001/../", ".\\"])
def test_an_image_listed_in_train_and_in_val(tmp_path: Path, start: str) -> None:
    (msmt17(tmp_path) / "list_val.txt").write_text(start + MSMT["list_train.txt"][0])
    with pytest.raises(InputError, match=r"train/0000/0000_000_01_0303morning_0008_0.jpg is listed twice"):
        read(tmp_path, "msmt17")


def test_an_empty_train(tmp_path: Path) -> None:
    folders(tmp_path / "a", {**MARKET, "bounding_box_train": ["Thumbs.db"]})
    (msmt17(tmp_path / "b") / "list_train.txt").write_text("")
    (tmp_path / "b" / "list_val.txt").write_text("\n")
    for root, layout in (("a", "market1501"), ("b", "msmt17")):
        with pytest.raises(InputError, match=r"no images for train: expected files named PID_"):
            read(tmp_path / root, layout)


def test_an_empty_query_or_gallery(tmp_path: Path) -> None:
    folders(tmp_path / "a", {**MARKET, "query": ["Thumbs.db"]})
    folders(tmp_path / "b", {**MARKET, "bounding_box_test": ["-1_c2s1_000301_02.jpg"]})
    (msmt17(tmp_path / "c") / "list_query.txt").write_text("\n")
    for root, layout, split in (("a", "market1501", "query"), ("b", "market1501", "gallery"), ("c", "msmt17", "query")):
        splits = read(tmp_path / root, layout)
        assert [name for name, index in splits.items() if not len(index)] == [split]
        assert splits[split].pid.shape == splits[split].camid.shape == (0,)
        assert splits[split].pid.dtype == np.int64


def test_msmt17_without_its_test_images(tmp_path: Path) -> None:
    shutil.rmtree(msmt17(tmp_path) / "test")
    for name in ("list_query.txt", "list_gallery.txt"):
        (tmp_path / name).unlink()
    splits, remarks, _ = read_dataset(tmp_path, "msmt17")
    assert [len(splits[split]) for split in ("train", "query", "gallery")] == [3, 0, 0]
    assert remarks == [
        "list_query.txt: not there: no images for query",
        "list_gallery.txt: not there: no images for gallery",
    ]


VERI = {
    "image_train": ["0001_c016_00001290_0.jpg", "0001_c001_00016450_0.jpg"],
    "image_query": ["0002_c002_00030600_0.jpg"],
    "image_test": ["0002_c003_00030640_0.jpg", "0769_c019_00078685_0.jpg"],
}


def test_veri776(tmp_path: Path) -> None:
    splits = read(folders(tmp_path, VERI), "veri776")
    assert [[row[1:] for row in rows(index)] for index in splits.values()] == [
        [(1, 1), (1, 16)],
        [(2, 2)],
        [(2, 3), (769, 19)],
    ]
    (tmp_path / "image_query" / "0002_c002.jpg").touch()
    with pytest.raises(
        InputError, match=r"0002_c002.jpg: veri776 expects names PID_cCAMERA_TIME_NUMBER such as 0002_c"
    ):
        read(tmp_path, "veri776")


def index(*pairs: tuple[int, int]) -> Index:
    pid, camid = np.array(pairs, np.int64).reshape(-1, 2).T
    return Index([f"{number}.jpg" for number in range(len(pairs))], pid, camid)


def test_queries_without_a_match_are_counted() -> None:
    gallery = index((1, 1), (1, 2), (2, 1), (2, 1), (4, 3))
    assert check_matches(Path("set"), index((1, 1), (1, 2), (4, 1)), gallery) == []
    # pid 2 is seen by its own camera alone, pid 3 is not in the gallery
    (line,) = check_matches(Path("set"), index((1, 1), (2, 1), (2, 2), (3, 1)), gallery)
    assert line.startswith("set: 2 of 4 queries have no gallery image of the same pid in another camera")


def test_what_is_not_known_matches_nothing() -> None:
    query, gallery = index((UNKNOWN, 1), (1, 1), (2, 2)), index((UNKNOWN, 3), (1, 2), (2, 2))
    assert matched(query, gallery).tolist() == [False, True, False]
    assert matched(index(), gallery).shape == (0,)


NO_TEST = "set: no labelled test images: {}; adaptation runs, nothing is measured"


@pytest.mark.parametrize(
    ("query", "gallery", "reason"),
    [
        (index(), index(), "query and gallery have no images"),
        (index((1, 1)), index(), "gallery has no images"),
        (index((UNKNOWN, 1)), index((1, 2)), "no image of query has a pid"),
        (index((2, 1), (2, 1)), index((2, 1)), f"no query has {MATCH}: all are of camera 1"),
        (index((2, 1), (3, 1)), index((2, 1), (4, 2)), f"no query has {MATCH}, such as 0.jpg"),
    ],
)
def test_a_target_may_have_no_labelled_test_images_a_source_may_not(query: Index, gallery: Index, reason: str) -> None:
    splits = {"train": index((1, 1), (1, 2), (2, 1)), "query": query, "gallery": gallery}
    assert check_target(Path("set"), splits) == [NO_TEST.format(reason)]
    with pytest.raises(InputError, match=rf"^set: {reason}: expected a labelled test set, by which the source's"):
        check_source(Path("set"), splits)


def test_labels_that_were_meant_are_not_taken_for_dummies() -> None:
    seen = index((2, 7), (3, 7))
    splits = {"train": index((1, 1), (1, 2), (2, 1)), "query": seen, "gallery": seen}
    for check in (check_source, check_target):
        with pytest.raises(
            InputError, match=r"^set: no query has .* in another camera: all are of camera 7; where cameras are not"
        ):
            check(Path("set"), splits)


def test_a_source_needs_identities_with_several_images() -> None:
    (line,) = check_identities(Path("set"), index((1, 1), (1, 1), (2, 1), (3, 1)))
    assert line.startswith("set: 2 of 3 ids of train have one image")
    assert check_identities(Path("set"), index((1, 1), (1, 2), (2, 1), (2, 2))) == []
    with pytest.raises(InputError, match=r"^set: train has 3 images of 3 ids, but pre-training compares two images of"):
        check_identities(Path("set"), index((1, 1), (2, 1), (3, 1)))
    with pytest.raises(InputError, match=r"^set: train has 2 images of 1 ids, "):
        check_identities(Path("set"), index((1, 1), (1, 2)))
    with pytest.raises(InputError, match=r"^set: 1 of 3 images of train have no pid: expected a source whose"):
        check_identities(Path("set"), index((1, 1), (1, 2), (UNKNOWN, 1)))


def test_published_counts() -> None:
    def split(images: int, pids: int, distractors: int = 0) -> Index:
        pid = np.concatenate([np.zeros(distractors, np.int64), np.arange(images - distractors) % pids + 1])
        return Index([""] * images, pid, np.ones(images, np.int64))

    splits = {"train": split(12936, 751), "query": split(3368, 750), "gallery": split(15913, 750, distractors=2798)}
    assert check_counts("market1501", splits, "market1501") == []
    splits["train"] = split(12935, 751)
    assert check_counts("my-station", splits, "market1501") == []
    assert check_counts("market1501", splits, "market1501") == [
        "market1501 train: published are 12,936 images of 751 ids, found 12,935 of 751"
    ]
    assert len(check_counts("msmt17", splits, "msmt17")) == 3


def test_relabel_follows_the_sorted_pids() -> None:
    labels = relabel(np.array([7, 2, 1500, 2, 11]))
    assert labels.tolist() == [1, 0, 3, 0, 2]
    assert labels.dtype == np.int64


def test_index_round_trip_keeps_odd_names(tmp_path: Path) -> None:
    files = ["query/1_c1.jpg", "query/2_c1, é.jpg", 'query/3_c1"\udcff.jpg']
    written = Index(files, np.array([1, 2, 3]), np.array([1, 1, 6]))
    write_index(tmp_path / "query.csv", written)
    assert rows(read_index(tmp_path / "query.csv")) == rows(written)
    assert (tmp_path / "query.csv").read_bytes().startswith(b"file,pid,camid\nquery/1_c1.jpg,1,1\n")
    files, camids = read_cameras(tmp_path / "query.csv")
    assert (files, camids.tolist()) == (written.file, [1, 1, 6])


def test_an_index_of_unknown_pids_and_further_columns(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    written = index((UNKNOWN, 1), (0, 2), (7, 3))
    further = {"date": ["2024-01-05", "", 'x,\n"y"'], "side": ["left", "right", "left"]}
    write_index(path, written, further)
    assert path.read_bytes().startswith(b"file,pid,camid,date,side\n0.jpg,,1,2024-01-05,left\n1.jpg,0,2,,right\n")
    assert rows(read_index(path)) == rows(written)
    assert read_cameras(path)[1].tolist() == [1, 2, 3]
    assert read_further(path) == further
    assert identities(read_index(path), "csv") == (2, 0)
    write_index(path, written)
    assert read_further(path) == {}
    path.write_text("file,cluster,camid\n")
    with pytest.raises(InputError, match=r"line 1: expected file,pid,camid, found"):
        read_further(path)


def test_empty_query_and_gallery_are_read_an_empty_train_is_not(tmp_path: Path) -> None:
    for split in ("train", "query"):
        pack(tmp_path, [], tmp_path / f"{split}.npy", 4, 2, 1, split)
        write_index(tmp_path / f"{split}.csv", index())
    assert (tmp_path / "query.csv").read_bytes() == b"file,pid,camid\n"
    images, found = read_split(tmp_path, "query")
    assert images.shape == (0, 4, 2, 3)
    assert images.dtype == np.uint8
    assert len(found) == 0
    assert read_images(tmp_path / "query.npy", may_be_empty=True).shape == (0, 4, 2, 3)
    for read_it in (lambda: read_split(tmp_path, "train"), lambda: read_images(tmp_path / "query.npy")):
        with pytest.raises(InputError, match=r"\.npy: expected images, found none$"):
            read_it()
    np.save(tmp_path / "query.npy", np.zeros((0, 0, 2, 3), np.uint8))
    with pytest.raises(InputError, match=r"query\.npy: expected images, found none$"):
        read_split(tmp_path, "query")


def test_cameras_are_read_without_looking_at_the_pids(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("file,pid,camid\na.jpg,secret,4\n")
    files, camids = read_cameras(tmp_path / "train.csv")
    assert (files, camids.tolist()) == (["a.jpg"], [4])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty, expected the header file,pid,camid"),
        ("file,cluster\na.jpg,1\n", "line 1: expected file,pid,camid"),
        ("file,pid,camid\na.jpg,1\n", "line 2: expected file,pid,camid"),
        ("file,pid,camid\na.jpg,one,1\n", "pid of row 1: expected whole numbers from -1, found 'one'"),
        ("file,pid,camid\na.jpg,-2,1\n", "pid of row 1: expected whole numbers from -1, found '-2'"),
        ("file,pid,camid\na.jpg,1,-1\n", "camid of row 1: expected whole numbers from 0, found '-1'"),
    ],
)
def test_an_index_that_is_something_else(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(InputError, match=fault):
        read_index(tmp_path / "train.csv")


def test_an_index_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train.csv: not found"):
        read_index(tmp_path / "train.csv")
