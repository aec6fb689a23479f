"""Peers on disk: what comes back, and what is refused before anything is loaded."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mutual.base.errors import InputError
from mutual.networks.peers import forget_unlisted_peers, peer_path, read_iterations, read_network, write_peer
from mutual.networks.reid import ReidNetwork
from tests.tiny import State, TinyNetwork, assert_same_bits, random_tiny, refusal

TOP = Path(__file__).parent.parent


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
        network.classifier.weight[0] = torch.tensor([3.4e38, 1e-38, -0.0, 1e-45])
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
        "neck.weight, neck.bias are missing",
    ),
    "unexpected tensor": (
        lambda state: state.update({"student.layer9.weight": torch.ones(2)}),
        "layer9.weight is not expected",
    ),
    "wrong shape": (
        lambda state: state.update({"student.backbone.conv1.weight": torch.ones(4, 3, 5, 5)}),
        r"backbone.conv1.weight is \(4, 3, 5, 5\), expected \(4, 3, 3, 3\)",
    ),
    "a network that diverged": (
        lambda state: state["student.neck.running_mean"].fill_(torch.nan),
        "neck.running_mean holds 4 numbers of 4 that are NaN, infinite or too large",
    ),
    "one infinite weight": (
        lambda state: state["student.classifier.weight"][2].fill_(-torch.inf),
        "classifier.weight holds 4 numbers of 20 that are NaN",
    ),
    "numbers of another kind": (
        lambda state: state.update({"student.neck.weight": torch.ones(4, dtype=torch.int8)}),
        "neck.weight holds int8, expected float32",
    ),
    "counted in fractions": (
        lambda state: state.update({"student.neck.num_batches_tracked": torch.tensor(3.0)}),
        "neck.num_batches_tracked holds float32, expected int64",
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
