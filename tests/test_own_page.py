"""docs/own-data.md, step by step, on a small herd in a project of its own."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from dvc.cli import main as dvc
from ruamel.yaml import YAML

from mutual.base.params import Layout
from mutual.datasets.advice import LONG, PER_IDENTITY, SHORT, STEP
from mutual.datasets.copies import ALIKE, BITS
from mutual.datasets.layouts import read_dataset
from mutual.datasets.looks import COLOURLESS, SIDE
from mutual.images.index import UNKNOWN, read_index
from tests.snippets import blocks, calls
from tests.test_own_data import listed
from tests.test_prepare import picture, save
from tools import check

ROOT = Path(__file__).resolve().parents[1]
NAME = "docs/own-data.md"
PAGE = (ROOT / NAME).read_text(encoding="utf-8")
CODE = ("demo", "mutual", "stages", "tools", "params.yaml", "rounds.yaml", "dvc.yaml", "none", "imagenet", ".dvcignore")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, and a herd of four animals and two of their pictures that nobody could name."""
    folder = tmp_path_factory.mktemp("own")
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for number, name in enumerate(["bella", "cleo", "omar", "zoe"]):
        for shot in range(6):
            save(picture(10 * number + shot), folder / "herd" / name / f"{shot}.jpg")
    for shot in range(2):
        save(picture(100 + shot), folder / "herd" / f"{shot}.jpg")
    # the source: drawn by the demo, which takes minutes; here it only has to be there
    (folder / "data/demo/DukeMTMC-reID").mkdir(parents=True)
    return folder


def steps(project: Path) -> list[str]:
    """The commands of the page, on this herd."""
    lines = [line.partition("#")[0].strip() for block in blocks(NAME, "sh") for line in block.splitlines()]
    return [line.replace("/data/herd", str(project / "herd")) for line in lines if line]


def test_the_page_step_by_step(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All but the last command, which computes everything."""
    first, second, everything = steps(project)
    assert everything == "dvc repro"
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", first.removeprefix("python -m ").split())
    assert sys.argv[0] == "tools.check"
    assert calls("tools.check") == [["/data/herd"]]  # there is no other
    check.main()
    out, _ = capfd.readouterr()
    assert out.startswith(f"{project}/herd: layout folders (a guess")
    assert "train: 2 of 26 images have no pid" in out

    text, without_source = blocks(NAME, "yaml")
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    changes = YAML(typ="safe").load(text.replace("/data/herd", str(project / "herd")))
    assert changes.keys() <= params.keys()
    params.update(changes)
    yaml.dump(params, project / "params.yaml")

    assert dvc(["init", "--no-scm", "--quiet"]) == 0
    assert dvc(second.removeprefix("dvc ").split()) == 0
    (said,) = re.findall(r"(?m)^> (.+)$", PAGE)
    assert f"warning: {project}/herd: {said}" in capfd.readouterr().err.splitlines()
    index = read_index(project / "data/packed/target/train.csv")
    assert np.load(project / "data/packed/target/train.npy", mmap_mode="r").shape == (26, 64, 64, 3)
    assert np.unique(index.pid).tolist() == [UNKNOWN, 1, 2, 3, 4]
    assert len(read_index(project / "data/packed/target/query.csv")) == 0

    params.update(YAML(typ="safe").load(without_source))
    yaml.dump(params, project / "params.yaml")
    assert dvc(["repro", "prepare@source"]) == 0
    assert "source: none: the networks start from weights, or are given" in capfd.readouterr().out
    assert np.load(project / "data/packed/source/train.npy", mmap_mode="r").shape == (0, 64, 64, 3)


def test_the_list_of_the_page(tmp_path: Path) -> None:
    (text,) = blocks(NAME, "csv")
    reading = read_dataset(listed(tmp_path, text, "traps/0001.jpg traps/0002.jpg zoo/17.png"), "csv")
    assert {split: index.pid.tolist() for split, index in reading.splits.items()} == {
        "train": [1, UNKNOWN],
        "query": [2],
        "gallery": [],
    }
    assert reading.splits["train"].camid.tolist() == [1, 1]
    assert reading.further["query"] == {"date": ["2020-11-30"], "identity": ["omar"], "camera": [""]}


def test_the_page_names_every_layout_and_the_figures_of_the_code() -> None:
    table = PAGE.partition("| layout |")[2].partition("\n\n")[0]
    named = {name for cell in re.findall(r"(?m)^\| (`.+?`) \|", table) for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(Layout.__args__)  # type: ignore[attr-defined]
    for figure in (
        f"differ in {BITS} bits",
        f"{SIDE // 2} x {SIDE // 2} pixels correlate by {ALIKE}",
        f"less than {COLOURLESS:.0f} of 255",
        f"the longer side {LONG}, or {SHORT} where half",
        f"steps of {STEP}",
        f"each {PER_IDENTITY} pictures",
    ):
        assert figure in " ".join(PAGE.split())
