"""Networks on disk: what comes back, and what is refused before anything is loaded."""

import io
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.networks.peers import forget_unlisted_peers, peer_path, read_iterations, read_network, write_peer
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import load_initial_backbone

TOP = Path(__file__).parent.parent
State = dict[str, Tensor]


class TinyNetwork(ReidNetwork):
    """The parts of the real one in a few numbers: most of these tests are about files."""

    def __init__(self, classes: int, width: int = 4) -> None:
        nn.Module.__init__(self)
        layers = OrderedDict(conv1=nn.Conv2d(3, width, 3), bn1=nn.BatchNorm2d(width))
        self.backbone = nn.Sequential(layers)  # type: ignore[assignment]
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(width, classes, bias=False)


def random_tiny(classes: int = 5, width: int = 4) -> TinyNetwork:
    network = TinyNetwork(classes, width)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            nn.init.normal_(tensor)
        else:
            tensor.fill_(12345)
    return network


def assert_same_bits(ours: nn.Module, theirs: nn.Module) -> None:
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].numpy().tobytes() == b[name].numpy().tobytes(), name


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


# --- peers -----------------------------------------------------------------------------------------------------------


def test_a_peer_comes_back_to_the_bit(tmp_path: Path) -> None:
    path, student, teacher = peer_path(tmp_path, 7), random_tiny(), random_tiny()
    assert path.name == "peer7.safetensors"
    write_peer(path, student, teacher, 1234)
    assert_same_bits(read_network(path, "student", TinyNetwork), student)
    assert_same_bits(read_network(path, "teacher", TinyNetwork), teacher)
    assert read_iterations(path) == 1234
    assert [found.name for found in tmp_path.iterdir()] == ["peer7.safetensors"]


def test_special_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    network = random_tiny()
    with torch.no_grad():
        network.classifier.weight[0] = torch.tensor([torch.nan, torch.inf, -0.0, 1e-45])
    write_peer(tmp_path / "a.safetensors", network, network, 0)
    assert_same_bits(read_network(tmp_path / "a.safetensors", "teacher", TinyNetwork), network)


def test_a_real_network_comes_back_in_training_mode_with_its_own_number_of_classes(tmp_path: Path) -> None:
    student = ReidNetwork("resnet18", 3).to(memory_format=torch.channels_last)
    student(torch.randn(4, 3, 32, 16))  # moves the running statistics
    write_peer(tmp_path / "a.safetensors", student, student, 0)
    found = read_network(tmp_path / "a.safetensors", "student", lambda classes: ReidNetwork("resnet18", classes))
    assert_same_bits(found, student.to(memory_format=torch.contiguous_format))
    assert found.training
    assert found.classifier.weight.shape == (3, 512)
    assert not found.neck.bias.requires_grad


def test_the_same_peer_is_the_same_bytes(tmp_path: Path) -> None:
    student, teacher = random_tiny(), random_tiny()
    write_peer(tmp_path / "a.safetensors", student, teacher, 40)
    again = read_network(tmp_path / "a.safetensors", "student", TinyNetwork)
    write_peer(tmp_path / "b.safetensors", again, teacher, 40)
    write_peer(tmp_path / "c.safetensors", student, teacher, 41)
    first, second, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != other


def test_student_and_teacher_may_share_their_tensors(tmp_path: Path) -> None:
    network = random_tiny()
    write_peer(tmp_path / "a.safetensors", network, network, 0)
    assert_same_bits(read_network(tmp_path / "a.safetensors", "student", TinyNetwork), network)


Change = Callable[[State], object]
CHANGES: dict[str, tuple[Change, str]] = {
    "missing tensor": (lambda state: state.pop("student.neck.running_var"), "neck.running_var is missing"),
    "two missing": (
        lambda state: [state.pop(f"student.neck.{name}") for name in ("weight", "bias")],
        r"neck.weight is missing \(and 1 more\)",
    ),
    "unexpected tensor": (
        lambda state: state.update({"student.layer9.weight": torch.ones(2)}),
        "layer9.weight is not expected",
    ),
    "wrong shape": (
        lambda state: state.update({"student.backbone.conv1.weight": torch.ones(4, 3, 5, 5)}),
        r"backbone.conv1.weight is \(4, 3, 5, 5\), expected \(4, 3, 3, 3\)",
    ),
    "no student": (
        lambda state: [state.pop(name) for name in list(state) if name.startswith("student.")],
        "holds no student",
    ),
}


