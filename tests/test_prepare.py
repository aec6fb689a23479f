"""Packing decodes each image once, the same for any number of processes, and leaves nothing half-written."""

import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from ruamel.yaml import YAML

from mutual.base.errors import InputError, Stopped
from mutual.base.store import folder_beside
from mutual.datasets import packing
from mutual.datasets.packing import decode, pack
from mutual.images.index import read_index
from stages import prepare

REPOSITORY = Path(__file__).parents[1]
HEIGHT, WIDTH = 64, 32
ORIENTATION = 0x0112  # the EXIF tag


def picture(seed: int, height: int = 128, width: int = 64) -> Image.Image:
    """A smooth coloured picture, so that JPEG keeps its large shapes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 2, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95)


def market1501(root: Path) -> Path:
    """30 images of mixed sizes: 4 training pids, 2 test pids, distractors and junk."""
    for pid in range(2, 6):
        for camera in range(1, 5):
            name = f"{pid:04d}_c{camera}s1_000{pid}5{camera}_00.jpg"
            save(picture(10 * pid + camera, 100 + 7 * pid, 40 + 5 * camera), root / "bounding_box_train" / name)
    for pid in (10, 11):
        save(picture(pid), root / "query" / f"{pid:04d}_c1s1_000001_00.jpg")
        for camera in (1, 2, 3):
            save(picture(pid + camera), root / "bounding_box_test" / f"{pid:04d}_c{camera}s1_000009_01.jpg")
    save(picture(0), root / "bounding_box_test" / "0000_c1s1_000001_00.jpg")
    save(picture(1), root / "bounding_box_test" / "-1_c1s1_000001_00.jpg")
    return root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder whose target is the data set above; the working folder of the test."""
    market1501(tmp_path / "raw")
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params.yaml")
    params.update(target_name="station", target_layout="market1501", target_root="raw")
    params.update(image_height=HEIGHT, image_width=WIDTH)
    yaml.dump(params, tmp_path / "params.yaml")
    shutil.copy(REPOSITORY / "rounds.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prepare", "--set", "target"])
    return tmp_path


def run_stage(project: Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.prepare", "--set", "target"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        preexec_fn=before,
        timeout=60,
        check=False,
    )


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- decoding --------------------------------------------------------------------------------------------------------


def test_equals_a_plain_loop(tmp_path: Path) -> None:
    for number in range(3):
        save(picture(number, 90 + 30 * number, 50), tmp_path / f"{number}.jpg")
    rows = decode([str(tmp_path / f"{number}.jpg") for number in range(3)], HEIGHT, WIDTH)
    for number in range(3):
        plain = Image.open(tmp_path / f"{number}.jpg").convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(rows[number], np.array(plain))


@pytest.mark.parametrize("name", ["grey.jpg", "cmyk.jpg", "upper.JPG", "alpha.png", "palette.png", "plain.bmp"])
def test_every_kind_becomes_rgb(tmp_path: Path, name: str) -> None:
    image = picture(3)
    if name == "alpha.png":
        image.putalpha(Image.new("L", image.size, 7))  # dropped, not blended
    modes = {"grey.jpg": "L", "cmyk.jpg": "CMYK", "palette.png": "P"}
    save(image.convert(modes.get(name, image.mode)), tmp_path / name)
    (row,) = decode([str(tmp_path / name)], HEIGHT, WIDTH)
    expected = np.array(picture(3).convert("L").convert("RGB") if name == "grey.jpg" else picture(3))[1::2, 1::2]
    tolerance = 20 if name == "palette.png" else 6
    assert np.abs(row.astype(int) - expected).mean() < tolerance


def test_an_image_that_lies_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    # red above blue; orientation 6: the camera was turned, a viewer has to rotate by 90 degrees clockwise
    upright = np.zeros((128, 64, 3), np.uint8)
    upright[:64, :, 0] = upright[64:, :, 2] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    (row,) = decode([str(tmp_path / "turned.jpg")], HEIGHT, WIDTH)
    assert np.abs(row[:28].astype(int) - [255, 0, 0]).max() < 10
    assert np.abs(row[36:].astype(int) - [0, 0, 255]).max() < 10


