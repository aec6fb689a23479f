"""What git keeps is the same bytes on every machine."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def git(folder: Path, *arguments: str) -> None:
    user = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *user, *arguments], cwd=folder, capture_output=True, check=True)


def test_a_clone_that_converts_line_ends_has_the_same_bytes(tmp_path: Path) -> None:
    """``core.autocrlf``, as Git for Windows has it: DVC would count every file as changed."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    git(first, "init", "--quiet")
    names = [".gitattributes", "params.yaml", "dvc.yaml", "stages/report.py", "docs/demo.png"]
    for name in names:
        (first / name).parent.mkdir(exist_ok=True)
        (first / name).write_bytes((ROOT / name).read_bytes())
    git(first, "add", "--all")
    git(first, "commit", "--quiet", "--message", "all")
    git(tmp_path, "clone", "--quiet", "--config", "core.autocrlf=true", str(first), str(second))
    for name in names:
        assert (second / name).read_bytes() == (ROOT / name).read_bytes(), name
