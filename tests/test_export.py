"""Exported networks compute what the project's own do, say what they are, and are refused where they cannot be made."""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from importlib import util
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from mutual.base.errors import run
from mutual.base.params import Backbone
from mutual.datasets.packing import decode
from mutual.evaluation.features import extract, mean_features
from mutual.export import comparison
from mutual.export.extractor import Extractor, description, read_extractor
from mutual.export.programs import as_onnx, labelled, traced
from mutual.export.quantisation import sample
from mutual.export.running import agreement
from mutual.images.index import Index, write_index
from mutual.machine.device import CPU
from mutual.networks import resnet
from mutual.networks.backbones import backbone
from mutual.networks.norms import in_parts
from mutual.networks.peers import Peer, read_network, write_peer
from mutual.networks.reid import ReidNetwork, inference
from tests.snippets import blocks, calls
from tests.tiny import refusal
from tools import export, measure

TOP = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 32, 16
IMAGES = np.random.default_rng(1).integers(0, 256, (100, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def shallow() -> Iterator[None]:
    """Backbones with each kind of block that they have once or twice: exporters take their time for every block."""
    deep = resnet.ResNet._layer

    def layer(self: resnet.ResNet, block: Any, width: int, depth: int, *steps: int) -> nn.Sequential:
        return deep(self, block, width, 1, *steps)

    def mobilenet_v2() -> nn.Module:
        return torchvision.models.MobileNetV2(inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet.ResNet, "_layer", layer)
        patch.setattr(torchvision.models, "mobilenet_v2", mobilenet_v2)
        yield


def network(seed: int, backbone: str, pooling: str, **form: Any) -> ReidNetwork:
    """Random weights and, as after training, statistics and exponents that are not those of the beginning."""
    torch.manual_seed(seed)
    made = ReidNetwork(backbone, 3, pooling=pooling, **form)
    for module in made.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
    if made.pooling is not None:
        nn.init.constant_(made.pooling.p, 2.5)
    return made


def write(path: Path, teacher: ReidNetwork, height: int = HEIGHT, width: int = WIDTH, iterations: int = 40) -> Path:
    """A peer's file, its student another network than its teacher."""
    params = {"adaptation": {"method": "mmt", "lr": 1e-3}}
    form = Peer(teacher.form, teacher.classifier.out_features, height, width, iterations, params)
    student = deepcopy(teacher)
    nn.init.zeros_(student.neck.weight)
    write_peer(path, student, teacher, form)
    return path


def extracted(path: Path, images: np.ndarray = IMAGES) -> np.ndarray:
    """As the stage ``extract`` computes it."""
    return extract(inference(read_network(path, "teacher", precision="fp32")), images, CPU, "test")


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def features(model: Path | bytes, images: np.ndarray = IMAGES) -> np.ndarray:
    return np.asarray(session(model).run(["features"], {"images": images})[0])


def call(monkeypatch: pytest.MonkeyPatch, door: Any, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [door.__name__, *arguments])
    door.main()


# --- what it computes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "peers",
    [
        [("resnet18", "avg", {}), ("resnet34", "gem", {"stem_relu": True})],
        [("resnet50", "avg", {}), ("resnet_ibn50a", "gem", {})],
        [("mobilenet_v2", "gem", {"precision": "bf16"})],
    ],
    ids=["of two layers", "of three layers", "inverted"],
)
def test_every_backbone_gives_the_features_of_extraction(tmp_path: Path, peers: list[tuple[str, str, Any]]) -> None:
    """Of several peers the mean that is clustered; any number of images; batch norms of the source left out."""
    paths = []
    for i, (name, pooling, form) in enumerate(peers):
        teacher = network(i, name, pooling, **form)
        if name == "resnet34":
            in_parts(teacher, 2, domains=True)
        paths.append(write(tmp_path / f"peer{i}.safetensors", teacher))
    program = traced(read_extractor(paths), HEIGHT, WIDTH)
    model = as_onnx(program, description(paths, "fp32", "1"))
    onnx.checker.check_model(model, full_check=True)
    ours = mean_features([extracted(path) for path in paths])
    theirs = session(model.SerializeToString())
    for count in (1, 3, 100):
        found = theirs.run(None, {"images": IMAGES[:count]})[0]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, ours[:count], atol=1e-4, rtol=0)
    with torch.inference_mode():
        np.testing.assert_allclose(program.module()(torch.from_numpy(IMAGES)), ours, atol=1e-4, rtol=0)


