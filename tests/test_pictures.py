"""Pictures with masks: the layouts, what is decoded, what is packed, and each mistake in a line."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mutual.base.store import write_array
from mutual.segmentation.decoding import decoded, size_of
from mutual.segmentation.entries import Entry, Sources
from mutual.segmentation.packing import pack_pictures
from mutual.segmentation.published import CITYSCAPES_IDS, VOC_CLASSES
from mutual.segmentation.ragged import Pictures, Sizes, write_pictures
from mutual.segmentation.sources import Layout, label_table, read_sources
from tests.tiny import refusal

RNG = np.random.default_rng(1)
PALETTE = [value for i in range(256) for value in (255 - i, 7 * i % 256, 3)]


def draw(path: Path, height: int = 6, width: int = 9) -> np.ndarray:
    """An image with pixels of all colours; its values."""
    values = np.random.default_rng(len(str(path.name))).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return values


def mark(path: Path, labels: Any = None, mode: str = "P") -> np.ndarray:
    """A mask with these labels, as a picture of a mode; the labels."""
    values = np.arange(54).reshape(6, 9) % 3 if labels is None else np.asarray(labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        image.putpalette(PALETTE)
    elif mode != "L":
        image = image.convert(mode)
    image.save(path)
    return values


def pair(root: Path, name: str, labels: Any = None) -> None:
    draw(root / f"images/{name}.png")
    mark(root / f"masks/{name}.png", labels)


def names(found: Sources) -> dict[str, list[str]]:
    return {split: [entry.name for entry in getattr(found, split)] for split in ("train", "validation", "test")}


# --- layouts ---------------------------------------------------------------------------------------------------------


def voc(root: Path, augmented: bool) -> Path:
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_01", "2007_02", "2008_03"):
        draw(base / f"JPEGImages/{name}.jpg")
    for name in ("2007_01", "2007_02"):
        mark(base / f"SegmentationClass/{name}.png")
    lists = {"train": "2007_01\r\n", "val": "2007_02\n"}
    if augmented:
        for name in ("2007_01", "2008_03"):
            mark(base / f"SegmentationClassAug/{name}.png", mode="L")
        lists["trainaug"] = "2007_01\n2008_03\n\n"
    (base / "ImageSets/Segmentation").mkdir(parents=True)
    for name, text in lists.items():
        (base / f"ImageSets/Segmentation/{name}.txt").write_text(text, newline="")
    return base


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_is_read_wherever_its_root_is(tmp_path: Path, below: str) -> None:
    base = voc(tmp_path, augmented=True)
    found = read_sources(tmp_path / below, "voc2012")
    train = ["JPEGImages/2007_01.jpg", "JPEGImages/2008_03.jpg"]
    assert names(found) == {"train": train, "validation": ["JPEGImages/2007_02.jpg"], "test": []}
    masks = [base / "SegmentationClass/2007_01.png", base / "SegmentationClassAug/2008_03.png"]
    assert [entry.mask for entry in found.train] == masks
    assert found.remarks == []


def test_voc_without_more_masks(tmp_path: Path) -> None:
    base = voc(tmp_path, augmented=False)
    found = read_sources(base, "voc2012")
    assert names(found)["train"] == ["JPEGImages/2007_01.jpg"]
    assert "train.txt alone is read" in found.remarks[0]


def test_vocs_mistakes(tmp_path: Path) -> None:
    assert refused(tmp_path, "voc2012") == "ImageSets/Segmentation: not found, but the layout voc2012 has it"
    base = voc(tmp_path, augmented=False)
    lists = base / "ImageSets/Segmentation"
    for text, line in (
        ("2009_09\n", "JPEGImages/2009_09.jpg: not found, but ImageSets/Segmentation/train.txt names it"),
        ("2008_03\n", "SegmentationClass/2008_03.png: not found, but ImageSets/Segmentation/train.txt names it"),
        ("2007_01 1\n", "line 1: expected the name of a picture, got 2007_01 1"),
        ("\n../a\n", "line 2: expected the name of a picture, got ../a"),
        ("2007_01\n2007_01\n", "2007_01 is listed twice"),
        ("2007_02\n", "2007_02 is listed for train and for validation: expected one"),
        ("", "no images for train: expected some in the layout voc2012"),
    ):
        (lists / "train.txt").write_text(text)
        found = refused(base, "voc2012").removeprefix("ImageSets/Segmentation/train.txt: ")
        assert found == line


def refused(root: Path, layout: Layout) -> str:
    return refusal(lambda: read_sources(root, layout)).removeprefix(str(root)).removeprefix("/").removeprefix(": ")


def test_vocs_classes() -> None:
    assert len(VOC_CLASSES) == 21
    table = label_table("voc2012", 21)
    assert table[:21].tolist() == list(range(21))
    assert set(table[21:255].tolist()) == {-1}
    assert table[255] == 255
    assert refusal(lambda: label_table("voc2012", 20)) == "classes: expected 21, as voc2012 has, got 20"


def test_cityscapes_is_read_and_its_ids_are_the_published(tmp_path: Path) -> None:
    for split, town in (("train", "ulm"), ("train", "aachen"), ("val", "bonn")):
        draw(tmp_path / f"leftImg8bit/{split}/{town}/{town}_000000_leftImg8bit.png")
        mark(tmp_path / f"gtFine/{split}/{town}/{town}_000000_gtFine_labelIds.png", mode="L")
    draw(tmp_path / "leftImg8bit/train/ulm/odd.png")
    found = read_sources(tmp_path, "cityscapes")
    assert names(found)["train"] == [
        f"leftImg8bit/train/{town}/{town}_000000_leftImg8bit.png" for town in ("aachen", "ulm")
    ]
    assert len(found.validation) == 1
    assert found.remarks == [
        "leftImg8bit/train: left out: 1 not named *_leftImg8bit.png (leftImg8bit/train/ulm/odd.png)"
    ]
    table = label_table("cityscapes", 19)
    assert [table[i] for i in (7, 8, 11, 24, 25, 26, 33)] == [0, 1, 2, 11, 12, 13, 18]
    assert (table[:34] == 255).sum() == 15
    assert set(table[34:255].tolist()) == {-1}
    assert [int(table[i]) for i in CITYSCAPES_IDS.values()] == list(range(19))
    (tmp_path / "gtFine/val/bonn/bonn_000000_gtFine_labelIds.png").unlink()
    line = "gtFine/val/bonn/bonn_000000_gtFine_labelIds.png: not found, but leftImg8bit/val/bonn/"
    assert refused(tmp_path, "cityscapes").startswith(line)


def test_pairs_of_ones_own(tmp_path: Path) -> None:
    for name in ("b", "a", "deep/c"):
        pair(tmp_path, name)
    draw(tmp_path / "images/d.bmp")
    mark(tmp_path / "masks/d.gif")
    mark(tmp_path / "masks/e.png")
    found = read_sources(tmp_path, "pairs")
    train = ["images/a.png", "images/b.png", "images/d.bmp", "images/deep/c.png"]
    assert names(found) == {"train": train, "validation": [], "test": []}
    assert found.train[2] == Entry("images/d.bmp", tmp_path / "images/d.bmp", tmp_path / "masks/d.gif")
    assert found.remarks == ["left out: 1 without an image (masks/e.png)"]
    draw(tmp_path / "unlabelled/f.jpg")
    assert read_sources(tmp_path, "pairs").unlabelled == [
        Entry("unlabelled/f.jpg", tmp_path / "unlabelled/f.jpg", None)
    ]


def test_pairs_in_folders_called_like_splits(tmp_path: Path) -> None:
    for name in ("train/a", "val/b", "test/c", "train/deep/d"):
        pair(tmp_path, name)
    wanted = {"train": ["a.png", "deep/d.png"], "validation": ["b.png"], "test": ["c.png"]}
    folders = {"train": "train", "validation": "val", "test": "test"}
    assert names(read_sources(tmp_path, "pairs")) == {
        split: [f"images/{folders[split]}/{name}" for name in each] for split, each in wanted.items()
    }
    pair(tmp_path, "e")
    assert refused(tmp_path, "pairs") == "images/e.png: expected in train, val, validation, test, as others are"


def test_pairs_by_lists(tmp_path: Path) -> None:
    for name in "abcd":
        pair(tmp_path, name)
    (tmp_path / "train.txt").write_text("c\na.png\n")
    (tmp_path / "test.txt").write_bytes(b"\xef\xbb\xbfb\r\n")
    found = read_sources(tmp_path, "pairs")
    assert names(found) == {"train": ["images/c.png", "images/a.png"], "validation": [], "test": ["images/b.png"]}
    assert found.remarks == ["left out: 1 in no list (images/d.png)"]
    for text, line in (
        ("b\n", "b is listed for train and for test: expected one"),
        ("a\na.png\n", "train.txt: a is listed twice"),
        ("e\n", "train.txt: e: expected an image below images/, found none of this name"),
    ):
        (tmp_path / "train.txt").write_text(text)
        assert refused(tmp_path, "pairs") == line
    (tmp_path / "train.txt").unlink()
    assert refused(tmp_path, "pairs") == "train.txt: not found, but there is test.txt"


def test_pairs_mistakes(tmp_path: Path) -> None:
    assert refused(tmp_path / "none", "pairs") == "not found: expected the folder of a data set"
    assert refused(tmp_path, "pairs") == "images: not found, but the layout pairs has it"
    (tmp_path / "images").mkdir()
    assert refused(tmp_path, "pairs") == "masks: not found, but the layout pairs has it"
    (tmp_path / "masks").mkdir()
    assert refused(tmp_path, "pairs") == "no images for train: expected some in the layout pairs"
    draw(tmp_path / "images/a.png")
    line = "images/a.png: it has no mask: expected masks/a.png, or the image in unlabelled/"
    assert refused(tmp_path, "pairs") == line
    pair(tmp_path, "a")
    draw(tmp_path / "images/a.bmp")
    line = "images/a.png: images/a.bmp has the same name: expected one of them"
    assert refused(tmp_path, "pairs") == line


# --- decoding --------------------------------------------------------------------------------------------------------

TABLE = label_table("pairs", 3)


def entry(root: Path, image: str = "a.png", mask: str = "m.png") -> Entry:
    return Entry(image, root / image, root / mask)


@pytest.mark.parametrize("mode", ["P", "L", "I;16", "I", "1"])
def test_a_masks_values_are_its_labels_in_every_mode(tmp_path: Path, mode: str) -> None:
    values = draw(tmp_path / "a.png")
    labels = np.arange(54).reshape(6, 9) % (2 if mode == "1" else 3)
    if mode == "I":  # of 32 bits, which PNG has not
        Image.fromarray(labels.astype(np.int32)).save(tmp_path / "m.tif")
    elif mode == "1":
        Image.fromarray(labels.astype(bool)).save(tmp_path / "m.png")
    else:
        mark(tmp_path / "m.png", labels, mode)
    name = "m.tif" if mode == "I" else "m.png"
    with Image.open(tmp_path / name) as image:
        assert image.mode == mode
    pixels, found = decoded(entry(tmp_path, mask=name), TABLE, 1)
    assert (str(found.dtype), str(pixels.dtype)) == ("uint8", "uint8")
    assert (pixels == values).all()
    assert found.tolist() == labels.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits_are_not_applied(tmp_path: Path, bits: int) -> None:
    draw(tmp_path / "a.png")
    labels = np.arange(54).reshape(6, 9) % 2
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(PALETTE[: 3 * 2**bits])
    image.save(tmp_path / "m.png", bits=bits)
    assert decoded(entry(tmp_path), TABLE, 1)[1].tolist() == labels.tolist()


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_values_of_few_bits_are_not_spread(tmp_path: Path, bits: int) -> None:
    """Pillow reads 1 of 2 bits as 85."""
    draw(tmp_path / "a.png", 2, 4)
    (tmp_path / "m.png").write_bytes(grey_png([[0, 1, 2, 1], [2, 0, 1, 0]], bits))
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "L"
        assert np.asarray(image).max() == 2 * {2: 85, 4: 17}[bits]
    assert decoded(entry(tmp_path), TABLE, 1)[1].tolist() == [[0, 1, 2, 1], [2, 0, 1, 0]]


def grey_png(values: list[list[int]], bits: int) -> bytes:
    """A PNG of so many bits a value, by its specification."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    lines = b""
    for line in values:
        text = "".join(f"{value:0{bits}b}" for value in line)
        lines += b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    head = struct.pack(">IIBBBBB", len(values[0]), len(values), bits, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_images_of_other_kinds_become_rgb(tmp_path: Path) -> None:
    mark(tmp_path / "m.png", np.zeros((4, 64)))
    grey = np.arange(256, dtype=np.uint8).reshape(4, 64)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "b.png")
    Image.fromarray(np.dstack([grey, grey // 2, grey, grey])).save(tmp_path / "c.png")
    wanted = np.repeat(grey[..., None], 3, axis=2)
    assert (decoded(entry(tmp_path, "a.png"), TABLE, 1)[0] == wanted).all()
    assert (decoded(entry(tmp_path, "b.png"), TABLE, 1)[0] == wanted).all()
    assert (decoded(entry(tmp_path, "c.png"), TABLE, 1)[0][..., 1] == grey // 2).all()


def test_pictures_shrink_by_means_and_masks_by_their_middle(tmp_path: Path) -> None:
    values = draw(tmp_path / "a.png", 6, 9)
    labels = mark(tmp_path / "m.png", RNG.integers(0, 3, (6, 9)))
    pixels, found = decoded(entry(tmp_path), TABLE, 2)
    assert (pixels.shape, found.shape) == ((3, 5, 3), (3, 5))
    blocks = values[:, :8].reshape(3, 2, 4, 2, 3).astype(float).mean((1, 3))
    assert np.abs(pixels[:, :4] - blocks).max() <= 0.5
    assert np.abs(pixels[:, 4] - values[:, 8].reshape(3, 2, 3).astype(float).mean(1)).max() <= 0.5
    assert found.tolist() == labels[1::2][:, [1, 3, 5, 7, 8]].tolist()
    assert decoded(entry(tmp_path), TABLE, 3)[1].tolist() == labels[1::3, 1::3].tolist()


def test_what_nobody_labelled_has_no_labels(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    found = Entry("a.png", tmp_path / "a.png", None)
    assert size_of(found) == (6, 9)
    assert set(decoded(found, TABLE, 1)[1].reshape(-1).tolist()) == {255}


def said(root: Path, call: Callable[[Entry], Any]) -> str:
    return refusal(lambda: call(entry(root))).replace(f"{root}/", "")


def test_mistakes_in_files(tmp_path: Path) -> None:
    def look(found: Entry) -> Any:
        return decoded(found, TABLE, 1)

    draw(tmp_path / "a.png")
    mark(tmp_path / "m.png", np.full((6, 9), 3))
    assert said(tmp_path, look) == "m.png: expected labels 0 to 2 and 255, found 3"
    Image.fromarray(np.full((6, 9), 300, np.uint16)).save(tmp_path / "m.png")
    assert said(tmp_path, look) == "m.png: expected labels 0 to 2 and 255, found 300"
    for mode in ("RGB", "RGBA", "LA"):
        mark(tmp_path / "m.png", mode=mode)
        assert said(tmp_path, look) == f"m.png: expected a mask of one channel, palette or grey, found {mode}"
    mark(tmp_path / "m.png", np.zeros((6, 8)))
    assert said(tmp_path, size_of) == "m.png: expected 9 x 6 pixels, as a.png has, found 8 x 6"
    (tmp_path / "m.png").write_bytes(b"")
    assert said(tmp_path, look) == "m.png: cannot be read as an image: the file is empty"
    assert said(tmp_path, size_of) == "m.png: cannot be read as an image: the file is empty"
    (tmp_path / "a.png").write_bytes(b"no image")
    assert said(tmp_path, look) == "a.png: cannot be read as an image: not an image in a known format"


def test_a_cut_image_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 60, 90)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    assert said(tmp_path, lambda found: decoded(found, TABLE, 1)).startswith("a.png: cannot be read as an image: ")


def test_images_are_not_turned_and_masks_that_were_are_told(tmp_path: Path) -> None:
    values = draw(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    mark(tmp_path / "m.png")
    assert (decoded(entry(tmp_path), TABLE, 1)[0] == values).all()
    assert size_of(entry(tmp_path)) == (6, 9)
    mark(tmp_path / "m.png", np.zeros((9, 6)))
    line = "m.png: expected 9 x 6 pixels, as a.png has: its EXIF says to turn it, which is not done here, found 6 x 9"
    assert said(tmp_path, size_of) == line


# --- packed ----------------------------------------------------------------------------------------------------------


def packed(root: Path, out: Path, shrink: int = 1, workers: int = 0) -> np.ndarray:
    return pack_pictures(read_sources(root, "pairs").train, out, TABLE, shrink, workers, "pictures")


def test_pictures_of_mixed_sizes_are_packed_and_read_back(tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "packed"
    wanted = []
    for i, size in enumerate([(6, 9), (5, 4), (1, 1), (7, 2)]):
        values = draw(root / f"images/{i}.png", *size)
        labels = mark(root / f"masks/{i}.png", RNG.choice([0, 1, 2, 255], size))
        wanted.append((values, labels))
    counts = packed(root, out)
    assert counts.shape == (256,)
    assert counts[[0, 1, 2, 255]].tolist() == [sum(int((m == i).sum()) for _, m in wanted) for i in (0, 1, 2, 255)]
    assert counts.sum() == 54 + 20 + 1 + 14
    found = Pictures(out)
    assert len(found) == 4
    assert found.files == [f"images/{i}.png" for i in range(4)]
    assert (found.heights.tolist(), found.widths.tolist()) == ([6, 5, 1, 7], [9, 4, 1, 2])
    assert found.offsets.tolist() == [0, 54, 74, 75]
    assert {found.heights.dtype, found.widths.dtype, found.offsets.dtype} == {np.dtype(np.int64)}
    for i, (values, labels) in enumerate(wanted):
        assert (found.image(i) == values).all()
        assert (found.mask(i) == labels).all()
    packed(root, out, shrink=2)
    assert Pictures(out).heights.tolist() == [3, 3, 1, 4]


def test_the_bytes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    """Of 130 pictures two processes each take their chunks."""
    for i in range(130):
        draw(tmp_path / f"set/images/{i}.png", 3, 2 + i % 3)
        mark(tmp_path / f"set/masks/{i}.png", np.full((3, 2 + i % 3), i % 3))
    for workers in (0, 2):
        packed(tmp_path / "set", tmp_path / f"{workers}", workers=workers)
    for name in ("pixels.npy", "masks.npy", "index.csv"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_nothing_is_written_where_a_picture_is_refused(tmp_path: Path) -> None:
    pair(tmp_path / "set", "a")
    pair(tmp_path / "set", "b", np.full((6, 9), 9))
    line = refusal(lambda: packed(tmp_path / "set", tmp_path / "out"))
    assert line == f"{tmp_path}/set/masks/b.png: expected labels 0 to 2 and 255, found 9"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("values", "found"), [([0, 255], "0 and 255"), ([255], "255")])
def test_masks_of_black_and_white_are_not_taken_for_a_class_and_a_border(
    tmp_path: Path, values: list[int], found: str
) -> None:
    pair(tmp_path, "a", np.resize(values, (6, 9)))
    wanted = f"expected masks of labels, found {found}, which is left out, alone: two classes are 0 and 1"
    assert refusal(lambda: packed(tmp_path, tmp_path / "out")) == f"{tmp_path}/masks: {wanted}"
    assert list((tmp_path / "out").iterdir()) == []


def small(count: int = 2) -> tuple[Sizes, list[tuple[np.ndarray, np.ndarray]]]:
    sizes = Sizes([f"{i}.png" for i in range(count)], np.full(count, 2), np.full(count, 3))
    return sizes, [(np.full((2, 3, 3), i, np.uint8), np.full((2, 3), i, np.uint8)) for i in range(count)]


def test_other_pictures_than_the_table_says_are_not_written(tmp_path: Path) -> None:
    sizes, pictures = small()
    for wrong in (pictures[:1], [*pictures, pictures[0]], [pictures[0], (pictures[1][0], pictures[1][1][:1])]):
        with pytest.raises(ValueError, match=r"zip|expected \(2, 3\)"):
            write_pictures(tmp_path / "out", sizes, iter(wrong))
        assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    sizes = Sizes(["a"], np.array([2**31]), np.array([2**30]))
    line = refusal(lambda: write_pictures(tmp_path / "out", sizes, iter([])))
    assert line.startswith(f"{tmp_path}/out: expected room for 9223372036.9 GB")
    assert not (tmp_path / "out").exists()


def test_packed_pictures_are_checked(tmp_path: Path) -> None:
    write_pictures(tmp_path, *small())
    table = (tmp_path / "index.csv").read_text()
    assert table == "file,height,width\n0.png,2,3\n1.png,2,3\n"
    for text, line in (
        ("file,height,width\n", "index.csv: expected pictures, found none"),
        (table.replace("1.png,2", "1.png,0"), "index.csv: height of row 2: expected whole numbers from 1 to 65536"),
        (table + "c.png,1,1\n", "pixels.npy: expected an array of shape (13, 3), found (12, 3)"),
    ):
        (tmp_path / "index.csv").write_text(text)
        assert refusal(lambda: Pictures(tmp_path)).removeprefix(f"{tmp_path}/").startswith(line)
    (tmp_path / "index.csv").write_text(table)
    write_array(tmp_path / "masks.npy", np.zeros(12, np.int64))
    assert refusal(lambda: Pictures(tmp_path)) == f"{tmp_path}/masks.npy: expected values of uint8, found int64"
    write_array(tmp_path / "masks.npy", np.zeros(11, np.uint8))
    line = f"{tmp_path}/masks.npy: expected an array of shape (12), found (11,)"
    assert refusal(lambda: Pictures(tmp_path)) == line
    (tmp_path / "masks.npy").unlink()
    assert refusal(lambda: Pictures(tmp_path)) == f"{tmp_path}/masks.npy: not found"
