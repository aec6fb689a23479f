"""Peers on disk: what comes back, what a file says of itself, and what is refused before anything is loaded."""

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.images.normalisation import MEAN, STD
from mutual.networks import peers
from mutual.networks.norms import in_parts
from mutual.networks.peers import (
    KEY,
    Peer,
    adopted,
    continued,
    iterations_of,
    peer_path,
    read_network,
    read_peer,
    write_peer,
)
from mutual.networks.reid import ReidNetwork
from tests.tiny import assert_same_bits, refusal

TOP = Path(__file__).parent.parent
State = dict[str, Tensor]


class TinyNetwork(ReidNetwork):
    """The parts of the real one in a few numbers: most of these tests are about files. "wide" has more channels."""

    def __init__(self, backbone: str, classes: int, **form: Any) -> None:
        nn.Module.__init__(self)
        if backbone not in ("tiny", "wide"):
            raise ValueError(f"{backbone}: not a backbone")
        width = {"tiny": 4, "wide": 6}[backbone]
        self.form = {key: value for key, value in form.items() if key != "size"} | {"backbone": backbone}
        layers = OrderedDict(conv1=nn.Conv2d(3, width, 3), bn1=nn.BatchNorm2d(width))
        self.backbone = nn.Sequential(layers)  # type: ignore[assignment]
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(width, classes, bias=False)


