"""Initial weights from files of every origin: what enters the backbone, and what is refused before anything does."""

import argparse
import io
import os
import pickle
import random
import sys
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from mutual.base.errors import InputError
from mutual.elsewhere.initial import load_initial_backbone
from mutual.networks.reid import ReidNetwork
from tests.tiny import State, TinyNetwork, assert_same_bits, random_tiny, refusal

Change = Callable[[State], object]


def official_weights(network: TinyNetwork) -> State:
    """What a torchvision file holds: the backbone under its own names, and a classifier of 1000 classes."""
    state = {name: torch.randn(tensor.shape) for name, tensor in network.backbone.state_dict().items()}
    state["bn1.num_batches_tracked"] = torch.tensor(77)
    return state | {"fc.weight": torch.randn(1000, 4), "fc.bias": torch.randn(1000)}


def assert_refused_and_unchanged(path: Path) -> str:
    network = random_tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    message = refusal(lambda: load_initial_backbone(network, "resnet18", str(path)))
    assert str(path) in message
    assert message.startswith("weights: ")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} was loaded"
    return message


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_fill_the_backbone_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    network, path = random_tiny(), tmp_path / f"weights.{suffix}"
    rest = {name: tensor.clone() for name, tensor in network.state_dict().items() if not name.startswith("backbone.")}
    state = official_weights(network)
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    load_initial_backbone(network, "resnet18", str(path))
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    for name, tensor in rest.items():
        assert torch.equal(network.state_dict()[name], tensor), name


def test_a_real_backbone_takes_its_own_weights_back(tmp_path: Path) -> None:
    theirs, ours = ReidNetwork("resnet18", 2), ReidNetwork("resnet18", 3)
    torch.save(theirs.backbone.state_dict(), tmp_path / "weights.pth")
    load_initial_backbone(ours, "resnet18", str(tmp_path / "weights.pth"))
    assert_same_bits(ours.backbone, theirs.backbone)


def test_old_weights_without_batch_counters_are_taken(tmp_path: Path) -> None:
    network = random_tiny()
    state = {name: x for name, x in official_weights(network).items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "weights.pth")
    load_initial_backbone(network, "resnet18", str(tmp_path / "weights.pth"))
    assert torch.equal(network.backbone.state_dict()["bn1.running_mean"], state["bn1.running_mean"])


def test_none_leaves_the_network_as_it_is() -> None:
    network = random_tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_initial_backbone(network, "resnet18", "none")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: state.pop("bn1.bias"), "bn1.bias is missing"),
        (lambda state: state.update({"layer1.weight": torch.ones(2)}), "layer1.weight is not expected"),
        (lambda state: state.update({"conv1.weight": torch.ones(4, 3, 7, 7)}), "conv1.weight is (4, 3, 7, 7)"),
    ],
    ids=["missing", "unexpected", "wrong shape"],
)
def test_weights_with_other_tensors_are_refused_by_name(
    tmp_path: Path, suffix: str, change: Change, expected: str
) -> None:
    state, path = official_weights(random_tiny()), tmp_path / f"weights.{suffix}"
    change(state)
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    message = assert_refused_and_unchanged(path)
    assert expected in message
    assert "not the weights of resnet18: " in message or "unfit for resnet18: " in message


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    state, path = official_weights(random_tiny()), tmp_path / f"weights.{suffix}"
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "expected a whole" in assert_refused_and_unchanged(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "bin"])
@pytest.mark.parametrize(
    "content",
    [b"no weights\n", b"\x80\x02}q\x00.", b"\x80\x02h\x05.", b"\x80\x02.", b"PK\x03\x04 no archive", bytes(300)],
    ids=["text", "pickle", "pickle that refers to nothing", "empty pickle", "broken archive", "zeros"],
)
def test_files_of_something_else_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    assert_refused_and_unchanged(path)


@pytest.mark.parametrize("name", ["missing.pth", "missing.safetensors", "."])
def test_missing_weights_and_folders_are_refused(tmp_path: Path, name: str) -> None:
    assert_refused_and_unchanged(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        torch.ones(2),
        [torch.ones(2)],
        {"state_dict": {"conv1.weight": torch.ones(2)}, "epoch": 3},
        {0: torch.ones(2)},
        {},
    ],
    ids=["one tensor", "a list", "a training checkpoint", "numbered tensors", "nothing"],
)
def test_other_contents_than_named_tensors_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")
    assert_refused_and_unchanged(tmp_path / "weights.pth")


