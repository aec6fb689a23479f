"""Every entry point says what it reads and writes, and how it is run, without doing anything."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.imports import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("noisy", "semi/classification", "semi/segmentation", "stages", "tools")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
DOORS = [path for path in FILES if "__main__" in path.read_text(encoding="utf-8")]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", DOORS, ids=module)
def test_its_docstring_is_what_help_answers(path: Path) -> None:
    """And is asked for before anything else is done."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    doc = " ".join((ast.get_docstring(tree) or "").split())
    assert f"Example: python -m {module(path)}" in doc
    assert "reads" in doc.lower()
    assert "writes" in doc.lower() or "written" in doc.lower()
    (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    first = main.body[1] if ast.get_docstring(main) else main.body[0]
    assert f"arguments(__doc__, '{module(path)}')" in ast.unparse(first)


@pytest.mark.parametrize("path", DOORS, ids=module)
def test_run_by_its_path_it_says_how_to_run_it(path: Path) -> None:
    for folder, name in ((ROOT, str(path.relative_to(ROOT))), (path.parent, path.name)):
        done = python(folder, name)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr == f"error: run it from the project's top: python -m {module(path)}\n"


@pytest.mark.parametrize(
    "name",
    [
        "noisy.corrupt",
        "semi.classification.label",
        "semi.segmentation.evaluate",
        "stages.check",
        "stages.report",
        "stages.synthesize",
        "tools.declare",
    ],
)
def test_help_does_nothing(tmp_path: Path, name: str) -> None:
    """In a folder without anything to read."""
    for package in PACKAGES:
        others = shutil.ignore_patterns("__pycache__", ".dvc", "data")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=others)
    before = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
    done = python(tmp_path, "-m", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m {name} ")
    assert f"Example: python -m {name}" in done.stdout
    assert {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts} == before
