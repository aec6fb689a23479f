"""What lies below a data set's folders: images of every format in sub-folders of any depth, all else counted."""

import os
from pathlib import Path

import pytest
from dvc.repo import Repo
from PIL import Image, features

from mutual.base.errors import InputError
from mutual.datasets.folders import content, sentences, suffixes
from mutual.datasets.layouts import read_dataset
from mutual.datasets.packing import decode
from mutual.datasets.tracked import unseen
from tests.test_datasets import MARKET, folders, msmt17, touch


def test_suffixes_are_those_of_still_raster_pictures() -> None:
    assert {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".gif", ".ppm"} <= suffixes()
    assert not {".pdf", ".eps", ".ps", ".wmf", ".mpg", ".h5", ".fits", ".psd", ".txt", ".db", ""} & suffixes()
    for feature, suffix in (("webp", ".webp"), ("avif", ".avif")):
        assert (suffix in suffixes()) == features.check(feature)


def test_every_image_at_any_depth_and_all_else_with_its_reason(tmp_path: Path) -> None:
    for name in ("1_c1.jpg", "1/1_c2.WebP", "1/2/3/1_c3.tif", "2.jpg/1_c1.PNG"):
        touch(tmp_path / "train" / name)
    for name in (".DS_Store", ".ipynb_checkpoints/1_c1.jpg", "1/._1_c2.jpg", "Thumbs.db", "1/photo.heic", "jpg"):
        touch(tmp_path / "train" / name)
    found = content(tmp_path, "train")
    assert found.images == ["train/1/1_c2.WebP", "train/1/2/3/1_c3.tif", "train/1_c1.jpg", "train/2.jpg/1_c1.PNG"]
    assert found.left_out == {
        "hidden": ["train/.DS_Store", "train/.ipynb_checkpoints/", "train/1/._1_c2.jpg"],
        "of no image format that is read here": ["train/1/photo.heic", "train/Thumbs.db", "train/jpg"],
    }
    assert sentences({"hidden": ["a"], "none": [], "odd": ["b", "c", "d"]}) == ["1 hidden (a)", "3 odd (b and 2 more)"]


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1_c1.jpg")
    touch(tmp_path / "train" / "1_c2.jpg")
    (tmp_path / "train" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "train" / "1_c3.jpg").symlink_to("1_c2.jpg")
    assert content(tmp_path, "train").images == ["train/1_c2.jpg", "train/1_c3.jpg", "train/more/1_c1.jpg"]
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"more/back: a link to a folder that holds the link itself$"):
        content(tmp_path, "train")


def test_a_folder_a_person_is_read_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", MARKET)
    (root / "bounding_box_train" / "0002").mkdir()
    for path in sorted((root / "bounding_box_train").glob("0002_*")):
        path.rename(path.parent / "0002" / path.name)
    touch(root / "query" / "Thumbs.db")
    splits, remarks, _ = read_dataset(root, "market1501")
    assert splits["train"].file[:2] == [
        "bounding_box_train/0002/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0002/0002_c2s1_000776_01.jpg",
    ]
    assert splits["train"].pid.tolist() == [2, 2, 7]
    assert remarks == [
        "bounding_box_train: read with its sub-folders: 2 images there"
        " (bounding_box_train/0002/0002_c1s1_000451_03.jpg and 1 more)",
        "query: left out: 1 of no image format that is read here (query/Thumbs.db)",
        "bounding_box_test: left out: 1 junk, pid -1 (bounding_box_test/-1_c2s1_000301_02.jpg)",
    ]


def test_images_that_no_list_names_are_counted(tmp_path: Path) -> None:
    root = msmt17(tmp_path)
    for name in ("train/0000/0000_100_01_x.jpg", "train/0099.png", "test/.hidden"):
        touch(root / name)
    assert read_dataset(root, "msmt17")[1] == [
        "train: left out: 2 in no list (train/0000/0000_100_01_x.jpg and 1 more)",
        "test: left out: 1 hidden (test/.hidden)",
    ]


def test_a_folder_of_other_files_says_so(tmp_path: Path) -> None:
    root = folders(tmp_path, {**MARKET, "bounding_box_train": ["0001_c1.heic", "0002_c1.heic"]})
    with pytest.raises(
        InputError, match=r"; left out: 2 of no image format that is read here \(bounding_box_train/0001_c1.heic and"
    ):
        read_dataset(root, "market1501")