@pytest.mark.parametrize("kind", list(CHANGES))
def test_a_peer_with_other_tensors_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), 0)
    state = load_file(path)
    change, expected = CHANGES[kind]
    change(state)
    save_file(state, path, metadata={"iterations": "0"})
    built: list[TinyNetwork] = []

    def build(classes: int) -> TinyNetwork:
        built.append(TinyNetwork(classes))
        untouched.update({name: tensor.clone() for name, tensor in built[0].state_dict().items()})
        return built[0]

    untouched: State = {}
    message = refusal(lambda: read_network(path, "student", build))
    assert message.startswith(f"{path}: ")
    with pytest.raises(InputError, match=expected):
        read_network(path, "student", TinyNetwork)
    for network in built:  # not loaded in part
        assert all(torch.equal(tensor, untouched[name]) for name, tensor in network.state_dict().items())
    # the other network of the file is as good as before
    read_network(path, "teacher", TinyNetwork)


def test_a_peer_of_another_width_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), 0)
    message = refusal(lambda: read_network(path, "teacher", lambda classes: TinyNetwork(classes, width=6)))
    assert "teacher of another network than params.yaml describes" in message


def test_a_peer_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "peer1.safetensors"

    def build(backbone: str, classes: int) -> ReidNetwork:
        with torch.device("meta"):  # the names are enough
            return ReidNetwork(backbone, classes)

    state = {f"student.{name}": torch.zeros(1) for name in build("resnet18", 2).state_dict()}
    save_file(state, path, metadata={"iterations": "0"})
    message = refusal(lambda: read_network(path, "student", lambda classes: build("resnet50", classes)))
    assert "student of another network than params.yaml describes" in message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_peer_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), 0)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for read in (read_iterations, lambda path: read_network(path, "student", TinyNetwork)):
        assert refusal(lambda: read(path)).startswith(f"{path}: expected a whole safetensors file")  # noqa: B023


def test_a_missing_peer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "peer1.safetensors"
    assert refusal(lambda: read_iterations(path)) == f"{path}: not found"
    assert refusal(lambda: read_network(path, "student", TinyNetwork)) == f"{path}: not found"


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"iterations": "-1"}, {"iterations": "1.5"}])
def test_a_peer_without_its_number_of_iterations_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "peer1.safetensors"
    save_file({"student.classifier.weight": torch.ones(2, 2)}, path, metadata=metadata)
    assert "`iterations`" in refusal(lambda: read_iterations(path))


def test_peers_of_unlisted_seeds_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("peer1.safetensors", "peer2.safetensors", "peer12.safetensors", "peerless.safetensors", "peer2.txt"):
        (tmp_path / name).touch()
    forget_unlisted_peers(tmp_path, [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "peer1.safetensors",
        "peer2.txt",
        "peerless.safetensors",
    ]


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from mutual.networks.peers import write_peer
from mutual.base.errors import run
from mutual.networks.reid import ReidNetwork

def main():
    network = ReidNetwork("resnet18", 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    write_peer(Path(sys.argv[1]), network, network, 0)

run(main)
"""


def test_a_full_disk_ends_a_stage_with_one_line_and_keeps_the_old_peer(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="no limits on file sizes here")
    path = tmp_path / "peer1.safetensors"
    path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"error: {path}: cannot be written"), done.stderr
    assert done.stderr.count("\n") == 1
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["peer1.safetensors"]


# --- initial weights -------------------------------------------------------------------------------------------------


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
    assert "not the weights of resnet18" in message


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


def test_arrays_are_refused_by_name_without_advice_to_trust_them(tmp_path: Path) -> None:
    torch.save({"bn1.bias": np.ones(4)}, tmp_path / "weights.pth")
    message = assert_refused_and_unchanged(tmp_path / "weights.pth")
    assert message.endswith("without code: it asks for 'numpy._core.multiarray._reconstruct'")


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
    with pytest.raises(InputError, match=r"weights: .*plain.pth: not the weights of resnet_ibn50a: layer1.0.bn1.IN"):
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