class Trap:
    """Unpickling this creates a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["torch archive", "old torch file", "bare pickle"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    marker, path = tmp_path / "trapped", tmp_path / "weights.pth"
    content = {**official_weights(random_tiny()), "bn1.bias": Trap(marker)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps({"bn1.bias": Trap(marker)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch archive")
    assert_refused_and_unchanged(path)
    assert not marker.exists()
    # the trap does work where nothing guards against it
    pickle.load(io.BytesIO(pickle.dumps(Trap(marker))))
    assert marker.exists()


@pytest.mark.parametrize("archive", [True, False], ids=["torch archive", "old torch file"])
@pytest.mark.parametrize("number", [np.float64(0.7), np.float32(0.7), np.int64(40), np.bool_(True)], ids=repr)
def test_numpy_numbers_may_stand_beside_the_tensors(tmp_path: Path, archive: bool, number: np.generic) -> None:
    network, path = random_tiny(), tmp_path / "weights.pth.tar"
    state = official_weights(network)
    torch.save({"state_dict": state, "best": number}, path, _use_new_zipfile_serialization=archive)
    if not archive:  # as files of NumPy 1 name it
        path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        assert b"numpy.core.multiarray" in path.read_bytes()
    load_initial_backbone(network, "resnet18", str(path))
    assert torch.equal(network.backbone.state_dict()["bn1.weight"], state["bn1.weight"])


class CrookedType:
    """A type of numbers with flags that make NumPy look for a list where there is none, and die of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 2)


class CrookedNumber:
    def __reduce__(self) -> tuple[Any, ...]:
        return np.float64().__reduce__()[0], (CrookedType(),)


def test_numpy_is_given_nothing_of_a_file(tmp_path: Path) -> None:
    network, path = random_tiny(), tmp_path / "weights.pth.tar"
    torch.save({"state_dict": official_weights(network), "best": CrookedNumber()}, path)
    load_initial_backbone(network, "resnet18", str(path))  # the process is still there


def test_arrays_in_the_place_of_tensors_are_refused(tmp_path: Path) -> None:
    state = official_weights(random_tiny())
    torch.save(state | {"bn1.bias": np.ones(4)}, tmp_path / "weights.pth")
    assert assert_refused_and_unchanged(tmp_path / "weights.pth").endswith("bn1.bias is missing")
    torch.save({"bn1.bias": np.ones(4)}, tmp_path / "weights.pth")
    assert assert_refused_and_unchanged(tmp_path / "weights.pth").endswith("expected a mapping of names to tensors")


@pytest.mark.parametrize("fault", [URLError("no network"), RuntimeError('invalid hash value (expected "f37072fd")')])
def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    from torchvision import models  # slow to import

    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    assert models.ResNet18_Weights.IMAGENET1K_V1.url.endswith(".pth")
    message = refusal(lambda: load_initial_backbone(random_tiny(), "resnet18", "imagenet"))
    assert message.startswith("weights: imagenet: ")


@pytest.mark.parametrize("naming", ["original", "newer"])
def test_both_releases_of_ibn_weights_are_read(tmp_path: Path, naming: str) -> None:
    torch.manual_seed(1)
    released = {name: tensor.clone() for name, tensor in ReidNetwork("resnet_ibn50a", 2).backbone.state_dict().items()}
    released |= {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    if naming == "original":
        path = tmp_path / "resnet50_ibn_a.pth.tar"
        torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in released.items()}, "epoch": 90}, path)
    else:
        path = tmp_path / "resnet50_ibn_a-d9d0bb7b.pth"
        torch.save(released, path)
    torch.manual_seed(2)
    network = ReidNetwork("resnet_ibn50a", 2)
    load_initial_backbone(network, "resnet_ibn50a", str(path))
    found = network.backbone.state_dict()
    assert all(torch.equal(found[name], released[name]) for name in found)


def test_weights_of_the_plain_network_are_not_those_of_ibn(tmp_path: Path) -> None:
    torch.save(ReidNetwork("resnet50", 2).backbone.state_dict(), tmp_path / "plain.pth")
    with pytest.raises(InputError, match=r"not the weights of resnet_ibn50a but of resnet50: layer1.0.bn1.IN"):
        load_initial_backbone(ReidNetwork("resnet_ibn50a", 2), "resnet_ibn50a", str(tmp_path / "plain.pth"))


