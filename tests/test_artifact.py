"""The adapted networks leave by DVC: what dvc.yaml calls the artifact is what others get, card and all."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.cli import main as dvc

from mutual.base.documents import read_yaml
from tests.test_repository import git

ROOT = Path(__file__).resolve().parents[1]
LEAVES = ("adapted/peers", "adapted/README.md")


def of_the_project() -> dict[str, Any]:
    """Its artifacts, and the stages that make them, with commands that do nothing and nothing that they need."""
    content = read_yaml(ROOT / "dvc.yaml")
    stages = {}
    for name, stage in content["stages"].items():
        outs = [out for out in stage.get("outs", ()) if (next(iter(out)) if isinstance(out, dict) else out) in LEAVES]
        if outs:
            stages[name] = {"cmd": "true", "outs": outs}
    return {"stages": stages, "artifacts": content["artifacts"]}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the project's artifact, pushed to a folder, and nothing left of it but what git has."""
    folder = tmp_path_factory.mktemp("published")
    here = folder / "project"
    (here / "adapted/peers").mkdir(parents=True)
    (here / "adapted/README.md").write_text("the card\n")
    for seed in (1, 2):
        (here / f"adapted/peers/peer{seed}.safetensors").write_bytes(bytes([seed]) * 1000)
    (here / "dvc.yaml").write_text(yaml.safe_dump(of_the_project()))
    shutil.copy(ROOT / ".gitignore", here)
    git(here, "init", "--quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        for command in (
            ["init", "--quiet"],
            ["remote", "add", "--quiet", "--default", "store", str(folder / "store")],
            ["commit", "--quiet", "--force"],
            ["push", "--quiet"],
        ):
            assert dvc(command) == 0, command
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "--message", "all")
    git(here, "tag", "--annotate", "adapted@v1.0.0", "--message", "first")
    shutil.rmtree(here / "adapted")
    shutil.rmtree(here / ".dvc/cache")
    return here


def test_both_parts_are_made_by_stages() -> None:
    made = [out for stage in of_the_project()["stages"].values() for out in stage["outs"]]
    assert made == ["adapted/peers", {"adapted/README.md": {"cache": False}}]
    assert read_yaml(ROOT / "dvc.yaml")["artifacts"]["adapted"]["path"] == "adapted"


@pytest.mark.parametrize("command", [["artifacts", "get"], ["get", "--rev", "adapted@v1.0.0"]])
def test_peers_and_card_arrive(published: Path, command: list[str], tmp_path: Path) -> None:
    """By the artifact's name, the newest version, or by the folder's at a tag or commit."""
    assert dvc([*command, "--quiet", str(published), "adapted", "--out", str(tmp_path / "got")]) == 0
    got = {str(path.relative_to(tmp_path / "got")): path.read_bytes() for path in (tmp_path / "got").rglob("*.*")}
    peers = {f"peers/peer{seed}.safetensors": bytes([seed]) * 1000 for seed in (1, 2)}
    assert got == {"README.md": b"the card\n", **peers}