def test_the_deeper_ones_have_the_blocks_of_those() -> None:
    assert str(backbone("resnet101", False)) == str(backbone("resnet152", False)) == str(backbone("resnet50", False))
    seven = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet_ibn50a", "mobilenet_v2"}
    assert seven == set(get_args(Backbone))


def test_of_several_peers_the_mean_is_not_normalised_again() -> None:
    """Two features of length 1 at a right angle: their mean is as long as half a diagonal."""

    class Known(nn.Module):
        def __init__(self, feature: list[float]) -> None:
            super().__init__()
            self.feature = feature

        def embed(self, views: torch.Tensor) -> torch.Tensor:
            assert views.shape == (2, 3, HEIGHT, WIDTH)
            # a black picture, normalised by ImageNet's mean and deviation
            assert torch.allclose(views[0, :, 0, 0], torch.tensor([-2.1179, -2.0357, -1.8044]), atol=1e-4)
            return torch.tensor([self.feature] * len(views))

    images = torch.from_numpy(np.stack([np.zeros_like(IMAGES[0]), IMAGES[0]]))
    both = Extractor([Known([1.0, 0.0]), Known([0.0, 1.0])])  # type: ignore[list-item]
    assert both(images).tolist() == [[0.5, 0.5]] * 2
    alone = Extractor([Known([0.6, 0.8])])(images)  # type: ignore[list-item]
    assert torch.equal(alone, torch.tensor([[0.6, 0.8]] * 2))


# --- the doors -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two peers of a last round and a packed target, and all kinds of files made of the first peer."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("params.yaml", "rounds.yaml", "pyproject.toml"):
        (folder / name).write_bytes((TOP / name).read_bytes())
    for seed in (1, 2):
        write(folder / f"models/r05/peer{seed}.safetensors", network(seed, "resnet18", "avg"), iterations=200)
    (folder / "data/packed/target").mkdir(parents=True)
    for split, count in (("train", 40), ("query", 8), ("gallery", 24)):
        np.save(folder / f"data/packed/target/{split}.npy", IMAGES[:count])
        places = np.arange(count)
        index = Index([f"{i}.jpg" for i in places], places % 4, places // 4 + 9 * (split == "query"))
        write_index(folder / f"data/packed/target/{split}.csv", index)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for made, precision in (("32.onnx", "fp32"), ("16.onnx", "fp16"), ("8.onnx", "int8"), ("32.pt2", "fp32")):
            call(patch, export, made, "--peers", "models/r05/peer1.safetensors", "--precision", precision)
    return folder


@pytest.fixture(autouse=True)
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "project" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("project"))


def test_narrow_files_are_smaller_and_close(project: Path) -> None:
    ours = extracted(Path("models/r05/peer1.safetensors"))
    np.testing.assert_allclose(features(Path("32.onnx")), ours, atol=1e-4, rtol=0)
    for name, least in (("16.onnx", 0.9999), ("8.onnx", 0.97)):
        assert least < agreement(ours, features(Path(name)))[1] <= 1 + 1e-6
    sizes = [Path(name).stat().st_size for name in ("32.onnx", "16.onnx", "8.onnx")]
    assert sizes[0] > 1.9 * sizes[1] > 3.4 * sizes[2]