def test_torchvision_has_no_ibn_weights() -> None:
    with torch.device("meta"):
        network = ReidNetwork("resnet_ibn50a", 2)
    with pytest.raises(InputError, match="weights: imagenet: torchvision has none of resnet_ibn50a: expected a file"):
        load_initial_backbone(network, "resnet_ibn50a", "imagenet")


def test_mobilenets_file_is_torchvisions(tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v2  # slow to import

    torch.manual_seed(3)
    theirs = mobilenet_v2().state_dict()
    torch.save(theirs, tmp_path / "mobilenet.pth")
    network = ReidNetwork("mobilenet_v2", 2)
    load_initial_backbone(network, "mobilenet_v2", str(tmp_path / "mobilenet.pth"))
    found = network.backbone.state_dict()
    assert all(torch.equal(found[name], theirs[name]) for name in found)


# --- files of other code ---------------------------------------------------------------------------------------------


def before(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def numbers(state: State) -> State:
    """conv1 and bn1 as children of a sequence."""
    return {name.replace("conv1.", "0.").replace("bn1.", "1."): tensor for name, tensor in state.items()}


def other(state: State) -> State:
    return {name: tensor + 1 for name, tensor in state.items()}


BN = {"weight": torch.ones(4), "bias": torch.zeros(4), "running_mean": torch.ones(4), "running_var": torch.ones(4)}
FC = {"fc.weight": torch.ones(9, 4), "fc.bias": torch.ones(9)}
# what code of the field and beside it saves, given the backbone's tensors; what is said to be left out
FORMS: dict[str, tuple[Callable[[State], dict], str]] = {
    "torchvision": (lambda body: body | FC, "the backbone is used; left: fc (2 tensors)"),
    "torchvision's references": (
        lambda body: {
            "model": body | FC,
            "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
            "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), milestones=[3, 5]),
        },
        "model is used; left: model.fc (2 tensors)",
    ),
    "timm": (
        lambda body: {"arch": "resnet18", "state_dict": other(body) | FC, "state_dict_ema": body | FC, "metric": 0.7},
        "state_dict_ema is used; left: state_dict (9 tensors), state_dict_ema.fc (2 tensors)",
    ),
    "torchreid": (
        lambda body: {"state_dict": before("module.", body | {"classifier.weight": torch.ones(9, 4)}), "rank1": 0.9},
        "state_dict is used; left: state_dict.classifier",
    ),
    "torchreid's fc512": (
        lambda body: {"state_dict": body | before("fc.0.", {"weight": torch.ones(5, 4)}) | before("fc.1.", BN)},
        "state_dict is used; left: state_dict.fc (5 tensors)",
    ),
    "fast-reid": (
        lambda body: {
            "model": before("backbone.", body) | before("heads.bottleneck.0.", BN) | {"pixel_mean": torch.ones(3)},
            "iteration": 7,
        },
        "model.backbone is used; left: model.heads (4 tensors), model.pixel_mean",
    ),
    "the strong baseline": (lambda body: before("base.", body) | before("bottleneck.", BN), "base is used; left: bott"),
    "the paper's code": (
        lambda body: {
            "state_dict": before("module.base.", numbers(body)) | before("module.feat_bn.", BN),
            "epoch": 40,
            "best_mAP": np.float64(0.7),
        },
        "state_dict.base is used; left: state_dict.feat_bn (4 tensors)",
    ),
    "OpenUnReID": (
        lambda body: {
            "state_dict_1": before("module.net.backbone.", other(body)) | before("module.mean_net.backbone.", body),
            "state_dict_2": before("module.net.backbone.", other(other(body)))
            | before("module.mean_net.backbone.", other(body)),
        },
        "state_dict_1.mean_net.backbone is used; left: state_dict_1.net (7 tensors), state_dict_2 (14 tensors)",
    ),
    "MoCo": (
        lambda body: {
            "state_dict": before(
                "module.encoder_q.", body | {"fc.0.weight": torch.ones(4, 4), "fc.2.weight": BN["bias"]}
            )
            | before("module.encoder_k.", other(body))
            | {"module.queue": torch.ones(4)},
        },
        "encoder_q is used; left: state_dict.encoder_q.fc (2 tensors), state_dict.encoder_k (7 tensors)",
    ),
    "DINO": (
        lambda body: {
            "student": before("module.backbone.", other(body)) | before("module.head.mlp.0.", BN),
            "teacher": before("backbone.", body) | before("head.mlp.0.", BN),
        },
        "teacher.backbone is used; left: student (11 tensors), teacher.head (4 tensors)",
    ),
    "Lightning, compiled": (lambda body: {"state_dict": before("model._orig_mod.backbone.", body)}, ""),
    "a compiled part": (
        lambda body: {name.replace("conv1", "conv1._orig_mod.module"): tensor for name, tensor in body.items()},
        "",
    ),
    "one of our peers": (
        lambda body: before("student.backbone.", other(body)) | before("teacher.backbone.", body),
        "teacher.backbone is used; left: student (7 tensors)",
    ),
    "two names of one network": (lambda body: {"model": body, "best": OrderedDict(body)}, "model is used; left: best"),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_other_codes_files_are_read_and_what_is_left_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    network, path = random_tiny(), tmp_path / "weights.pth"
    body = random_tiny().backbone.state_dict()
    content, said = FORMS[form]
    torch.save(content(body), path)
    load_initial_backbone(network, "resnet18", str(path))
    assert_same_bits(network.backbone, types.SimpleNamespace(state_dict=lambda: body))  # type: ignore[arg-type]
    printed = capsys.readouterr().out
    assert printed.count("\n") == (1 if said else 0)
    assert said in printed


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda body: {"a": body, "b": other(body)}, "expected one network, there are a., b.: save one alone"),
        (
            lambda body: before("module.", other(body)) | body,
            "expected each tensor once: conv1.weight stands there twi",
        ),
        (lambda body: body | {"attention.weight": torch.ones(2)}, "attention.weight is not expected"),
        (lambda body: before("backbone.", body | {"conv2.weight": torch.ones(2)}), "conv2.weight is not expected"),
        (
            lambda body: {"model": {"conv1.weight": body["conv1.weight"], "conv2.weight": torch.ones(2), "epoch": 3}},
            "conv1.bias, bn1.weight and 3 more are missing; conv2.weight is not expected",
        ),
    ],
    ids=["two that differ", "wrapped and not", "more than a head", "more inside", "half of it"],
)
def test_what_is_not_just_a_backbone_and_heads_is_refused(
    tmp_path: Path, content: Callable[[State], State], expected: str
) -> None:
    torch.save(content(random_tiny().backbone.state_dict()), tmp_path / "weights.pth")
    assert expected in assert_refused_and_unchanged(tmp_path / "weights.pth")


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "resnet_ibn50a", "mobilenet_v2"])
def test_another_known_architecture_is_named(tmp_path: Path, backbone: str) -> None:
    state = before("module.backbone.", dict(ReidNetwork(backbone, 2).backbone.state_dict()))
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    with torch.device("meta"):
        network = ReidNetwork("resnet34", 2)
    message = refusal(lambda: load_initial_backbone(network, "resnet34", str(tmp_path / "weights.pth")))
    assert f"not the weights of resnet34 but of {backbone}: " in message


