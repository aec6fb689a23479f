"""The smallest project that goes from pictures to a model card in seconds: a herd, without a source or labels."""

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mutual.networks.backbones import backbone

TOP = Path(__file__).parents[1]
SMALL = "timm/test_efficientnet"  # trains in a tenth of a ResNet-18's time, but timm takes seconds to import
CHANGES = {
    "source_name": "none",
    "source_root": "none",
    "weights": "theirs.safetensors",
    "target_layout": "heap",
    "target_root": "herd",
    "target_name": "herd",
    "image_height": "32",
    "image_width": "16",
    "batch_size": "16",
    "clusters": "4",
    "iterations": "2",
    "page_pictures": "false",
}


def draw_herd(**changes: str) -> None:
    """Twenty-four pictures, a backbone's weights, and parameters that name both, in the current folder.

    The backbone is the project's own ResNet-18, or another of ``changes``: :data:`SMALL` where all is in this process.
    """
    random = np.random.default_rng(1)
    for i in range(24):
        colour = np.array([[[40, 90, 200], [200, 40, 90], [90, 200, 40], [200, 200, 200]][i % 4]])
        picture = np.clip(colour + random.integers(-30, 30, (40, 20, 3)), 0, 255).astype(np.uint8)
        path = Path(f"herd/{i:02d}.png")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    text = (TOP / "params.yaml").read_text()
    for key, value in (CHANGES | changes).items():
        text, count = re.subn(f"(?m)^{key}: .*$", f"{key}: {value}", text)
        assert count == 1, key
    Path("params.yaml").write_text(text)
    Path("rounds.yaml").write_text("rounds:\n  r01: r00\n")
    torch.manual_seed(3)
    theirs = backbone(changes.get("backbone", "resnet18"), stem_relu=False, size=(32, 16))
    save_file(dict(theirs.state_dict()), "theirs.safetensors")


def stage(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Run ``train --round r01 --start r00``, say, in this process."""
    name, *arguments = line.split()
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    import_module(f"stages.{name}").main()


def draw_clustered(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """The herd and four people for its source, up to the first clusters; three epochs of four of pre-training."""
    draw_people()
    of_people = {"source_name": "people", "source_root": "people", "source_layout": "market1501", "dsbn": "false"}
    short = {"pretrain_epochs": "3", "pretrain_iterations": "4", "pretrain_eval_epochs": "2"}
    draw_herd(**of_people, **short, batch_size="12", instances="3", **changes)
    for line in (
        "prepare --set source",
        "prepare --set target",
        "pretrain --seed 1",
        "pretrain --seed 2",
        "extract --round r01 --start r00",
        "cluster --round r01 --start r00",
    ):
        stage(monkeypatch, line)


def draw_people() -> None:
    """Four people, seen by two cameras twice each; two others are searched."""
    random = np.random.default_rng(2)
    for folder, pids in (("bounding_box_train", range(1, 5)), ("query", (5, 6)), ("bounding_box_test", (5, 6))):
        for pid in pids:
            for camid in (1, 2) if folder != "query" else (1,):
                for shot in (1, 2):
                    picture = np.clip(40 * pid + random.integers(-30, 30, (40, 20, 3)), 0, 255).astype(np.uint8)
                    path = Path(f"people/{folder}/{pid:04d}_c{camid}s1_{shot:06d}_00.jpg")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture).save(path)


def choose(**values: object) -> None:
    """Set keys of the current folder's params.yaml."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(f"(?m)^( *){key}: .*$", rf"\g<1>{key}: {value}", text)
        assert count == 1, key
    Path("params.yaml").write_text(text, encoding="utf-8")


def made(*places: str) -> dict[str, bytes]:
    """The files of these files and folders, by their names."""
    files = [path for place in places for path in ([Path(place)] if Path(place).is_file() else Path(place).rglob("*"))]
    assert files
    return {str(path): path.read_bytes() for path in sorted(files) if path.is_file()}
