"""Without a source: networks start from weights alone, or from somebody's files, and nobody labelled the target."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mutual.networks.backbones import backbone
from mutual.networks.peers import read_network, read_peer
from tests.herd import draw_herd, stage


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty-four pictures of a herd, and the backbone of some ResNet-18."""
    monkeypatch.chdir(tmp_path)
    draw_herd()
    return tmp_path


def test_from_weights_to_the_model_card(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ("prepare --set source", "prepare --set target", "pretrain --seed 1", "pretrain --seed 2"):
        stage(monkeypatch, line)
    theirs = backbone("resnet18", stem_relu=False)
    torch.manual_seed(3)
    expected = backbone("resnet18", stem_relu=False).state_dict()
    for seed in (1, 2):
        path = Path(f"models/r00/peer{seed}.safetensors")
        peer = read_peer(path)
        assert (peer.classes, peer.iterations) == (0, 0)
        assert peer.params["pretrain"]["weights"] == "theirs.safetensors"
        found = read_network(path, "teacher").backbone.state_dict()
        assert list(found) == list(theirs.state_dict())
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    for line in ("evaluate --round r00", "extract --round r01 --start r00", "cluster --round r01 --start r00"):
        stage(monkeypatch, line)
    assert np.load("data/rounds/r01/source_features.npy").shape == (0, 512)
    for line in ("train --round r01 --start r00", "evaluate --round r01", "last", "page"):
        stage(monkeypatch, line)
    one, two = (read_network(Path(f"models/r01/peer{seed}.safetensors"), "student").state_dict() for seed in (1, 2))
    assert read_peer(Path("models/r01/peer1.safetensors")).classes == 4
    # equal at first, they saw other views
    assert not torch.equal(one["backbone.conv1.weight"], two["backbone.conv1.weight"])
    capsys.readouterr()
    stage(monkeypatch, "report")
    assert capsys.readouterr().out.startswith("# herd without a source\n")
    assert json.loads(Path("metrics/summary.json").read_text())["last_clusters"] == 4
    page = Path("metrics/report.html").read_text()
    assert "<title>herd without a source</title>" in page
    assert "without labels, and without a labelled source" in page
    card = Path("adapted/README.md").read_text()
    assert "# herd without a source, adapted\n" in card
    assert "re-identification, adapted to herd without labels by `mmt`" in card
    assert "come from the pictures of herd, and from `weights: theirs.safetensors`." in card
    assert "none" not in card.split("## Data")[1].split("## Figures")[0]


def test_somebodys_networks_need_no_pictures_of_their_source(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ("prepare --set source", "prepare --set target", "pretrain --seed 1"):
        stage(monkeypatch, line)
    Path("models/r00").rename("theirs")
    text = Path("params.yaml").read_text().replace("\npretrained: none", "\npretrained: theirs")
    Path("params.yaml").write_text(text.replace("\nsource_name: none", "\nsource_name: station"))
    stage(monkeypatch, "pretrain --seed 1")
    name = "peer1.safetensors"
    assert (Path("models/r00") / name).read_bytes() == (Path("theirs") / name).read_bytes()
