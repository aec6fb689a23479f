"""A clone of the project whose demo runs through in less than a minute."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.imports import PACKAGES

ROOT = Path(__file__).resolve().parents[1]

TINY = {
    "demo_source_pids": 8,
    "demo_target_pids": 8,
    "demo_test_pids": 4,
    "demo_images_per_source_pid": 4,
    "demo_images_per_target_pid": 5,
    "demo_images_per_test_pid": 4,
    "image_height": 32,
    "image_width": 16,
    "batch_size": 8,
    "instances": 2,
    "padding": 2,
    "pretrain_epochs": 2,
    "pretrain_iterations": 2,
    "pretrain_eval_epochs": 1,
    "pretrain_warmup_epochs": 1,
    "pretrain_milestones": [2],
    "clusters": 6,
    "kmeans_iterations": 5,
    "iterations": 3,
}


def sh(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command with ``more`` variables in its environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # one thread each: the networks are tiny, and on a busy machine threads that wait for each other are far slower
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"} | more
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def dvc(folder: Path, *arguments: str, **more: str) -> str:
    result = sh(folder, sys.executable, "-m", "dvc", *arguments, **more)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def commit(folder: Path) -> None:
    for command in (("add", "--all"), ("commit", "--quiet", "--message", "state")):
        result = sh(folder, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", *command)
        assert result.returncode == 0, result.stdout + result.stderr


def set_params(folder: Path, values: Mapping[str, Any]) -> None:
    """Change values in params.yaml, comments and all else as they are."""
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key}: ?.*(\n +- .*)*$", f"{key}: {json.dumps(value)}", text)
        assert count == 1, key
    path.write_text(text, encoding="utf-8")


def tiny_demo(folder: Path, values: Mapping[str, Any] = TINY) -> None:
    """Make one of two rounds in an empty folder, with these parameters, and commit it."""
    for name in (".gitattributes", ".gitignore", ".dvcignore", "dvc.yaml", "params.yaml", "none", "imagenet"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "dvc.lock"))
    set_params(folder, values)
    (folder / "rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r01\n", encoding="utf-8")
    assert sh(folder, "git", "init", "--quiet").returncode == 0
    commit(folder)
