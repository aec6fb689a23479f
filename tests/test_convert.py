"""The authors' checkpoints there and back."""

import io
import pickle
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mutual.base.errors import InputError
from mutual.elsewhere.official import official_name
from mutual.networks.norms import in_parts
from mutual.networks.peers import Peer, read_network, read_peer, write_peer
from mutual.networks.reid import ReidNetwork, inference
from tests.golden import assert_close, golden
from tests.golden.fill_rule import image_batch, tensor_for
from tools import convert

TOP = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rounds.yaml").write_bytes((TOP / "rounds.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    set_network(tmp_path, "resnet50")
    return tmp_path


def set_network(project: Path, backbone: str, pooling: str = "avg", stem_relu: str = "false") -> None:
    text = (TOP / "params.yaml").read_text()
    for key, value in (("backbone", backbone), ("pooling", pooling), ("stem_relu", stem_relu)):
        text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
    (project / "params.yaml").write_text(text)


@cache
def official_state(model: str) -> dict[str, Tensor]:
    stored = golden(f"model_{model}")
    shapes = [tuple(int(side) for side in re.findall(r"\d+", str(text))) for text in stored["state_shapes"]]
    return {
        str(name): torch.from_numpy(np.asarray(tensor_for(str(name), shape))).to(
            torch.int64 if str(name).endswith("num_batches_tracked") else torch.float32
        )
        for name, shape in zip(stored["state_names"], shapes, strict=True)
    }


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["convert", *arguments])
    convert.main()


def described(network: ReidNetwork) -> Peer:
    """What the file of a peer with this network says."""
    return Peer(network.form, network.classifier.out_features, 64, 32, 5)


@pytest.mark.parametrize(("model", "prefix"), [("resnet50", "module."), ("resnet_ibn50a", "")])
def test_there_and_back_is_the_identity_and_features_are_the_authors(
    project: Path, monkeypatch: pytest.MonkeyPatch, model: str, prefix: str
) -> None:
    set_network(project, model)
    state = official_state(model)
    # as the authors save them: an epoch and a NumPy number beside the tensors
    content = {"state_dict": {prefix + name: tensor for name, tensor in state.items()}, "epoch": 40}
    torch.save(content | {"best_mAP": np.float64(0.712)}, "official.pth.tar")
    run(monkeypatch, "official.pth.tar", "peer.safetensors")
    assert read_peer(Path("peer.safetensors")).iterations == 0
    network = read_network(Path("peer.safetensors"), "teacher")
    with torch.inference_mode():
        features = inference(network).embed(torch.from_numpy(image_batch(2, 256, 128)).float())
    assert_close(features, golden(f"model_{model}")["eval_feat_2x256x128_f32"], 1e-4)
    for role in ("student", "teacher"):
        run(monkeypatch, "peer.safetensors", "back.pth.tar", "--role", role)
        back = torch.load("back.pth.tar", weights_only=True)["state_dict"]
        assert list(back) == list(state)
        for name, tensor in state.items():
            assert back[name].dtype == tensor.dtype
            assert back[name].numpy().tobytes() == tensor.numpy().tobytes(), name


def test_student_or_teacher_can_be_asked_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_network(project, "resnet18")
    student, teacher = ReidNetwork("resnet18", 3), ReidNetwork("resnet18", 3)
    write_peer(Path("peer.safetensors"), student, teacher, described(student))
    for role, network in (("student", student), ("teacher", teacher)):
        run(monkeypatch, "peer.safetensors", f"{role}.pth", "--role", role)
        found = torch.load(f"{role}.pth", weights_only=True)["state_dict"]
        assert torch.equal(found["base.0.weight"], network.state_dict()["backbone.conv1.weight"])


