"""Features of a folder of one's own: those of the network, however often the run was stopped."""

import csv
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mutual.base.errors import InputError
from mutual.base.errors import run as run_door
from mutual.datasets.packing import decode
from mutual.evaluation.features import extract, mean_features
from mutual.machine.device import CPU
from mutual.networks.peers import Peer, read_network, write_peer
from mutual.networks.reid import ReidNetwork, inference
from mutual.search import decoding, embedding, teachers
from mutual.search.listing import listed
from tests.tiny import refusal
from tools import chosen, embed

HEIGHT, WIDTH = 32, 16
ODD = 'a "quoted",\r\nname.png'


def write_images(folder: Path, names: Sequence[str], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), np.uint8)).save(place)


def make_peer(path: Path, seed: int, backbone: str = "mobilenet_v2", size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    torch.manual_seed(seed)
    network = ReidNetwork(backbone, 2)
    write_peer(path, ReidNetwork(backbone, 2), network, Peer(network.form, 2, *size))
    return path


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("peers")
    return [make_peer(folder / f"peer{seed}.safetensors", seed) for seed in (1, 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven images at different depths, in three pieces of three, and two files that are none."""
    write_images(tmp_path / "crops", ["b.png", "a/x.jpg", "a/deep/er/y.bmp", ODD, "c.TIF", "d.webp", "e.png"])
    (tmp_path / "crops/notes.txt").write_text("none")
    (tmp_path / "crops/.hidden").mkdir()
    return tmp_path / "crops"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decoding, embedding):
        monkeypatch.setattr(module, "PIECE", 3)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["embed", *map(str, arguments)])
    embed.main()


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.reader(file))


def content(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in (embedding.FEATURES, embedding.IMAGES, embedding.LEFT_OUT)}


def test_every_picture_has_the_features_of_the_network_in_its_row(
    folder: Path, tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    call(monkeypatch, folder, tmp_path / "out", "--peers", peers[0])
    header, *found = rows(tmp_path / "out/images.csv")
    assert header == ["file", "row"]
    names = sorted([ODD, "a/deep/er/y.bmp", "a/x.jpg", "b.png", "c.TIF", "d.webp", "e.png"])
    assert found == [[name, str(row)] for row, name in enumerate(names)]
    network = inference(read_network(peers[0], "teacher"))
    pixels = decode([str(folder / name) for name in names], HEIGHT, WIDTH)
    features = np.load(tmp_path / "out/features.npy")
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, extract(network, pixels, CPU, ""), rtol=1e-4, atol=1e-5)
    assert rows(tmp_path / "out/left_out.csv") == [["file", "reason"]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".made.json",
        "features.npy",
        "images.csv",
        "left_out.csv",
    ]


def test_of_several_peers_the_mean_is_of_length_1_again(folder: Path, peers: list[Path]) -> None:
    both = teachers.read_teachers(peers, CPU)
    pixels = decode([str(folder / "b.png"), str(folder / "e.png")], HEIGHT, WIDTH)
    one, other = (teachers.read_teachers([path], CPU).embed(pixels, "") for path in peers)
    mean = mean_features([one, other])
    assert np.linalg.norm(mean, axis=1).max() < 0.99
    np.testing.assert_allclose(both.embed(pixels, ""), mean / np.linalg.norm(mean, axis=1)[:, None], rtol=1e-6)
    np.testing.assert_array_equal(one, extract(inference(read_network(peers[0], "teacher")), pixels, CPU, ""))


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, folder, tmp_path / "whole", "--peers", *peers)
    seen: list[int] = []

    def stopping(own: Callable, after: int) -> Callable:
        def embed_piece(self: teachers.Teachers, images: np.ndarray, label: str) -> np.ndarray:
            if len(seen) == after:
                raise KeyboardInterrupt
            seen.append(len(images))
            return own(self, images, label)

        return embed_piece

    own = teachers.Teachers.embed
    monkeypatch.setattr(teachers.Teachers, "embed", stopping(own, 2))
    with pytest.raises(KeyboardInterrupt):
        call(monkeypatch, folder, tmp_path / "out", "--peers", *peers)
    assert not (tmp_path / "out/features.npy").exists()
    # what a kill in the middle of writing leaves, and a piece that the disk has damaged
    (tmp_path / "out/.parts/.000002.npy.1.tmp").write_bytes(b"half")
    (tmp_path / "out/.parts/000001.npy").write_bytes(b"\x93NUMPY")
    monkeypatch.setattr(teachers.Teachers, "embed", stopping(own, 99))
    capsys.readouterr()
    call(monkeypatch, folder, tmp_path / "out", "--peers", *peers)
    assert "3 of 7 images are done already" in capsys.readouterr().out
    assert seen == [3, 3, 3, 1]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_pieces_of_other_images_or_peers_are_not_used(
    folder: Path, tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own, out = embedding._join, tmp_path / "out"
    for change in ("none", "peers", "images"):
        monkeypatch.setattr(embedding, "_join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            call(monkeypatch, folder, out, "--peers", peers[0])
        monkeypatch.setattr(embedding, "_join", own)
        if change == "images":
            write_images(folder, ["b.png"], seed=9)
        capsys.readouterr()
        call(monkeypatch, folder, out, "--peers", peers[change == "peers"])
        assert ("done already" in capsys.readouterr().out) == (change == "none")
        call(monkeypatch, folder, tmp_path / change, "--peers", peers[change == "peers"])
        assert content(out) == content(tmp_path / change)


def test_processes_that_decode_change_nothing(folder: Path, tmp_path: Path, peers: list[Path]) -> None:
    listing, network = listed(folder), teachers.read_teachers(peers[:1], CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "IMAGES_WORTH_A_PROCESS", 1)
        embedding.embed_folder(listing, tmp_path / "two", network, 2)
    embedding.embed_folder(listing, tmp_path / "one", network, 1)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_pictures_that_cannot_be_read_are_left_out_and_named(
    folder: Path, tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a/x.jpg").write_bytes(b"no picture")
    (folder / "f.png").symlink_to("gone.png")
    call(monkeypatch, folder, tmp_path / "out", "--peers", peers[0])
    said = capsys.readouterr()
    assert "left out: a/x.jpg: not an image in a known format\n" in said.err
    assert said.err.endswith("2 of 8 images cannot be read\n")
    assert "left out: 1 of no image format that is read here (notes.txt)" in said.out
    left_out = rows(tmp_path / "out/left_out.csv")
    assert left_out[1:] == [["a/x.jpg", "not an image in a known format"], ["f.png", "No such file or directory"]]
    kept = [row[0] for row in rows(tmp_path / "out/images.csv")[1:]]
    assert len(kept) == len(np.load(tmp_path / "out/features.npy")) == 6
    assert "a/x.jpg" not in kept
    # the features of the others are in their own rows
    alone = teachers.read_teachers(peers[:1], CPU).embed(decode([str(folder / "e.png")], HEIGHT, WIDTH), "")
    row = np.load(tmp_path / "out/features.npy")[kept.index("e.png")]
    np.testing.assert_allclose(row, alone[0], rtol=1e-4, atol=1e-5)
    # --strict, of pieces that are yet to be done and of those that are
    for out in ("strict", "out"):
        with pytest.raises(InputError, match=r"a/x\.jpg: cannot be read as an image: not an image in a known format"):
            call(monkeypatch, folder, tmp_path / out, "--strict", "--peers", peers[0])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "crops: holds no image"),
        ({"a.txt": b"", ".x.png": b""}, "crops: holds no image; left out: 1 hidden (.x.png); left out: 1 of no image"),
        ({"a.png": b"", "b.png": b"x"}, "crops/a.png: cannot be read as an image: the file is empty; nor can 1 more"),
    ],
)
def test_a_folder_without_pictures_is_refused(
    tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], said: str
) -> None:
    (tmp_path / "crops").mkdir()
    for name, data in files.items():
        (tmp_path / "crops" / name).write_bytes(data)
    arguments = (tmp_path / "crops", tmp_path / "out", "--peers", peers[0])
    assert said in refusal(lambda: call(monkeypatch, *arguments))
    assert not (tmp_path / "out/features.npy").exists()


def test_no_folder_is_refused(folder: Path, tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, found in (("crops/b.png", "a file"), ("absent", "nothing")):
        said = refusal(partial(call, monkeypatch, tmp_path / name, tmp_path / "out", "--peers", peers[0]))
        assert said == f"{tmp_path / name}: expected a folder, found {found}"


def test_peers_that_do_not_go_together_are_refused(tmp_path: Path, peers: list[Path]) -> None:
    larger = make_peer(tmp_path / "larger.safetensors", 3, size=(64, 32))
    shorter = make_peer(tmp_path / "shorter.safetensors", 3, backbone="resnet18")
    said = refusal(lambda: teachers.read_teachers([peers[0], larger], CPU))
    assert said == f"{larger}: sees images of 64 x 32, {peers[0]} of 32 x 16: expected peers that go together"
    said = refusal(lambda: teachers.read_teachers([peers[0], shorter], CPU))
    assert said == f"{shorter}: gives features of 512 numbers, {peers[0]} of 1280: expected peers that go together"
    (tmp_path / "cut.safetensors").write_bytes(peers[0].read_bytes()[:1000])
    assert "cut.safetensors: expected a whole safetensors file" in refusal(
        lambda: teachers.read_teachers([tmp_path / "cut.safetensors"], CPU)
    )


def test_by_default_the_peers_are_those_of_the_last_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = Path(__file__).resolve().parents[1]
    monkeypatch.chdir(tmp_path)
    parser = ArgumentParser()
    chosen.add_peers(parser)
    args = parser.parse_args([])
    assert "--peers: expected peers, since there is no params.yaml" in refusal(lambda: chosen.peers(args))
    (tmp_path / "params.yaml").write_bytes((top / "params.yaml").read_bytes())
    (tmp_path / "rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r01\n")
    assert "models/r02/peer1.safetensors: not found: expected the peers of the" in refusal(lambda: chosen.peers(args))
    (tmp_path / "models/r02").mkdir(parents=True)
    for seed in (1, 2):
        (tmp_path / f"models/r02/peer{seed}.safetensors").touch()
    assert [str(path) for path in chosen.peers(args)] == [f"models/r02/peer{seed}.safetensors" for seed in (1, 2)]
    assert chosen.peers(parser.parse_args(["--peers", "a", "b"])) == [Path("a"), Path("b")]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes only there")
def test_a_name_that_is_not_utf_8_keeps_its_bytes(
    tmp_path: Path, peers: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        write_images(tmp_path / "crops", ["good.png"])
        os.link(tmp_path / "crops/good.png", tmp_path / "crops" / name)
    except OSError:
        pytest.skip("this file system has no such names")
    call(monkeypatch, tmp_path / "crops", tmp_path / "out", "--peers", peers[0])
    assert [row[0] for row in rows(tmp_path / "out/images.csv")[1:]] == sorted([name, "good.png"])
    assert b"caf\xe9.png,0" in (tmp_path / "out/images.csv").read_bytes()


def test_a_mistake_is_one_line_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["embed", str(tmp_path / "absent"), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        run_door(embed.main)
    assert str(ended.value).startswith("error: ")
    assert not (tmp_path / "out").exists()