FORM: dict[str, Any] = {"backbone": "tiny", "stem_relu": False, "pooling": "avg", "dropout": 0.0, "precision": "fp32"}
TINY = Peer(FORM, classes=5, height=64, width=32, iterations=40, params={"pretrain": {"pretrain_lr": 1e-3}})


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are of tiny networks."""
    monkeypatch.setattr(peers, "ReidNetwork", TinyNetwork)


def random_tiny(classes: int = 5) -> TinyNetwork:
    network = TinyNetwork(classes=classes, **FORM)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            nn.init.normal_(tensor)
        else:
            tensor.fill_(12345)
    return network


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny")
def test_a_peer_comes_back_to_the_bit(tmp_path: Path) -> None:
    path, student, teacher = peer_path(tmp_path, 7), random_tiny(), random_tiny()
    assert path.name == "peer7.safetensors"
    write_peer(path, student, teacher, replace(TINY, iterations=1234))
    assert_same_bits(read_network(path, "student"), student)
    assert_same_bits(read_network(path, "teacher"), teacher)
    assert read_peer(path).iterations == 1234
    assert [found.name for found in tmp_path.iterdir()] == ["peer7.safetensors"]


@pytest.mark.usefixtures("tiny")
def test_special_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    network = random_tiny()
    with torch.no_grad():
        network.classifier.weight[0] = torch.tensor([3.4e38, 1e-38, -0.0, 1e-45])
    write_peer(tmp_path / "a.safetensors", network, network, TINY)
    assert_same_bits(read_network(tmp_path / "a.safetensors", "teacher"), network)


def real_peer(network: ReidNetwork, **changes: Any) -> Peer:
    return Peer(network.form, network.classifier.out_features, height=32, width=16, **changes)


@pytest.mark.parametrize(
    "form",
    [{"stem_relu": True}, {"pooling": "gem", "dropout": 0.25}],
    ids=["of torchvision's form", "other options"],
)
def test_a_file_opens_alone_as_the_network_that_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: dict[str, Any]
) -> None:
    student = ReidNetwork("resnet18", 3, **form).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 16)
    student(images)  # moves the running statistics
    write_peer(tmp_path / "a.safetensors", student, student, real_peer(student))
    monkeypatch.chdir(tmp_path)  # without params.yaml
    found = read_network(Path("a.safetensors"), "student")
    assert_same_bits(found, student.to(memory_format=torch.contiguous_format))
    assert found.form == student.form
    assert found.training
    assert found.classifier.weight.shape == (3, 512)
    assert not found.neck.bias.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(found.eval().embed(images), student.eval().embed(images), rtol=1e-4, atol=1e-5)


def test_the_sources_own_batch_norms_come_back(tmp_path: Path) -> None:
    network = ReidNetwork("resnet18", 2)
    in_parts(network, 1, domains=True)
    nn.init.constant_(network.get_buffer("neck.source.running_mean"), 7.0)
    write_peer(tmp_path / "a.safetensors", network, network, real_peer(network))
    found = read_network(tmp_path / "a.safetensors", "teacher")
    assert_same_bits(found, network)
    assert found.get_buffer("neck.source.running_mean")[0] == 7


@pytest.mark.usefixtures("tiny")
def test_a_network_may_be_read_with_another_dropout_and_precision(tmp_path: Path) -> None:
    network = random_tiny()
    write_peer(tmp_path / "a.safetensors", network, network, TINY)
    found = read_network(tmp_path / "a.safetensors", "student", dropout=0.5, precision="bf16")
    assert found.form == FORM | {"dropout": 0.5, "precision": "bf16"}
    assert_same_bits(found, network)


@pytest.mark.usefixtures("tiny")
def test_the_same_peer_is_the_same_bytes(tmp_path: Path) -> None:
    student, teacher = random_tiny(), random_tiny()
    write_peer(tmp_path / "a.safetensors", student, teacher, TINY)
    again, said = read_network(tmp_path / "a.safetensors", "student"), read_peer(tmp_path / "a.safetensors")
    turned = replace(said, network=dict(reversed(FORM.items())))
    write_peer(tmp_path / "b.safetensors", again, teacher, turned)
    write_peer(tmp_path / "c.safetensors", student, teacher, replace(TINY, iterations=41))
    first, second, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != other


@pytest.mark.usefixtures("tiny")
def test_student_and_teacher_may_share_their_tensors(tmp_path: Path) -> None:
    network = random_tiny()
    write_peer(tmp_path / "a.safetensors", network, network, TINY)
    assert_same_bits(read_network(tmp_path / "a.safetensors", "student"), network)


# --- what a file says of itself --------------------------------------------------------------------------------------


def test_the_metadata_say_what_it_is_and_how_it_came_about(tmp_path: Path) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), TINY)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == [KEY]  # of several the order is not deterministic
    assert json.loads(metadata[KEY]) == {
        "network": FORM,
        "classes": 5,
        "height": 64,
        "width": 32,
        "iterations": 40,
        "params": {"pretrain": {"pretrain_lr": 1e-3}},
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert asdict(read_peer(path)) == asdict(TINY) | {"mean": list(MEAN), "std": list(STD)}


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"iterations": "40"}])
def test_a_file_that_says_nothing_of_itself_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "peer1.safetensors"
    save_file({"student.classifier.weight": torch.ones(2, 2)}, path, metadata=metadata)
    for read in (read_peer, lambda path: read_network(path, "student")):
        message = refusal(lambda: read(path))  # noqa: B023
        assert message.startswith(f"{path}: expected what network it is in the metadata")
        assert "files of version 0.3 and before have none: make them anew" in message


SAID = json.dumps(asdict(TINY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        SAID[:-1],
        "[1, 2]",
        "null",
        "40",
        "{}",
        "[" * 100_000,
        json.dumps({"network": FORM}),
        json.dumps(asdict(TINY) | {"more": 1}),
        *(
            json.dumps(asdict(TINY) | {key: value})
            for key in ("classes", "height", "width", "iterations")
            for value in (-1, 1.5, "40", None, True, [4])
        ),
        *(json.dumps(asdict(TINY) | {"network": value}) for value in ("resnet18", None, [FORM])),
        *(json.dumps(asdict(TINY) | {"params": value}) for value in ("lr", None, 3, [FORM])),
        SAID.replace("40", "4" * 5000),
    ],
)
def test_damaged_metadata_are_refused_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "peer1.safetensors"
    save_file({"student.classifier.weight": torch.ones(5, 4)}, path, metadata={KEY: text})
    assert refusal(lambda: read_peer(path)) == f"{path}: expected what network it is in the metadata"


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"network": FORM | {"backbone": "wide"}}, "student of another network than the file says"),
        ({"network": FORM | {"backbone": "resnet"}}, "expected a network that can be built: resnet: not a backbone"),
        ({"network": FORM | {"classes": 5}}, "expected a network that can be built: "),
        ({"network": {}}, "expected a network that can be built: "),
        ({"classes": 6}, "expected the 6 classes of its metadata"),
    ],
    ids=["another width", "unknown", "classes twice", "nothing", "other classes"],
)
def test_a_file_that_holds_another_network_than_it_says_is_refused(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), replace(TINY, **changes))
    assert refusal(lambda: read_network(path, "student")).startswith(f"{path}: {expected}")


def test_a_real_network_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    path, network = tmp_path / "peer1.safetensors", ReidNetwork("resnet18", 2)
    for form, expected in (
        ({"backbone": "resnet34"}, "student of another network than the file says"),
        ({"pooling": "gem"}, "student of another network than the file says: pooling.p is missing"),
        ({"dropout": 1.5}, "expected a network that can be built: dropout probability"),
        ({"depth": 18}, "expected a network that can be built: "),
    ):
        write_peer(path, network, network, replace(real_peer(network), network=network.form | form))
        assert refusal(lambda: read_network(path, "student")).startswith(f"{path}: {expected}")


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
    "numbers of half the bits, which other code's files may have": (
        lambda state: state.update({"student.neck.weight": torch.ones(4, dtype=torch.float16)}),
        "neck.weight holds float16, expected float32",
    ),
    "counted in fractions": (
        lambda state: state.update({"student.neck.num_batches_tracked": torch.tensor(3.0)}),
        "neck.num_batches_tracked holds float32, expected int64",
    ),
    "fewer classes": (
        lambda state: state.update({"student.classifier.weight": torch.ones(3, 4)}),
        "expected the 5 classes of its metadata",
    ),
    "no student": (
        lambda state: [state.pop(name) for name in list(state) if name.startswith("student.")],
        "holds no student",
    ),
}


@pytest.mark.parametrize("kind", list(CHANGES))
def test_a_peer_with_other_tensors_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    built: list[TinyNetwork] = []
    untouched: State = {}

    def build(**form: Any) -> TinyNetwork:
        built.append(TinyNetwork(**form))
        untouched.update({name: tensor.clone() for name, tensor in built[-1].state_dict().items()})
        return built[-1]

    monkeypatch.setattr(peers, "ReidNetwork", build)
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), TINY)
    state = load_file(path)
    change, expected = CHANGES[kind]
    change(state)
    save_file(state, path, metadata={KEY: SAID})
    message = refusal(lambda: read_network(path, "student"))
    assert message.startswith(f"{path}: ")
    for network in built:  # not loaded in part
        assert all(torch.equal(tensor, untouched[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(InputError, match=expected):
        read_network(path, "student")
    # the other network of the file is as good as before
    read_network(path, "teacher")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_peer_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), TINY)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for read in (read_peer, lambda path: read_network(path, "student")):
        assert refusal(lambda: read(path)).startswith(f"{path}: expected a whole safetensors file")  # noqa: B023


def test_a_missing_peer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "peer1.safetensors"
    assert refusal(lambda: read_peer(path)) == f"{path}: not found"
    assert refusal(lambda: read_network(path, "student")) == f"{path}: not found"


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from mutual.networks.peers import Peer, write_peer
from mutual.base.errors import run
from mutual.networks.reid import ReidNetwork

def main():
    network = ReidNetwork("resnet18", 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    write_peer(Path(sys.argv[1]), network, network, Peer(network.form, 2, 64, 32))

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


# --- from file to file -----------------------------------------------------------------------------------------------


def test_after_a_round_a_peer_is_what_it_was_and_more(tmp_path: Path) -> None:
    path = tmp_path / "peer1.safetensors"
    write_peer(path, random_tiny(), random_tiny(), replace(TINY, iterations=80))
    found = continued(path, 500, 40, {"lr": 3.5e-4, "alpha": 0.9})
    assert asdict(found) == asdict(TINY) | {
        "classes": 500,
        "iterations": 120,
        "params": {"pretrain": {"pretrain_lr": 1e-3}, "adaptation": {"lr": 3.5e-4, "alpha": 0.9}},
        "mean": list(MEAN),
        "std": list(STD),
    }
    write_peer(path, random_tiny(), random_tiny(), found)
    again = continued(path, 500, 40, {"lr": 1e-4})
    assert again.iterations == 160
    assert again.params == {"pretrain": {"pretrain_lr": 1e-3}, "adaptation": {"lr": 1e-4}}  # of its last round


def test_peers_must_have_the_same_iterations_behind_them(tmp_path: Path) -> None:
    student, teacher = random_tiny(), random_tiny()
    paths = [tmp_path / "peer1.safetensors", tmp_path / "peer2.safetensors"]
    for path in paths:
        write_peer(path, student, teacher, TINY)
    assert iterations_of(paths) == 40
    assert iterations_of(paths[:1]) == 40
    write_peer(paths[1], student, teacher, replace(TINY, iterations=80))
    with pytest.raises(InputError, match=r"peer2.safetensors: 80 iterations done, expected 40 as peer1"):
        iterations_of(paths)


@pytest.mark.usefixtures("tiny")
def test_an_adopted_peer_is_the_files_teacher_at_the_start_of_its_way(tmp_path: Path) -> None:
    path, teacher = tmp_path / "theirs.safetensors", random_tiny()
    write_peer(path, random_tiny(), teacher, replace(TINY, iterations=800))
    form = FORM | {"dropout": 0.5, "precision": "bf16"}
    network, peer = adopted(path, form, (256, 128))
    assert_same_bits(network, teacher)
    assert network.form == form
    assert peer == replace(read_peer(path), network=form, height=256, width=128, iterations=0)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("key", "other"), [("backbone", "wide"), ("stem_relu", True), ("pooling", "gem")])
def test_an_adopted_peer_must_be_the_network_that_is_described(tmp_path: Path, key: str, other: object) -> None:
    path = tmp_path / "theirs.safetensors"
    write_peer(path, random_tiny(), random_tiny(), TINY)
    message = refusal(lambda: adopted(path, FORM | {key: other}, (64, 32)))
    assert message.startswith(f"pretrained: {path}: another network than params.yaml describes: {key} {other} in ")
    assert message.endswith(f"{FORM[key]} in the file")


def test_an_adopted_peer_must_be_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        assert refusal(lambda: adopted(path, FORM, (64, 32))).startswith(f"pretrained: {path}: not found")  # noqa: B023