def test_a_file_says_what_it_is_and_nothing_of_the_machine(project: Path) -> None:
    graph = session(Path("32.onnx"))
    assert [(each.name, each.shape, each.type) for each in graph.get_inputs()] == [
        ("images", ["N", HEIGHT, WIDTH, 3], "tensor(uint8)")
    ]
    assert [(each.name, each.shape, each.type) for each in graph.get_outputs()] == [
        ("features", ["N", 512], "tensor(float)")
    ]
    found = graph.get_modelmeta().custom_metadata_map
    (peer,) = json.loads(found["peers"])
    path = Path("models/r05/peer1.safetensors")
    assert (found["backbone"], found["pooling"], found["iterations"]) == ("resnet18", "avg", "200")
    assert (found["image_height"], found["image_width"], found["precision"]) == ("32", "16", "fp32")
    assert (peer["file"], peer["sha256"]) == (path.as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
    assert peer["params"] == {"adaptation": {"method": "mmt", "lr": 1e-3}}
    version = re.search(r'(?m)^version = "(.+)"$', (TOP / "pyproject.toml").read_text())
    assert version
    assert found["project"] == f"mutual-mean-teaching {version[1]}"
    extra = {"description.json": ""}
    torch.export.load("32.pt2", extra_files=extra)
    assert json.loads(extra["description.json"]) == found
    for name in ("32.onnx", "16.onnx", "8.onnx", "32.pt2"):
        content = Path(name).read_bytes()
        assert not [place for place in (TOP, project, Path(torch.__file__).parent) if str(place).encode() in content]


def test_by_default_it_is_the_last_rounds_peers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def exported(*given: Any) -> bytes:
        asked.extend(given)
        return b"made"

    monkeypatch.setattr(export, "exported", exported)
    call(monkeypatch, export, "both.onnx")
    assert asked[0] == [Path(f"models/r05/peer{seed}.safetensors") for seed in (1, 2)]
    assert Path("both.onnx").read_bytes() == b"made"


def test_the_lines_of_the_documentation_write_their_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first as the fixture does: the same peers give the same bytes."""
    first, *others = calls("tools.export")
    call(monkeypatch, export, *first)
    assert first[1:] == ["--peers", "models/r05/peer1.safetensors"]
    assert Path(first[0]).read_bytes() == Path("32.onnx").read_bytes()
    for made, *options in others:
        call(monkeypatch, export, made, *options)
        assert Path(made).stat().st_size > 1e6


def test_calibration_sees_each_image_once_in_a_draw_that_can_be_repeated() -> None:
    images = np.arange(1000)[:, None]
    first, second = (sample(images, np.random.default_rng(3))[:, 0] for _ in range(2))
    assert first.tolist() == second.tolist() == sorted(set(first.tolist()))
    assert len(first) == 256
    assert sample(images[:7], np.random.default_rng(3))[:, 0].tolist() == list(range(7))


def test_the_measure_is_that_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "PASSES", 1)
    call(monkeypatch, measure, "32.onnx", "8.onnx", "32.pt2", "--threads", "1")
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line[0] for line in lines[2:]] == ["PyTorch", "32.onnx", "8.onnx", "32.pt2"]
    path = Path("models/r05/peer1.safetensors")
    q, g = extracted(path, IMAGES[:8]), extracted(path, IMAGES[:24])
    # by hand: no camera of the query is one of the gallery's, so that nothing is left out
    precisions = []
    for i in range(8):
        hits = (np.arange(24) % 4 == i % 4)[np.argsort(-(g @ q[i]), kind="stable")]
        precisions.append((np.cumsum(hits) / np.arange(1, 25))[hits].mean())
    assert float(lines[2][3]) == pytest.approx(100 * np.mean(precisions), abs=0.051)
    assert float(lines[3][1]) < 1e-4 < float(lines[4][1])
    assert 0.97 < float(lines[4][2]) <= 1
    assert float(lines[4][5]) == pytest.approx(Path("8.onnx").stat().st_size / 1e6, abs=0.051)
    assert all(float(line[4]) > 0 for line in lines[2:])


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_computes_the_features_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On pictures that are turned, grey, transparent or have a palette."""
    (example,) = blocks("README.md", "python")
    rng = np.random.default_rng(5)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be seen rotated by 90 degrees
    picture = Image.fromarray(rng.integers(0, 256, (50, 90, 3), np.uint8)).resize((45, 25), Image.Resampling.BILINEAR)
    names = [str(tmp_path / name) for name in ("turned.jpg", "grey.png", "alpha.png", "palette.png")]
    picture.save(names[0], exif=turned)
    picture.convert("L").save(names[1])
    picture.convert("RGBA").save(names[2])
    picture.quantize(16).save(names[3])
    monkeypatch.setattr(sys, "argv", ["example.py", "32.onnx", *names])
    scope: dict[str, Any] = {}
    exec(example, scope)
    ours = extracted(Path("models/r05/peer1.safetensors"), decode(names, HEIGHT, WIDTH))
    np.testing.assert_allclose(scope["features"], ours, atol=1e-4, rtol=0)
    imports = [node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {alias.name if isinstance(node, ast.Import) else node.module for node in imports for alias in node.names}
    assert modules - {"sys"} == {"numpy", "onnxruntime", "PIL"}
    assert len(example.splitlines()) <= 20


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["out.pt"], r"out\.pt: expected a name that ends in \.onnx or \.pt2"),
        (["out.pt2", "--precision", "int8"], r"out\.pt2: int8: expected a name that ends in \.onnx"),
        (["params.yaml/out.onnx"], r"params\.yaml: expected a folder, found a file"),
        (["out.onnx", "--peers", "nobody"], "nobody: not found"),
        (["data/demo/DukeMTMC-reID/out.onnx"], r"^OUT: data/demo/DukeMTMC-reID/out\.onnx: belongs to source_root,"),
        (["out.onnx", "--peers", "params.yaml"], r"params\.yaml: expected a whole safetensors file"),
        (
            ["out.onnx", "--peers", "models/r05/peer1.safetensors", "large"],
            "large: expected images of 32 x 16 pixels as",
        ),
        (["out.onnx", "--peers", "models/r05/peer1.safetensors", "wide"], "wide: expected features of 512 numbers as"),
        (
            ["out.onnx", "--peers", "large", "--precision", "int8"],
            "the images to calibrate on: expected 64 x 32 pixels",
        ),
    ],
)
def test_what_cannot_be_made_is_told_in_a_line(
    project: Path, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "large" in arguments:
        write(Path("large"), network(1, "resnet18", "avg"), 64, 32)
    if "wide" in arguments:
        write(Path("wide"), network(1, "resnet50", "avg"))
    before = sorted(project.iterdir())
    assert re.search(told, refusal(lambda: call(monkeypatch, export, *arguments)))
    assert sorted(project.iterdir()) == before


def test_before_the_first_run_there_are_no_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "rounds.yaml"):
        (tmp_path / name).write_bytes((TOP / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert refusal(lambda: call(monkeypatch, export, "out.onnx")) == (
        "models/r05/peer1.safetensors: not found: expected `dvc repro` before, or peers' files after --peers"
    )


def test_a_place_that_cannot_be_written_is_told_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refused)
    monkeypatch.setattr(export, "exported", lambda *_: pytest.fail("the work was done"))
    with pytest.raises(SystemExit) as ended:
        run(lambda: call(monkeypatch, export, "out.onnx"))
    assert ended.value.code == "error: out.onnx: Permission denied"


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_package_that_is_missing_is_named(project: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == package else found(name))
    monkeypatch.setattr("mutual.export.programs.find_spec", util.find_spec)
    told = f"{package}: not installed: expected `pip install onnx onnxruntime onnxscript` before"
    assert refusal(lambda: call(monkeypatch, export, "out.onnx", "--precision", "int8")) == told
    if package == "onnxruntime":
        assert refusal(lambda: call(monkeypatch, measure, "32.onnx")) == told


@pytest.mark.parametrize("name", ["32.onnx", "32.pt2"])
def test_a_damaged_file_is_not_measured(
    project: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut, content = tmp_path / name, Path(name).read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    assert f"{cut}: expected a whole file of tools.export" in refusal(lambda: call(monkeypatch, measure, str(cut)))


def test_numbers_of_threads_begin_at_1(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(lambda: call(monkeypatch, measure, "32.onnx", "--threads", "2", "0"))
    assert told == "--threads: expected 1 or more, got 0"


@pytest.mark.parametrize(("name", "told"), [("params.yaml", "expected a file that ends in"), ("no.onnx", "not found")])
def test_another_file_is_not_measured(project: Path, name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{name}: {told}" in refusal(lambda: call(monkeypatch, measure, name))


def test_a_file_of_other_peers_is_not_measured(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = description([Path("models/r05/peer2.safetensors")], "fp32", "1")
    onnx.save(labelled(onnx.load("32.onnx"), described), "second.onnx")
    told = refusal(lambda: call(monkeypatch, measure, "32.onnx", "second.onnx"))
    assert "second.onnx: expected a file made of models/r05/peer1.safetensors as 32.onnx is" in told
    path = Path("models/r05/peer1.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\x01")
    try:
        told = refusal(lambda: call(monkeypatch, measure, "32.onnx"))
    finally:
        path.write_bytes(content)
    assert told == f"32.onnx: made of {path}: expected this file as it was then, it has changed"
