"""What git keeps is the same bytes on every machine, and no code of it unpickles."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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


# --- nothing is unpickled: a pickle can run whatever it likes -------------------------------------------------------

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READ = {"load", "loads", "Unpickler", "open"}
SWITCHES = {"weights_only": True, "allow_pickle": False}  # what else must not be said
TRAP = "tests/test_weights.py"  # where a trap, just made, is shown to be one


def unpickling(code: str) -> Iterator[str]:
    """Yield each call that could unpickle, as it is written: imported names count as the modules they are of."""
    tree = ast.parse(code)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {name.asname or name.name.split(".")[0]: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, _, rest = ast.unparse(node.func).partition(".")
            called = ".".join(filter(None, [known.get(first, first), rest]))
            module, _, name = called.rpartition(".")
            said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            pickles = module.split(".")[0] in PICKLES and name in READ
            torch = called in ("torch.load", "torch.serialization.load") and said.get("weights_only") is not True
            pandas = name == "read_pickle"
            switched = any(said.get(word, value) is not value for word, value in SWITCHES.items())
            if pickles or torch or pandas or (switched and name not in ("save", "savez")):
                yield ast.unparse(node)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle\npickle.load(file)", True),
        ("from pickle import loads as read\nread(text)", True),
        ("import joblib as j\nj.load(path)", True),
        ("import torch\ntorch.load(path)", True),
        ("import torch\ntorch.load(path, weights_only=False)", True),
        ("import torch\ntorch.load(path, weights_only=unsafe)", True),
        ("from torch import load\nload(path)", True),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", True),
        ("import numpy as np\nnp.lib.format.read_array(file, allow_pickle=maybe)", True),
        ("import pandas as pd\npd.read_pickle(path)", True),
        ("import torch\ntorch.load(path, weights_only=True)", False),
        ("import numpy as np\nnp.load(path)\nnp.load(path, allow_pickle=False)", False),
        ("import json\njson.load(file)", False),
        ("import pickle\npickle.dumps(value)", False),
    ],
)
def test_what_counts_as_unpickling(code: str, found: bool) -> None:
    assert bool(list(unpickling(code))) is found


def test_nothing_is_unpickled() -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."]
    files = sorted(file for folder in folders for file in folder.rglob("*.py") if "node_modules" not in file.parts)
    assert len(files) > 200
    found = {}
    for path in files:
        if calls := list(unpickling(path.read_text(encoding="utf-8"))):
            found[path.relative_to(ROOT).as_posix()] = calls
    assert found == {TRAP: ["pickle.load(io.BytesIO(pickle.dumps(Trap(marker))))"]}