# --- what DVC sees ---------------------------------------------------------------------------------------------------

SPLITS = {"bounding_box_train", "query", "bounding_box_test"}


def test_linked_folders_are_named_where_images_are_read(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", MARKET)
    touch(tmp_path / "store" / "0009_c1.jpg")
    (root / "query" / "linked.jpg").symlink_to(tmp_path / "store" / "0009_c1.jpg")
    for harmless in ("gt_bbox", "query/.cache"):  # nothing is read there
        (root / harmless).symlink_to(tmp_path / "store")
    (tmp_path / "link").symlink_to(root)
    for whole in (root, tmp_path / "link"):
        assert list(unseen(whole, SPLITS, "target_root")) == []
    (root / "query" / "more").mkdir()
    (root / "query" / "more" / "deep").symlink_to(tmp_path / "store")
    (line,) = unseen(root, SPLITS, "target_root")
    assert line.startswith(f"{root}/query/more/deep: a linked folder, behind which DVC sees no change: let target_root")


def test_names_that_are_not_utf8_are_named_wherever_they_are(tmp_path: Path) -> None:
    root = folders(tmp_path / "Sätze", MARKET)
    assert list(unseen(root, SPLITS, "target_root")) == []
    try:
        (Path(os.fsdecode(os.fsencode(root) + b"/readme \xe4.txt"))).touch()
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    (line,) = unseen(root, SPLITS, "target_root")
    assert line.startswith(f"{root}/readme \\xe4.txt: the name is not UTF-8 and DVC cannot hash it: rename it")


@pytest.mark.parametrize(("root", "leaves"), [("../set", True), ("data/../../set", True), ("data/../set", False)])
def test_a_root_that_leaves_the_project_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, leaves: bool
) -> None:
    (tmp_path / "project" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    assert list(unseen(tmp_path / "set", SPLITS, "source_root")) == []
    lines = list(unseen(Path(root), SPLITS, "source_root"))
    assert len(lines) == leaves
    for line in lines:
        assert line.startswith(f"source_root: {root} leaves the project, whose temporary copies")
        assert line.endswith(f"expected an absolute path ({tmp_path}/set)")


def test_dvc_knows_no_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert list(unseen(Path("~/sets/mine"), SPLITS, "source_root")) == [
        "source_root: ~/sets/mine: DVC does not expand ~: expected an absolute path (/home/ann/sets/mine)"
    ]


def test_dvc_follows_what_is_accepted_and_not_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts behind the rule, of the DVC that is installed."""
    root, store, project = tmp_path / "set", tmp_path / "store", tmp_path / "project"
    for path in (root / "query" / "own.jpg", store / "query" / "far.jpg", store / "single.jpg"):
        touch(path)
    project.mkdir()
    (project / "whole").symlink_to(root)
    (root / "query" / "linked.jpg").symlink_to(store / "single.jpg")
    (root / "linked").symlink_to(store / "query")
    (project / "dvc.yaml").write_text("stages: {look: {cmd: echo looked, deps: [whole]}}\n")
    monkeypatch.chdir(project)
    Repo.init(no_scm=True).reproduce()

    def changed() -> bool:
        return bool(Repo().status())

    assert not changed()
    for path, seen in (
        (store / "query" / "far.jpg", False),
        (store / "query" / "new.jpg", False),
        (store / "single.jpg", True),
        (root / "query" / "own.jpg", True),
        (root / "query" / "new.jpg", True),
    ):
        before = path.read_bytes() if path.exists() else None
        path.write_text("another picture")
        assert changed() == seen, path
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
        assert not changed()


# --- other formats, decoded ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".jfif", ".avif", ".gif", ".jp2", ".qoi", ".tga", ".ppm"])
def test_other_formats_are_decoded(tmp_path: Path, suffix: str) -> None:
    if suffix not in suffixes():
        pytest.skip("no decoder for it here")
    Image.new("RGB", (20, 40), (200, 40, 90)).save(tmp_path / f"a{suffix}")
    (row,) = decode([str(tmp_path / f"a{suffix}")], 32, 16)
    assert abs(row.astype(int) - [200, 40, 90]).max() < 8