# --- what is no plain number ------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "int8": (lambda x: x.to(torch.int8), "holds int8, expected float32"),
    "bool": (lambda x: x > 0, "holds bool, expected float32"),
    "complex": (lambda x: x.to(torch.complex64), "holds complex64, expected float32"),
    "sparse": (lambda x: x.to_sparse(), "is sparse, expected a dense tensor"),
    "compressed": (lambda x: x.reshape(4, 27).to_sparse_csr(), "is sparse, expected a dense tensor"),
    "meta": (lambda x: x.to("meta"), "has no values (it was saved from the meta device)"),
    "NaN": (lambda x: x.clone().index_fill_(0, torch.tensor([1]), torch.nan), "holds 27 numbers of 108 that are NaN"),
    "too large": (lambda x: x.double() + 1e300, "holds 108 numbers of 108 that are NaN, infinite or too large"),
    "a view of one number": (lambda x: x[:1, :1, :1, :1].expand(4, 3, 3, 10**12), "is (4, 3, 3, 1000000000000), exp"),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("kind", list(KINDS))
def test_tensors_without_plain_numbers_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    state = official_weights(random_tiny())
    change, expected = KINDS[kind]
    torch.save(state | {"conv1.weight": change(state["conv1.weight"])}, tmp_path / "weights.pth")
    assert f"unfit for resnet18: conv1.weight {expected}" in assert_refused_and_unchanged(tmp_path / "weights.pth")


