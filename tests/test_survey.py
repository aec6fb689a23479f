"""What the checker says of a folder: sizes, copies, labels, suggestions; and that it refuses what the pipeline does."""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from mutual.base.errors import InputError
from mutual.datasets.advice import CPU, DBSCAN, KMEANS, advice, advised_clusters, advised_size
from mutual.datasets.copies import ALIKE, alike, near_copies, same_bytes, similar
from mutual.datasets.guess import guessed_layout
from mutual.datasets.looks import SIDE, Look, fingerprint, looks
from mutual.datasets.packing import decode
from mutual.datasets.survey import copy_lines, label_lines, looked_at, picture_lines
from mutual.images.index import UNKNOWN, Index
from tests.test_datasets import DUKE, MARKET, folders, index, msmt17
from tests.test_own_data import listed, pictures
from tests.test_prepare import picture
from tools import check

TOP = Path(__file__).parent.parent


def blurred(seed: int, size: tuple[int, int] = (64, 128)) -> Image.Image:
    """A picture of many soft spots, so that no two are alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def saved(path: Path, image: Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]


def look(root: Path, *files: str) -> list[Look]:
    seen = [each for chunk in looks(root, files, 1) for each in chunk]
    assert all(isinstance(each, Look) for each in seen)
    return seen  # type: ignore[return-value]


# --- looks -----------------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_the_signs_of_the_lowest_cosines() -> None:
    grey = np.random.default_rng(1).uniform(0, 255, (SIDE, SIDE))
    whole = dctn(grey, norm="ortho")
    # the axes' first rows are scaled by another factor there
    whole[0] *= np.sqrt(2)
    whole[:, 0] *= np.sqrt(2)
    places = sorted(((u, v) for u in range(SIDE) for v in range(SIDE)), key=lambda place: (sum(place), place[0]))[1:65]
    values = [whole[place] for place in places]
    bits = "".join("1" if value > np.median(values) else "0" for value in values)
    assert fingerprint(grey) == int(bits, 2)
    assert bits.count("1") == 32


def test_sizes_are_those_of_the_upright_picture_and_colours_are_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    saved(tmp_path / "turned.jpg", blurred(1, (400, 200)), exif=exif)
    saved(tmp_path / "grey.jpg", blurred(1).convert("L").convert("RGB"))
    saved(tmp_path / "white.png", Image.new("RGB", (30, 20), (250, 250, 251)))
    turned, grey, white = look(tmp_path, "turned.jpg", "grey.jpg", "white.png")
    assert [(each.width, each.height) for each in (turned, grey, white)] == [(200, 400), (64, 128), (30, 20)]
    assert [each.grey for each in (turned, grey, white)] == [False, True, True]
    assert [each.plain for each in (turned, grey, white)] == [False, False, True]


def test_what_packing_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    saved(tmp_path / "whole.jpg", blurred(1, (900, 1800)))
    whole = (tmp_path / "whole.jpg").read_bytes()
    for name, data in (("cut.jpg", whole[: len(whole) // 2]), ("empty.jpg", b""), ("text.png", b"<html>")):
        (tmp_path / name).write_bytes(data)
    for name in ("cut.jpg", "empty.jpg", "text.png", "gone.jpg"):
        with pytest.raises(InputError) as refused:
            decode([str(tmp_path / name)], 8, 8)
        ((found,),) = looks(tmp_path, [name], 1)
        assert str(found) == str(refused.value)


# --- copies ----------------------------------------------------------------------------------------------------------


def test_similar_fingerprints_are_those_that_differ_in_few_bits() -> None:
    rng = np.random.default_rng(2)
    numbers = [int(number) for number in rng.integers(0, 2**63, 50)]
    numbers += [
        number ^ sum(1 << int(bit) for bit in rng.choice(64, k, replace=False)) for k, number in enumerate(numbers[:20])
    ]
    expected = {(a, b) for a, b in combinations(range(70), 2) if (numbers[a] ^ numbers[b]).bit_count() <= 10}
    found = np.concatenate(list(similar(np.array(numbers, np.uint64), 10)))
    assert {tuple(pair) for pair in found.tolist()} == expected
    assert len(found) == len(expected) >= 11


def test_alike_is_the_correlation() -> None:
    rng = np.random.default_rng(3)
    one = rng.integers(0, 256, (1, 768))
    rows = np.concatenate([(one + rng.normal(0, spread, one.shape)).clip(0, 255) for spread in (0, 8, 15, 18, 22, 60)])
    rows = np.concatenate([rows, np.full((1, 768), 7)]).astype(np.uint8)
    pairs = np.array([(0, other) for other in range(7)])
    expected = [bool(np.corrcoef(rows[0], rows[other])[0, 1] >= ALIKE) for other in range(6)]
    assert alike(pairs, rows).tolist() == [*expected, False]
    assert set(expected) == {True, False}


def test_copies_that_were_recompressed_and_resized_are_found_and_others_are_not(tmp_path: Path) -> None:
    for seed in range(30):
        saved(tmp_path / f"{seed:02d}.jpg", blurred(seed), quality=95)
    saved(tmp_path / "30.jpg", blurred(3), quality=50)
    saved(tmp_path / "31.png", blurred(4).resize((45, 90)))
    (tmp_path / "32.jpg").write_bytes((tmp_path / "05.jpg").read_bytes())
    for name in ("33.png", "34.png"):
        saved(tmp_path / name, Image.new("RGB", (64, 128 + int(name[1])), (3, 3, 3)))
    seen = look(tmp_path, *sorted(path.name for path in tmp_path.iterdir()))
    assert np.concatenate(list(near_copies(seen))).tolist() == [[3, 30], [4, 31]]
    assert same_bytes(seen).tolist() == [*range(32), 5, 33, 34]


# --- lines -----------------------------------------------------------------------------------------------------------


def test_lines_on_pictures_and_copies(tmp_path: Path) -> None:
    names = ("0.png", "1.png", "2.png", "3.png", "4.png", "5.jpg")
    for place, size in enumerate([(64, 128), (60, 120), (64, 130), (300, 60), (12, 24)]):
        saved(tmp_path / names[place], blurred(place, size))
    (tmp_path / "5.jpg").write_bytes(b"")
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    saved(tmp_path / "2.png", blurred(0, (62, 126)))
    pid, camid = np.array([1, 2, 2, UNKNOWN, 5, 6]), np.arange(6)
    train, query = Index(list(names[:2]), pid[:2], camid[:2]), Index(list(names[2:]), pid[2:], camid[2:])
    splits = {"train": train, "query": query, "gallery": index()}
    found = looked_at(tmp_path, splits, 1)
    assert picture_lines(found) == [
        f"cannot be read: {tmp_path}/5.jpg: cannot be read as an image: the file is empty",
        "pixels, width x height: median 64 x 126, from 12 x 24 to 300 x 128",
        "below 16 x 32 pixels: 1 of 5 (4.png)",
        "of an odd shape, over 2 times as wide or as high as the median: 1 of 5 (3.png)",
    ]
    assert copy_lines(found, splits) == [
        "copies, byte for byte: 1 in all, such as 0.png and 1.png",
        "copies, byte for byte: 1 of different pids, such as 0.png and 1.png",
        "near copies (a guess): 1 in all, such as 0.png and 2.png",
        "near copies (a guess): 1 of a training and a test image, such as 0.png and 2.png",
        "near copies (a guess): 1 of different pids, such as 0.png and 2.png",
    ]


def test_lines_on_labels() -> None:
    splits = {
        "train": index((1, 1), (1, 2), (2, 1), (2, 1), (3, 4), (UNKNOWN, 1)),
        "query": index((3, 1), (8, 1)),
        "gallery": index((8, 2), (3, 1), (0, 1)),
    }
    assert label_lines(splits, "market1501") == [
        "train: 2 of 3 ids in one camera alone",
        "train: 1 of 3 ids with one image",
        "query and gallery: 1 of 2 ids in one camera alone",
        "ids in train and in query or gallery: 1; the published sets have none",
    ]
    assert label_lines(splits, "csv")[2] == "query and gallery: 2 of 3 ids in one camera alone"  # 0 is somebody
    # as many cameras as images: none is known
    assert label_lines({"train": index((1, 1), (1, 2)), "query": index((2, 3)), "gallery": index((2, 4))}, "csv") == []


@pytest.mark.parametrize(
    ("widths", "heights", "expected"),
    [
        ([64, 60, 64], [128, 130, 120], (256, 128)),
        ([50], [100], (128, 64)),
        ([640], [480], (192, 256)),
        ([300], [310], (256, 256)),
        ([2000], [100], (32, 256)),
    ],
)
def test_the_advised_size(widths: list[int], heights: list[int], expected: tuple[int, int]) -> None:
    assert advised_size(np.array(widths), np.array(heights)) == expected


def test_the_advised_number_of_clusters() -> None:
    assert advised_clusters(index(*((pid, 1) for pid in range(30) for _ in range(4))))[0] == 30
    assert advised_clusters(index(*[(UNKNOWN, 1)] * 1000))[0] == 50
    assert advised_clusters(index(*[(7, 1)] * 1000))[0] == 50  # a dummy
    assert advised_clusters(index((UNKNOWN, 1)))[0] == 2


def test_the_advised_presets_exist() -> None:
    for name in (KMEANS, DBSCAN, CPU):
        assert (TOP / "presets" / f"{name}.yaml").is_file()
    wide, high = np.array([64]), np.array([128])
    assert any(f"preset {DBSCAN} on a GPU" in line for line in advice(index((UNKNOWN, 1), (UNKNOWN, 2)), wide, high))
    assert any(f"preset {KMEANS} on a GPU" in line for line in advice(index((1, 1), (2, 2)), wide, high))


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        ("bella/1.jpg omar/1.jpg", "folders"),
        ("train/0001/1.jpg train/0002/1.jpg query/0001/2.jpg", "folders"),
        ("cam1/1.jpg Cam_02/1.jpg", "camera_folders"),
        ("train/c3/1.jpg", "camera_folders"),
        ("Train/0001/1.jpg TEST/0002/1.jpg", "folders"),
        ("1.jpg 2.jpg", "heap"),
        ("train/1.jpg", "heap"),
        ("image_train/0001_c001_00016450_0.jpg", "veri776"),
    ],
)
def test_the_layout_is_guessed_by_what_lies_there(tmp_path: Path, files: str, layout: str) -> None:
    assert guessed_layout(pictures(tmp_path, files))[0] == layout


def test_the_layout_of_published_sets_and_lists_is_guessed(tmp_path: Path) -> None:
    assert guessed_layout(folders(tmp_path / "a", MARKET))[0] == "market1501"
    assert guessed_layout(folders(tmp_path / "b", DUKE))[0] == "dukemtmc"
    assert guessed_layout(msmt17(tmp_path / "c"))[0] == "msmt17"
    assert guessed_layout(listed(tmp_path / "d", "file\na.jpg\n", "train/a/a.jpg"))[0] == "csv"
    with pytest.raises(InputError, match=r"nowhere: not found: expected the folder of a data set$"):
        guessed_layout(tmp_path / "nowhere")


def test_a_list_of_another_name_is_told(tmp_path: Path) -> None:
    root = pictures(tmp_path, "bella/1.jpg omar/1.jpg")
    (root / "labels.csv").write_text("file\nbella/1.jpg\n")
    told = "its folders may be identities; 'labels.csv' is read where it is called images.csv"
    assert guessed_layout(root) == ("folders", told)


def test_few_identities_of_many_images_are_doubted() -> None:
    wide, high = np.full(300, 64), np.full(300, 128)
    told = "2 identities of 150 images: individuals, or splits, or whole data sets?"
    assert told in advice(index(*[(1 + i % 2, 1) for i in range(300)]), wide, high)
    assert not any("individuals" in line for line in advice(index(*[(i % 4, 1) for i in range(300)]), wide, high))


# --- the command -----------------------------------------------------------------------------------------------------


def run_check(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["check", *map(str, arguments)])
    check.main()


@pytest.fixture
def herd(tmp_path: Path) -> Path:
    """Three animals of three pictures each, two of them tested."""
    for number, name in enumerate(["train/bella", "train/omar", "test/cleo"]):
        for shot in range(3):
            saved(tmp_path / "herd" / name / f"{shot}.jpg", picture(10 * number + shot))
    return tmp_path / "herd"


def test_the_command_tells_and_writes_nothing(
    herd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(herd.rglob("*"))
    run_check(monkeypatch, herd)
    out = capsys.readouterr().out
    assert out.startswith(f"{herd}: layout folders (a guess: its folders may be identities)\nsplit ")
    for line in (
        "as target: accepted",
        "as source: accepted",
        f"to use it: target_layout: folders, target_root: {herd}",
    ):
        assert line in out.splitlines()
    assert "suggestions, all of them guesses:\n  image_height: 256, image_width: 128: " in out
    assert sorted(herd.rglob("*")) == before


def test_the_command_refuses_what_the_pipeline_refuses_in_the_same_line(
    herd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_check(monkeypatch, herd, "--layout", "heap")
    assert "as source: refused: " in capsys.readouterr().out
    with pytest.raises(InputError, match=rf"^{herd}: query has no images: expected a labelled test set, by which the"):
        run_check(monkeypatch, herd, "--layout", "heap", "--set", "source")
    (herd / "train" / "omar" / "1.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"omar/1\.jpg: cannot be read as an image: the file is empty$"):
        run_check(monkeypatch, herd)
    out = capsys.readouterr().out
    assert "cannot be read: " in out
    assert "accepted" not in out
    (herd / "train" / "link").symlink_to(herd / "train" / "bella")
    with pytest.raises(InputError, match=r"train/link: a linked folder, behind which DVC sees no change"):
        run_check(monkeypatch, herd)
    with pytest.raises(InputError, match=r"images\.csv: not found, but the layout csv has it"):
        run_check(monkeypatch, herd, "--layout", "csv")


def test_an_empty_folder_and_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}: no images for train: expected images in the folder train or"):
        run_check(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=r"nowhere: not found: expected the folder of a data set$"):
        run_check(monkeypatch, tmp_path / "nowhere")


def test_one_picture_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "a.jpg", picture(1))
    run_check(monkeypatch, tmp_path)
    assert "  1 training images are few: " in capsys.readouterr().out