def broken(path: Path, kind: str) -> str:
    """Write a file that is no whole image; return what is to be said of it."""
    save(picture(5), path.with_name("whole.jpg"))
    whole = path.with_name("whole.jpg").read_bytes()
    path.with_name("whole.jpg").unlink()
    content, reason = {
        "truncated": (whole[: len(whole) // 2], "truncated"),
        "empty": (b"", "the file is empty"),
        "text": (b"<html>404</html>", "not an image in a known format"),
        "head": (whole[:100], ""),
    }[kind]
    path.write_bytes(content)
    return reason


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "head"])
def test_a_broken_image_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "0002_c1s1_000451_03.jpg"
    reason = broken(path, kind)
    with pytest.raises(InputError) as caught:
        decode([str(path)], HEIGHT, WIDTH)
    assert str(caught.value).startswith(f"{path}: cannot be read as an image: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_an_image_that_is_gone_or_far_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"gone.jpg: cannot be read as an image: No such file"):
        decode([str(tmp_path / "gone.jpg")], HEIGHT, WIDTH)
    save(picture(1, 128, 64), tmp_path / "whole.png")
    monkeypatch.setattr(packing, "MAX_PIXELS", 128 * 64)
    decode([str(tmp_path / "whole.png")], HEIGHT, WIDTH)
    monkeypatch.setattr(packing, "MAX_PIXELS", 128 * 64 - 1)
    with pytest.raises(
        InputError, match=r"whole.png: cannot .*: 64 x 128 pixels are more than the 8,191 that are deco"
    ):
        decode([str(tmp_path / "whole.png")], HEIGHT, WIDTH)


def test_pillows_own_limit_does_not_count_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(picture(1, 128, 64), tmp_path / "whole.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode([str(tmp_path / "whole.png")], HEIGHT, WIDTH).shape == (1, HEIGHT, WIDTH, 3)
    with pytest.raises(InputError):
        decode([str(tmp_path / "gone.png")], HEIGHT, WIDTH)
    assert Image.MAX_IMAGE_PIXELS == 100


# --- packing ---------------------------------------------------------------------------------------------------------


def pack_all(root: Path, path: Path, workers: int) -> None:
    files = sorted(f"bounding_box_train/{file.name}" for file in (root / "bounding_box_train").iterdir())
    pack(root, files, path, HEIGHT, WIDTH, workers, "train")


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = market1501(tmp_path / "raw")
    files = sorted((root / "bounding_box_train").iterdir())
    plain = [Image.open(file).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for file in files]
    np.save(tmp_path / "plain.npy", np.stack([np.array(image) for image in plain]))
    pack_all(root, tmp_path / "one.npy", 1)
    monkeypatch.setattr(packing, "CHUNK", 3)
    monkeypatch.setattr(packing, "CHUNKS_WORTH_A_PROCESS", 1)
    pack_all(root, tmp_path / "two.npy", 2)
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert np.load(tmp_path / "two.npy", mmap_mode="r").shape == (16, HEIGHT, WIDTH, 3)


def test_the_first_broken_image_is_named_whichever_process_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = market1501(tmp_path / "raw")
    for number in (5, 15):
        broken(sorted((root / "bounding_box_train").iterdir())[number], "empty")
    monkeypatch.setattr(packing, "CHUNK", 3)
    monkeypatch.setattr(packing, "CHUNKS_WORTH_A_PROCESS", 1)
    before = listing(tmp_path)
    with pytest.raises(InputError, match=r"0003_c2s1_000352_00.jpg: cannot be read as an image: the file is empty"):
        pack_all(root, tmp_path / "train.npy", 2)
    assert listing(tmp_path) == before


def test_no_more_than_a_chunk_is_decoded_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def spy(paths: list[str], height: int, width: int) -> np.ndarray:
        sizes.append(len(paths))
        return np.zeros((len(paths), height, width, 3), np.uint8)

    monkeypatch.setattr(packing, "decode", spy)
    monkeypatch.setattr(packing, "CHUNK", 3)
    pack_all(market1501(tmp_path / "raw"), tmp_path / "train.npy", 1)
    assert sizes == [3, 3, 3, 3, 3, 1]


def test_folder_beside_replaces_the_folder_as_a_whole(tmp_path: Path) -> None:
    place = tmp_path / "packed" / "target"
    for name in ("old.npy", "new.npy"):
        with folder_beside(place) as folder:
            (folder / name).touch()
    assert listing(tmp_path / "packed") == ["target", "target/new.npy"]
    with pytest.raises(InputError, match=r"nowhere.jpg"), folder_beside(place) as folder:
        pack(tmp_path, ["nowhere.jpg"], folder / "half.npy", HEIGHT, WIDTH, 1, "train")
    assert listing(tmp_path / "packed") == ["target", "target/new.npy"]


# --- going on ---------------------------------------------------------------------------------------------------------


def going_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Chunks of three, noted after each; the list grows with every chunk that is decoded."""
    path = project / "params.yaml"
    path.write_text(re.sub("checkpoint_seconds: .*", "checkpoint_seconds: 1e-9", path.read_text(encoding="utf-8")))
    real, sizes = packing.decode, []

    def counting(paths: list[str], height: int, width: int) -> np.ndarray:
        sizes.append(len(paths))
        return real(paths, height, width)

    monkeypatch.setattr(packing, "CHUNK", 3)
    monkeypatch.setattr(packing, "decode", counting)
    return sizes


def prepare_ended(sizes: list[int], chunks: int, how: Callable[[], None]) -> None:
    """The stage; while one more chunk than these is decoded, something happens."""
    counting = packing.decode

    def ending(paths: list[str], height: int, width: int) -> np.ndarray:
        if len(sizes) == chunks:
            how()
        return counting(paths, height, width)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "decode", ending)
        prepare.main()


def killed() -> None:
    raise SystemError


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("chunks", [0, 3, 6, 8])  # the sixth is the last of train
def test_what_was_killed_goes_on_to_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chunks: int
) -> None:
    prepare.main()
    packed = project / "data/packed/target"
    before = {path.name: path.read_bytes() for path in packed.iterdir()}
    shutil.rmtree(packed)
    sizes = going_on(project, monkeypatch)
    with pytest.raises(SystemError):
        prepare_ended(sizes, chunks, killed)
    assert not packed.exists()
    capsys.readouterr()
    prepare.main()
    assert sum(sizes) == 16 + 2 + 7
    assert ("goes on from image" in capsys.readouterr().out) == (chunks > 0)
    assert {path.name: path.read_bytes() for path in packed.iterdir()} == before
    assert [path.name for path in (project / "data/packed").iterdir()] == ["target"]


def test_a_signal_stops_it_where_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = going_on(project, monkeypatch)
    with pytest.raises(Stopped, match="train: stopped by SIGTERM after 9 images: the s"):
        prepare_ended(sizes, 2, terminated)
    prepare.main()
    assert sum(sizes) == 16 + 2 + 7


def test_a_signal_to_the_processes_that_decode_is_no_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object) -> Iterator[int]:
        yield 3
        terminated()
        raise InputError("a process was killed: out of memory?")

    monkeypatch.setattr(packing, "in_order", broken_off)
    with pytest.raises(Stopped, match="after 3 images"):
        pack(tmp_path, [f"{i}.jpg" for i in range(9)], tmp_path / "train.npy", HEIGHT, WIDTH, 2, "train", 30)


def test_other_images_are_packed_from_the_first(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = going_on(project, monkeypatch)
    with pytest.raises(SystemError):
        prepare_ended(sizes, 2, killed)
    image = next((project / "raw/bounding_box_test").iterdir())
    os.utime(image, (1, 1))
    del sizes[:]
    prepare.main()
    assert sum(sizes) == 16 + 2 + 7
    assert "not gone on from: images, parameters or code were others" in capsys.readouterr().out
    # what cannot be packed leaves nothing: mended, it is another
    broken(image, "empty")
    with pytest.raises(InputError):
        prepare.main()
    assert [path.name for path in (project / "data/packed").iterdir()] == ["target"]


# --- the stage -------------------------------------------------------------------------------------------------------


def test_the_stage_packs_three_splits(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare.main()
    names = [f"{split}.{suffix}" for split in ("gallery", "query", "train") for suffix in ("csv", "npy")]
    assert listing(project / "data" / "packed") == ["target", *(f"target/{name}" for name in names)]
    gallery = read_index(project / "data/packed/target/gallery.csv")
    rows = np.load(project / "data/packed/target/gallery.npy", mmap_mode="r")
    assert rows.shape == (7, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(rows[6], decode([f"raw/{gallery.file[6]}"], HEIGHT, WIDTH)[0])
    out, err = capsys.readouterr()
    *lines, remark = out.splitlines()
    assert [line.split() for line in lines] == [
        ["target:", "station", "(market1501,", "raw)"],
        ["split", "images", "ids", "cameras", "distractors"],
        ["train", "16", "4", "4", "0"],
        ["query", "2", "2", "1", "0"],
        ["gallery", "7", "2", "3", "1"],
    ]
    assert remark == "bounding_box_test: left out: 1 junk, pid -1 (bounding_box_test/-1_c1s1_000001_00.jpg)"
    assert err == ""


def test_deviations_and_unmatched_queries_are_warnings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for camera in (2, 3):
        (project / "raw" / "bounding_box_test" / f"0011_c{camera}s1_000009_01.jpg").unlink()
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("target_name: station", "target_name: market1501"))
    prepare.main()
    assert capsys.readouterr().err.splitlines() == [
        "warning: market1501 train: published are 12,936 images of 751 ids, found 16 of 4",
        "warning: market1501 query: published are 3,368 images of 750 ids, found 2 of 2",
        "warning: market1501 gallery: published are 15,913 images of 750 ids, found 5 of 2",
        "warning: raw: 1 of 2 queries have no gallery image of the same pid in another camera and do not count in mAP",
    ]


def test_a_broken_image_ends_the_stage_in_one_line_and_keeps_the_old_output(project: Path) -> None:
    assert run_stage(project).returncode == 0
    before = {path: path.read_bytes() for path in (project / "data").rglob("*.*") if path.is_file()}
    broken(project / "raw" / "query" / "0011_c1s1_000001_00.jpg", "truncated")
    result = run_stage(project)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: raw/query/0011_c1s1_000001_00.jpg: cannot be read as an image: ")
    assert {path: path.read_bytes() for path in (project / "data").rglob("*.*") if path.is_file()} == before
    assert listing(project / "data" / "packed") == ["target", *sorted(f"target/{path.name}" for path in before)]


def as_source(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set above as the source, to be read by ``prepare.main()``."""
    params = (project / "params.yaml").read_text()
    for key, value in (("name", "station"), ("layout", "market1501"), ("root", "raw")):
        params = re.sub(f"^source_{key}: .*$", f"source_{key}: {value}", params, flags=re.MULTILINE)
    (project / "params.yaml").write_text(params)
    monkeypatch.setattr(sys, "argv", ["prepare", "--set", "source"])


def test_a_source_of_single_images_is_refused_and_a_few_are_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_source(project, monkeypatch)
    train = project / "raw" / "bounding_box_train"
    for path in train.glob("0002_c[234]*"):
        path.unlink()
    prepare.main()
    assert capsys.readouterr().err == "warning: raw: 1 of 4 ids of train have one image: no positives for a triplet\n"
    for path in train.glob("*_c[234]*"):
        path.unlink()
    with pytest.raises(InputError, match=r"^raw: train has 4 images of 4 ids, but pre-training compares two images"):
        prepare.main()
    monkeypatch.setattr(sys, "argv", ["prepare", "--set", "target"])  # whose pids are never trained on
    prepare.main()


def test_a_tilde_is_the_home_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("USERPROFILE", str(project))
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("target_root: raw", "target_root: ~/raw"))
    prepare.main()
    assert len(read_index(project / "data/packed/target/train.csv")) == 16


def test_what_dvc_does_not_see_is_refused_where_dvc_runs_the_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "raw" / "query").rename(project / "elsewhere")
    (project / "raw" / "query").symlink_to(project / "elsewhere")
    prepare.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: raw/query: a linked folder, behind which DVC sees no change: let target_root name")
    monkeypatch.setenv("DVC_STAGE", "prepare@target")
    with pytest.raises(InputError) as caught:
        prepare.main()
    assert line == f"warning: {caught.value}"


def test_a_full_disk_ends_the_stage_in_one_line_and_leaves_nothing(project: Path) -> None:
    resource = pytest.importorskip("resource")
    limit = 2 * HEIGHT * WIDTH * 3 + 1000  # the query fits, the 16 training images do not
    result = run_stage(project, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert result.returncode == 1
    assert result.stderr == "error: data/packed/target/train.npy: cannot be written: File too large\n"
    assert listing(project / "data") == ["packed"]