def quantised(path: Path) -> None:
    """As torch wrote quantised tensors while it made them: eight bits, a scale and a zero point."""
    state = official_weights(random_tiny())
    torch.save(state | {"conv1.weight": Quantised(state["conv1.weight"])}, path)


class Quantised:
    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __reduce__(self) -> tuple[Any, ...]:
        packed = torch.quantize_per_tensor(self.values, 0.1, 0, torch.qint8)
        return packed.__reduce_ex__(2)


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors_are_refused_by_name(tmp_path: Path) -> None:
    quantised(tmp_path / "weights.pth")
    message = assert_refused_and_unchanged(tmp_path / "weights.pth")
    assert "conv1.weight is quantised, expected a dense tensor of float32" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_other_floats_are_converted(tmp_path: Path, dtype: torch.dtype, suffix: str) -> None:
    network, path = random_tiny(), tmp_path / f"weights.{suffix}"
    state = {name: x.to(dtype) if x.is_floating_point() else x for name, x in official_weights(network).items()}
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    load_initial_backbone(network, "resnet18", str(path))
    found = network.backbone.state_dict()
    assert all(torch.equal(found[name], state[name].to(found[name].dtype)) for name in found)


# --- what stands beside the tensors -----------------------------------------------------------------------------------


class Settings(dict):
    """As yacs, EasyDict and their kin are made: a dictionary with attributes."""

    def __init__(self, **entries: object) -> None:
        super().__init__(entries)
        self.__dict__["frozen"] = True


@pytest.fixture
def yacs(monkeypatch: pytest.MonkeyPatch) -> type[Settings]:
    """A type that a pickle finds as yacs.config.CfgNode, while it is written."""
    module = types.ModuleType("yacs.config")
    kind = type("CfgNode", (Settings,), {"__module__": "yacs.config"})
    module.CfgNode = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return kind


@pytest.mark.parametrize("archive", [True, False], ids=["torch archive", "old torch file"])
def test_options_beside_the_tensors_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yacs: type[Settings], archive: bool
) -> None:
    network, path = random_tiny(), tmp_path / "weights.pth"
    state = official_weights(network)
    beside = {
        "args": argparse.Namespace(lr=1e-3, out=Path("/a/b"), inner=argparse.Namespace(arch="resnet18")),
        "space": types.SimpleNamespace(a=1),
        "cfg": yacs(MODEL=yacs(WIDTH=3), NAMES=["a"]),
        "history": defaultdict(list, loss=[1.0, np.float32(0.5)]),
        "took": timedelta(seconds=3),
        "accuracy": np.ones(3),
        "rng": (random.Random(1).getstate(), np.random.RandomState(1).get_state()),
        "version": torch.__version__,
    }
    torch.save({"state_dict": state, **beside}, path, _use_new_zipfile_serialization=archive)
    monkeypatch.delitem(sys.modules, "yacs.config")
    monkeypatch.delitem(sys.modules, "yacs")
    load_initial_backbone(network, "resnet18", str(path))
    assert torch.equal(network.backbone.state_dict()["bn1.weight"], state["bn1.weight"])
    assert "yacs" not in sys.modules


class Hostile:
    """Asks for a function of a module; where it is called, a folder appears."""

    def __init__(self, function: Callable[..., Any], *given: object) -> None:
        self.call = function, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("content", [b"hello", b"q\x00.", b"\xff" * 9, b"0", b"h\x07.", b"X\x01\x00\x00\x00\xea."])
