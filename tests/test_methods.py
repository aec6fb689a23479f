"""Every method as the pipeline runs it: two rounds of a herd's pictures, from the peers of one to those of the next."""

import re
from pathlib import Path

import pytest
import torch

from mutual.base.errors import InputError
from mutual.learning.handover import read_handover
from mutual.networks.peers import peer_path, read_network, read_peer
from mutual.refineries.contract import find_refinery
from tests.herd import SMALL, draw_herd, stage

FIRST = ("prepare --set source", "prepare --set target", "pretrain --seed 1", "pretrain --seed 2")
ROUND = ("extract --round {name} --start {start}", "cluster --round {name} --start {start}")
TRAIN = "train --round {name} --start {start}"


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The herd, its networks and the first clusters."""
    folder = tmp_path_factory.mktemp("herd")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        draw_herd(backbone=SMALL, dsbn="false", batch_size="12", instances="3")
        for line in (*FIRST, *ROUND):
            stage(patch, line.format(name="r01", start="r00"))
    return folder


def choose(method: str, alpha: float = 0.9, phases: int = 5) -> None:
    text = Path("params.yaml").read_text()
    for key, value in {"method": method, "alpha": alpha, "  rounds": phases}.items():
        text, count = re.subn(f"(?m)^{key}: .*$", f"{key}: {value}", text)
        assert count == 1, key
    Path("params.yaml").write_text(text)


@pytest.mark.parametrize("alpha", [0.0, 0.9])
@pytest.mark.parametrize("method", ["self", "core", "coteaching", "dmt"])
def test_a_method_trains_round_after_round(
    clustered: Path, monkeypatch: pytest.MonkeyPatch, method: str, alpha: float
) -> None:
    monkeypatch.chdir(clustered)
    choose(method, alpha, phases=2 if method == "dmt" else 5)
    try:
        stage(monkeypatch, TRAIN.format(name="r01", start="r00"))
        for line in (*ROUND, TRAIN):
            stage(monkeypatch, line.format(name="r02", start="r01"))
    finally:
        choose("mmt")
    header, *lines = Path("metrics/losses/r02.csv").read_text().splitlines()
    assert header.split(",") == ["iteration", "total", *find_refinery(method).terms]
    assert [line.split(",")[0] for line in lines] == ["3", "4"]
    for seed in (1, 2):
        path = peer_path(Path("models/r02"), seed)
        peer = read_peer(path)
        assert peer.iterations == 4
        assert peer.params["adaptation"]["method"] == method
        assert peer.params["adaptation"]["alpha"] == alpha
        student, teacher = (read_network(path, role).state_dict() for role in ("student", "teacher"))
        alike = all(torch.equal(student[name], teacher[name]) for name in student)
        assert alike == (alpha == 0)
    state = read_handover(Path("models/r02")).state
    assert set(state) >= ({"seen", "trust"} if method == "self" else set())


def test_a_single_network_has_no_other(clustered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clustered)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seeds:\n  - 1\n  - 2\n", "seeds:\n  - 1\n"))
    choose("core")
    try:
        with pytest.raises(InputError, match=r"^seeds: method core needs 2 networks at least, got 1$"):
            stage(monkeypatch, TRAIN.format(name="r01", start="r00"))
    finally:
        Path("params.yaml").write_text(text)