@pytest.mark.parametrize(
    ("backbone", "pooling", "stem_relu", "some"),
    [
        # the paper's code lacks the first, SpCL's has it; OpenUnReID has all that have a ReLU in the stem
        ("resnet18", "avg", True, ["base.0.weight", "base.7.1.bn2.bias", "feat_bn.weight", "classifier.weight"]),
        ("resnet18", "gem", True, ["backbone.layer4.1.bn2.bias", "global_pooling.p", "head.feat_bn.weight"]),
        ("resnet_ibn50a", "gem", False, ["backbone.layer1.0.bn1.IN.weight", "global_pooling.p"]),
        ("mobilenet_v2", "avg", False, ["backbone.features.0.0.weight", "head.feat_bn.bias", "classifier.weight"]),
        ("mobilenet_v2", "gem", False, ["backbone.features.18.1.weight", "global_pooling.p", "head.feat_bn.bias"]),
    ],
)
def test_networks_that_the_papers_code_lacks_go_there_and_back(
    project: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, pooling: str, stem_relu: bool, some: list[str]
) -> None:
    set_network(project, backbone, pooling, str(stem_relu).lower())
    network = ReidNetwork(backbone, 3, stem_relu=stem_relu, pooling=pooling)
    write_peer(Path("peer.safetensors"), network, network, described(network))
    run(monkeypatch, "peer.safetensors", "out.pth.tar")
    state = torch.load("out.pth.tar", weights_only=True)["state_dict"]
    assert set(some) <= set(state)
    assert len(state) == len(network.state_dict())
    run(monkeypatch, "out.pth.tar", "again.safetensors")
    again = load_file("again.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(again[f"teacher.{name}"], tensor), name


def test_gem_without_a_relu_in_the_stem_has_no_names_elsewhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_network(project, "resnet18", "gem")
    network = ReidNetwork("resnet18", 3, pooling="gem")
    write_peer(Path("peer.safetensors"), network, network, described(network))
    with pytest.raises(InputError, match="pooling, stem_relu: no public code has gem behind a stem without a ReLU"):
        run(monkeypatch, "peer.safetensors", "out.pth.tar")
    assert not Path("out.pth.tar").exists()


def later_state(network: ReidNetwork, added: float) -> dict[str, Tensor]:
    """As OpenUnReID names a network inside its mean teacher: the backbone's names are torchvision's."""
    first = {"backbone": "backbone", "neck": "head.feat_bn", "pooling": "global_pooling", "classifier": "classifier"}
    return {
        ".".join([first[name.split(".")[0]], *name.split(".")[1:]]): tensor + tensor.new_tensor(added)
        for name, tensor in network.state_dict().items()
    }


@pytest.mark.parametrize("pooling", ["avg", "gem"])
def test_openunreids_first_mean_teacher_becomes_a_peer(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pooling: str
) -> None:
    set_network(project, "resnet18", pooling, "true")
    network = ReidNetwork("resnet18", 3, stem_relu=True, pooling=pooling)
    mean = {f"module.mean_net.{name}": tensor for name, tensor in later_state(network, 0).items()}
    student = {f"module.net.{name}": tensor for name, tensor in later_state(network, 1).items()}
    second = {name: tensor + tensor.new_tensor(2) for name, tensor in mean.items()}
    content = {"state_dict_1": student | mean, "state_dict_2": student | second, "epoch": 50, "best_mAP": np.float64(1)}
    torch.save(content, "openunreid.pth")
    run(monkeypatch, "openunreid.pth", "peer.safetensors")
    assert "openunreid.pth: state_dict_1.mean_net is used; left: state_dict_1.net (" in capsys.readouterr().out
    made = load_file("peer.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(made[f"teacher.{name}"], tensor), name


@pytest.mark.parametrize(
    ("names", "stem_relu", "fault"),
    [
        ("later", "false", "stem_relu: OpenUnReID's ResNets have a ReLU in the stem: expected true"),
        ("base.4", "false", "stem_relu: by its numbers the stem has a ReLU: expected true"),
        ("base.3", "true", "stem_relu: by its numbers the stem has no ReLU: expected false"),
    ],
)
def test_the_stem_is_told_by_the_names(
    project: Path, monkeypatch: pytest.MonkeyPatch, names: str, stem_relu: str, fault: str
) -> None:
    set_network(project, "resnet18", "avg", stem_relu)
    network = ReidNetwork("resnet18", 3, stem_relu=True)
    state = later_state(network, 0)
    if names != "later":
        state = {official_name(name, names == "base.4"): tensor for name, tensor in network.state_dict().items()}
        assert any(name.startswith(f"{names}.0.conv1") for name in state)
    torch.save({"state_dict": state}, "given.pth")
    with pytest.raises(InputError, match=f"given.pth: {fault}"):
        run(monkeypatch, "given.pth", "peer.safetensors")


def test_an_embedding_layer_is_not_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_network(project, "resnet18")
    state = {official_name(name, False): tensor for name, tensor in ReidNetwork("resnet18", 3).state_dict().items()}
    torch.save({"state_dict": state | {"feat.weight": torch.ones(512, 512)}}, "given.pth")
    with pytest.raises(InputError, match=r"given.pth: not a checkpoint .*: feat.weight is not expected"):
        run(monkeypatch, "given.pth", "peer.safetensors")


@pytest.mark.parametrize(("name", "value"), [("feat_bn.running_var", torch.nan), ("classifier.weight", torch.inf)])
def test_what_is_no_number_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    set_network(project, "resnet18")
    state = {official_name(name, False): tensor for name, tensor in ReidNetwork("resnet18", 3).state_dict().items()}
    state[name][0] = value
    torch.save({"state_dict": state}, "given.pth")
    with pytest.raises(InputError, match=r"given.pth: unfit for the network in params.yaml: .* holds \d+ numbers of"):
        run(monkeypatch, "given.pth", "peer.safetensors")


def test_help_says_what_is_read_and_written() -> None:
    command = [sys.executable, "-m", "tools.convert", "--help"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    for said in ("python -m tools.convert OFFICIAL.pth.tar", "reads a checkpoint", "writes a peer", "--role"):
        assert said in done.stdout


def test_batch_norms_of_the_source_stay_behind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_network(project, "resnet18")
    network = ReidNetwork("resnet18", 3)
    for name in ("plain", "domains"):
        write_peer(Path(f"{name}.safetensors"), network, network, described(network))
        run(monkeypatch, f"{name}.safetensors", f"{name}.pth.tar")
        in_parts(network, 1, domains=True)
    assert Path("domains.safetensors").stat().st_size > Path("plain.safetensors").stat().st_size
    plain, domains = (torch.load(f"{name}.pth.tar", weights_only=True)["state_dict"] for name in ("plain", "domains"))
    assert list(domains) == list(plain)
    assert all(torch.equal(domains[name], plain[name]) for name in plain)


def test_the_same_peer_gives_the_same_bytes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_network(project, "resnet18")
    network = ReidNetwork("resnet18", 3)
    write_peer(Path("peer.safetensors"), network, network, described(network))
    for name in ("a.pth.tar", "b.pth.tar"):
        run(monkeypatch, "peer.safetensors", name)
    assert Path("a.pth.tar").read_bytes() == Path("b.pth.tar").read_bytes()


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("harmed", "w")


def bytes_of(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def broken(kind: str) -> bytes:
    if kind == "malicious":
        return bytes_of({"state_dict": {"base.0.weight": torch.ones(2)}, "hook": Malicious()})
    if kind == "malicious bare pickle":
        return pickle.dumps({"state_dict": Malicious()})
    if kind == "objects":
        return bytes_of({"state_dict": {"base.0.weight": np.array([Malicious()], dtype=object)}})
    if kind == "truncated":
        return bytes_of({"state_dict": {"base.0.weight": torch.ones(10_000)}})[:20_000]
    if kind == "empty":
        return b""
    if kind == "numbers":
        return bytes_of({"state_dict": {"base.0.weight": 3}})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("readme.txt", "not a checkpoint")
    return content.getvalue()


@pytest.mark.parametrize(
    "kind", ["malicious", "malicious bare pickle", "objects", "truncated", "empty", "numbers", "another zip"]
)
def test_what_is_no_checkpoint_is_refused_and_nothing_of_it_is_run(
    project: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (project / "official.pth.tar").write_bytes(broken(kind))
    with pytest.raises(InputError, match=r"^official\.pth\.tar: expected [^\n]+$"):
        run(monkeypatch, "official.pth.tar", "peer.safetensors")
    assert not (project / "harmed").exists()
    assert not (project / "peer.safetensors").exists()


def test_the_command_ends_with_one_line(project: Path) -> None:
    (project / "official.pth.tar").write_bytes(broken("malicious bare pickle"))  # torch would warn of its protocol too
    command = [sys.executable, "-m", "tools.convert", "official.pth.tar", "peer.safetensors"]
    done = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(TOP)}, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: official.pth.tar: expected ")
    assert not (project / "harmed").exists()


@pytest.mark.parametrize(
    ("backbone", "fault"),
    [
        ("resnet18", "base.3.0.conv3.weight, base.3.0.bn3.weight and 196 more are not expected"),
        ("resnet101", "base.5.6.conv1.weight, base.5.6.bn1.weight and 253 more are missing"),
        ("resnet_ibn50a", "base.3.0.conv1.weight, base.3.0.bn1.weight and"),
        ("mobilenet_v2", "features.0.0.weight, "),
    ],
)
def test_a_checkpoint_of_another_architecture_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, fault: str
) -> None:
    torch.save({"state_dict": official_state("resnet50")}, "official.pth.tar")
    set_network(project, backbone)
    with pytest.raises(
        InputError, match=f"official.pth.tar: not a checkpoint of the network in params.yaml: .*{fault}"
    ):
        run(monkeypatch, "official.pth.tar", "peer.safetensors")
    assert not Path("peer.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "tensor", "fault"),
    [
        ("feat_bn.weight", torch.ones(7), r"neck.weight is \(7,\), expected \(2048,\)"),
        ("classifier.weight", torch.tensor(1.0), r"classifier.weight is \(\), expected \(1, 2048\)"),
    ],
)
def test_a_tensor_of_another_shape_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, tensor: Tensor, fault: str
) -> None:
    torch.save({"state_dict": official_state("resnet50") | {name: tensor}}, "official.pth.tar")
    with pytest.raises(InputError, match=rf"official.pth.tar: .* {fault}"):
        run(monkeypatch, "official.pth.tar", "peer.safetensors")


@pytest.mark.parametrize(
    ("network", "arguments", "fault"),
    [
        (("resnet50",), ("a.pth.tar", "b.pth.tar"), "expected one .safetensors and one .pth.tar"),
        (("resnet50",), ("a.safetensors", "b.safetensors"), "expected one .safetensors and one .pth.tar"),
        (("resnet50",), ("a.pth.tar", "b.onnx"), "expected one .safetensors and one .pth.tar"),
        (("resnet50",), ("nowhere.pth.tar", "b.safetensors"), "nowhere.pth.tar: not found"),
        (("resnet50",), ("nowhere.safetensors", "b.pth.tar"), "nowhere.safetensors: not found"),
    ],
)
def test_what_cannot_be_converted_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, network: tuple[str, ...], arguments: tuple[str, ...], fault: str
) -> None:
    set_network(project, *network)
    with pytest.raises(InputError, match=re.escape(fault)):
        run(monkeypatch, *arguments)