def test_bytes_that_no_pickle_has_are_said_to_be_that(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert assert_refused_and_unchanged(path).endswith("without code: not written by torch")


def test_hostile_companions_are_refused_with_a_way_out(tmp_path: Path) -> None:
    marker, path = tmp_path / "trapped", tmp_path / "weights.pth"
    command = f"__import__('os').mkdir({str(marker)!r})"
    for hostile in (
        Hostile(os.mkdir, str(marker)),
        Hostile(eval, command),
        Hostile(argparse.FileType("w"), str(marker)),
        argparse.Namespace(lr=Hostile(eval, command)),
        Settings(a=3),  # of a module that nobody knows
    ):
        torch.save({"state_dict": official_weights(random_tiny()), "args": hostile}, path)
        message = assert_refused_and_unchanged(path)
        assert "without code: it asks for " in message or "not written by torch" in message
    assert "save the state_dict alone" in message
    assert not marker.exists()


def test_odd_names_stay_in_their_line(tmp_path: Path) -> None:
    save_file(official_weights(random_tiny()) | {"a\nb\x1b[2J": torch.ones(1)}, tmp_path / "weights.safetensors")
    assert r"'a\nb\x1b[2J'… is not expected" in assert_refused_and_unchanged(tmp_path / "weights.safetensors")
    torch.save({"x" * 10_000: torch.ones(1)}, tmp_path / "weights.pth")
    assert len(assert_refused_and_unchanged(tmp_path / "weights.pth")) < 400


def test_a_file_that_holds_itself_is_read(tmp_path: Path) -> None:
    network, state = random_tiny(), official_weights(random_tiny())
    content: dict[str, object] = {"state_dict": state, "epoch": 3}
    content["itself"] = content
    torch.save(content, tmp_path / "weights.pth")
    load_initial_backbone(network, "resnet18", str(tmp_path / "weights.pth"))
    assert torch.equal(network.backbone.state_dict()["bn1.weight"], state["bn1.weight"])


# --- anything ---------------------------------------------------------------------------------------------------------

PARTS = ("module", "_orig_mod", "model", "backbone", "base", "encoder_q", "encoder", "student", "teacher", "state_dict")


def nested(draw: random.Random, state: State) -> dict[str, Any]:
    """The tensors behind up to five random prefixes, each a part of the name or a mapping around it, among others."""
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    content: dict[str, Any] = numbers(body) if draw.random() < 0.5 else body
    for _ in range(draw.randrange(6)):
        part = draw.choice(PARTS)
        content = {part: content} if draw.random() < 0.4 else {f"{part}.{name}": x for name, x in content.items()}
        if "." not in next(iter(content)):
            content |= {"epoch": 3, "options": argparse.Namespace(lr=0.1), "lr": np.float64(0.1)}
    return content


@pytest.mark.parametrize("seed", range(60))
def test_random_nesting_is_read(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    network, state, path = random_tiny(), official_weights(random_tiny()), tmp_path / "weights.pth"
    torch.save(nested(random.Random(seed), state), path)
    load_initial_backbone(network, "resnet18", str(path))
    found = network.backbone.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in found)


def damaged(draw: random.Random, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(draw.choice([1, 1, 3, 30])):
        place = draw.randrange(max(1, min(len(content), draw.choice([200, 2_000, 10**9]))))
        match draw.randrange(4):
            case 0:
                content[place : place + 1] = bytes(byte ^ 1 << draw.randrange(8) for byte in content[place : place + 1])
            case 1:
                content[place : place + draw.randrange(1, 9)] = draw.randbytes(draw.randrange(9))
            case 2:
                content[place : place + 8] = draw.choice([bytes(8), b"\xff" * 8, b"NaN, {}"])
            case _:
                content = content[: max(place, 1)]
    return bytes(content)


@pytest.mark.parametrize("form", ["torch archive", "old torch file", "safetensors"])
def test_damaged_files_are_one_line_or_loaded_whole(tmp_path: Path, form: str) -> None:
    torch.manual_seed(1)
    draw, state = random.Random(form), official_weights(random_tiny())
    if form == "safetensors":
        path, whole = tmp_path / "weights.safetensors", save(state)
    else:
        path, content = tmp_path / "weights.pth", io.BytesIO()
        options = argparse.Namespace(lr=0.1)
        archive = form == "torch archive"
        torch.save({"state_dict": state, "args": options}, content, _use_new_zipfile_serialization=archive)
        whole = content.getvalue()
    outcomes = set()
    for _ in range(150):
        path.write_bytes(damaged(draw, whole))
        network = random_tiny()
        earlier = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        try:
            load_initial_backbone(network, "resnet18", str(path))
        except InputError as error:
            said = str(error)
        else:
            said = ""
        if said:
            assert said.startswith("weights: ")
            assert "\n" not in said
            assert all(torch.equal(tensor, earlier[name]) for name, tensor in network.state_dict().items())
            outcomes.add("refused")
        else:
            found = network.backbone.state_dict()
            assert all(tensor.isfinite().all() for tensor in found.values())
            # the archive alone has checksums: what it gives is what was saved
            assert form != "torch archive" or all(torch.equal(found[name], state[name]) for name in found)
            outcomes.add("loaded")
    assert "refused" in outcomes
