"""The pipeline's own description: what dvc.yaml declares is what the code imports and reads."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mutual.base.params import Params

ROOT = Path(__file__).resolve().parents[1]
STAGE_FILES = sorted(path for path in (ROOT / "stages").glob("*.py") if path.name != "__init__.py")
LIBRARY_FILES = sorted(path for path in (ROOT / "mutual").rglob("*.py") if path.name != "__init__.py")
PACKAGES = ("demo", "mutual", "stages", "tools")
NAMES_OF_STAGES = {"direct": "evaluate"}  # the stage that another entry point runs


def yaml(name: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8"))
    return content


def definitions() -> dict[str, dict[str, Any]]:
    """Each stage of dvc.yaml, without its loop."""
    return {name: stage.get("do", stage) for name, stage in yaml("dvc.yaml")["stages"].items()}


def module_file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def imported(path: Path) -> set[Path]:
    """The project's files that one file imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {file for name in names if name.split(".")[0] in PACKAGES and (file := module_file(name))}
    return found


def closure(path: Path) -> set[str]:
    """All files that run: the entry point, what its package does before it, and what either imports."""
    todo = [path, path.with_name("__init__.py")]
    seen = set(todo)
    while todo:
        fresh = imported(todo.pop()) - seen
        seen |= fresh
        todo += fresh
    return {str(file.relative_to(ROOT)) for file in seen}


def keys_read(path: Path) -> set[str]:
    """The parameters that a stage's file reads as ``params.<key>``; any other use of ``params`` fails."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "params"]
    attributes = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "params"
    ]
    assignments = [node for node in uses if isinstance(node.ctx, ast.Store)]
    assert len(uses) == len(attributes) + len(assignments), f"{path}: `params` is handed on whole"
    return {node.attr for node in attributes}


def entry_point(stage: str) -> Path:
    name = NAMES_OF_STAGES.get(stage, stage)
    assert f"python -m stages.{name}" in definitions()[stage]["cmd"]
    return ROOT / f"stages/{name}.py"


@pytest.mark.parametrize("stage", definitions())
def test_declared_code_is_the_import_closure(stage: str) -> None:
    declared = [dep for dep in definitions()[stage]["deps"] if dep.endswith(".py")]
    assert len(set(declared)) == len(declared)
    assert set(declared) == closure(entry_point(stage))


@pytest.mark.parametrize("stage", definitions())
def test_declared_parameters_are_the_keys_read(stage: str) -> None:
    declared = set(definitions()[stage].get("params", ()))
    if stage == "prepare":  # declares the keys of its own set; the code reads both sets'
        loop = yaml("dvc.yaml")["stages"]["prepare"]["foreach"]
        assert {"${item.name}", "${item.layout}", "${item.root}"} < declared
        declared = {key for key in declared if not key.startswith("${")}
        declared |= {item[key] for item in loop.values() for key in ("name", "layout", "root")}
        assert all(item["folder"] == f"${{{item['root']}}}" for item in loop.values())
    assert declared == keys_read(entry_point(stage))


@pytest.mark.parametrize("stage", definitions())
def test_every_stage_says_what_it_does(stage: str) -> None:
    assert definitions()[stage]["desc"]


def test_every_entry_point_is_a_stage() -> None:
    assert {entry_point(stage) for stage in definitions()} == set(STAGE_FILES)


def test_every_data_dependency_is_an_output() -> None:
    """Nothing is read that no stage makes, save the user's data and the mapping of the rounds."""
    stages = definitions().values()
    listed = [out for stage in stages for out in (*stage["outs"], *stage.get("metrics", ()))]
    made = [any_value(next(iter(out)) if isinstance(out, dict) else out) for out in listed]
    for stage in stages:
        for dep in stage["deps"]:
            if dep.endswith(".py") or dep in ("rounds.yaml", "${item.folder}"):
                continue
            read = any_value(dep)
            assert any(fnmatch(read, out) or fnmatch(read, f"{out}/*") or fnmatch(out, f"{read}/*") for out in made), (
                dep
            )


def any_value(path: str) -> str:
    """The path with a * for each value that DVC puts in."""
    return re.sub(r"\$\{\w+\}", "*", path)


def test_the_library_imports_no_stage_and_runs_in_no_circle() -> None:
    graph = {path: imported(path) for path in LIBRARY_FILES}
    for path, needed in graph.items():
        assert needed <= set(LIBRARY_FILES), f"{path} imports a stage or a tool"
    while graph:  # peel off what imports nothing that is left
        free = [path for path, needed in graph.items() if not needed & set(graph)]
        assert free, f"circle among {sorted(path.name for path in graph)}"
        for path in free:
            del graph[path]


def test_the_library_knows_no_command_line_and_no_artefact() -> None:
    for path in LIBRARY_FILES:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) argparse\b", source, re.MULTILINE)
        assert "sys.argv" not in source
        strings = [
            n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        for text in strings:
            assert not re.match(r"(data|models|metrics)/", text), f"{path}: {text}"


def test_packages_hold_nothing_but_their_docstring() -> None:
    """Those of the entry points settle the number of threads, too: nothing else runs before the libraries load."""
    for path in (file for package in PACKAGES for file in (ROOT / package).rglob("__init__.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(body[0], ast.Expr)
        settles = ["from mutual.base.errors import run", "from mutual.machine.threads import settle", "run(settle)"]
        doors = path.parent in (ROOT / "stages", ROOT / "tools")
        assert [ast.unparse(node) for node in body[1:]] == (settles if doors else [])


def test_every_parameter_is_explained_and_used() -> None:
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    keys = {line.partition(":")[0]: above for above, line in pairwise(lines) if re.match(r"\w", line)}
    assert set(keys) == set(Params.model_fields) == set().union(*map(keys_read, STAGE_FILES))
    for key, above in keys.items():
        assert above.startswith("# "), f"{key} is not explained"


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


def sh(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # one thread each: the networks are tiny, and on a busy machine threads that wait for each other are far slower
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def dvc(folder: Path, *arguments: str) -> str:
    result = sh(folder, sys.executable, "-m", "dvc", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def files_opened(folder: Path, command: str) -> set[str]:
    """What a stage's command opens below data, models and metrics."""
    spy = (
        "import os, runpy, sys\n"
        "opened, here = set(), os.getcwd() + os.sep\n"
        "def note(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[0], (str, bytes, os.PathLike)):\n"
        "        opened.add(os.path.abspath(os.fsdecode(arguments[0])))\n"
        "sys.addaudithook(note)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        "print('OPENED', *(path.removeprefix(here) for path in opened if path.startswith(here)), sep='\\n')\n"
    )
    python, flag, *arguments = command.split()
    assert (python, flag) == ("python", "-m")
    result = sh(folder, sys.executable, "-c", spy, *arguments)
    assert result.returncode == 0, result.stderr
    paths = result.stdout.partition("OPENED\n")[2].splitlines()
    # what is written beside and renamed has names of its own
    named = [path for path in paths if ".tmp" not in path and not path.endswith(".old")]
    return {path for path in named if path.startswith(("data/", "models/", "metrics/"))}


def commit(folder: Path) -> None:
    for command in (("add", "--all"), ("commit", "--quiet", "--message", "state")):
        result = sh(folder, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", *command)
        assert result.returncode == 0, result.stdout + result.stderr


def set_params(folder: Path, values: dict[str, Any]) -> None:
    """Change values in params.yaml, comments and all else as they are."""
    path = folder / "params.yaml"
    yaml = YAML()
    content = yaml.load(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        assert key in content
        content[key] = value
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project with a tiny demo and two rounds, reproduced and committed."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (".gitignore", ".dvcignore", "dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    set_params(folder, TINY)
    (folder / "rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r01\n", encoding="utf-8")
    assert sh(folder, "git", "init", "--quiet").returncode == 0
    commit(folder)
    assert len(stages_run(dvc(folder, "repro"))) == 15
    commit(folder)
    return folder


@pytest.fixture
def project(reproduced: Path) -> Iterator[Path]:
    """The reproduced clone; afterwards it is as it was, whatever the test did."""
    yield reproduced
    restore(reproduced)


def restore(folder: Path) -> None:
    """Back to the committed state, artefacts and all."""
    assert sh(folder, "git", "checkout", "--quiet", "--force", "HEAD").returncode == 0
    dvc(folder, "checkout", "--force")


def test_a_second_run_has_nothing_to_do(reproduced: Path) -> None:
    assert stages_run(dvc(reproduced, "repro")) == []
    assert "up to date" in dvc(reproduced, "status")
    assert sh(reproduced, "git", "status", "--porcelain").stdout == ""


def test_the_results_are_told_apart(reproduced: Path) -> None:
    summary = json.loads((reproduced / "metrics/summary.json").read_text(encoding="utf-8"))
    tested = [json.loads((reproduced / f"metrics/rounds/r0{i}.json").read_text(encoding="utf-8")) for i in range(3)]
    maps = [[peer["mAP"] for peer in result["peers"].values()] for result in tested]
    assert summary["direct_mAP"] == pytest.approx(sum(maps[0]) / 2, abs=1e-6)
    assert summary["last_mAP"] == pytest.approx(sum(maps[2]) / 2, abs=1e-6)
    assert summary["best_on_test_mAP"] == pytest.approx(max(map(max, maps[1:])), abs=1e-6)
    table = (reproduced / "metrics/results.md").read_text(encoding="utf-8")
    for row in ("direct transfer", "round 1", "round 2", "**last (round 2)**", "best on test"):
        assert f"| {row}" in table


def test_forced_again_every_byte_is_the_same(project: Path) -> None:
    before = (project / "dvc.lock").read_bytes()
    assert len(stages_run(dvc(project, "repro", "--force"))) == 15
    assert (project / "dvc.lock").read_bytes() == before


def test_a_changed_alpha_reruns_training_and_what_follows(project: Path) -> None:
    output = dvc(project, "exp", "run", "--set-param", "alpha=0.3", "--name", "faster")
    assert sorted(stages_run(output)) == [
        *("cluster@r02", "evaluate@r01", "evaluate@r02", "extract@r02", "report", "train@r01", "train@r02")
    ]
    assert "last_mAP" in dvc(project, "metrics", "diff", "--all", "HEAD", "faster")


def test_another_round_runs_alone(project: Path) -> None:
    output = dvc(project, "exp", "run", "--set-param", "rounds.yaml:+rounds.r03=r02")
    assert set(stages_run(output)) == {"extract@r03", "cluster@r03", "train@r03", "evaluate@r03", "report"}
    restore(project)
    # a stale result does not survive: the report is that of the rounds named
    assert stages_run(dvc(project, "repro")) == []


def test_one_peer_alone_is_the_general_baseline(project: Path) -> None:
    settings = {"seeds": [1], "alpha": 0.0, "soft_ce_weight": 0.0, "soft_tri_weight": 0.0}
    arguments = [part for key, value in settings.items() for part in ("--set-param", f"{key}={value}")]
    assert "pretrain@1" not in stages_run(dvc(project, "exp", "run", *arguments))
    for name in ("r00", "r01", "r02"):
        assert [path.name for path in (project / "models" / name).iterdir()] == ["peer1.safetensors"]
    # the second peer, which the workspace still held, is no part of what was recorded
    assert "up to date" in dvc(project, "status")


def test_every_option_runs(project: Path) -> None:
    clustering = {"clustering": "dbscan", "k1": 6, "k2": 3, "dbscan_min_samples": 2, "dbscan_eps": 0.7}
    network = {"pooling": "gem", "bn_groups": 2, "dropout": 0.5, "backbone_lr_scale": 0.2, "rerank": "true"}
    source = {"source_distance_weight": 0.1, "source_weight": 0.5, "dsbn": "true"}
    options = clustering | network | source
    arguments = [part for key, value in options.items() for part in ("--set-param", f"{key}={value}")]
    output = dvc(project, "exp", "run", *arguments, "evaluate@r01")
    assert {"pretrain@1", "train@r01", "evaluate@r01"} < set(stages_run(output))
    result = json.loads((project / "metrics/rounds/r01.json").read_text(encoding="utf-8"))
    assert all(0 < peer["rerank_mAP"] <= 1 for peer in result["peers"].values())
    clustering = json.loads((project / "data/rounds/r01/clustering.json").read_text(encoding="utf-8"))
    assert clustering["eps"] == 0.7
    # what each stage opens is declared; with these options it reads all that it ever reads
    lock = YAML(typ="safe", pure=True).load((project / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for name in ("prepare@source", "pretrain@1", "direct", "extract@r01", "cluster@r01", "train@r01", "evaluate@r01"):
        declared = {item["path"] for item in (*lock[name]["deps"], *lock[name]["outs"])}
        opened = files_opened(project, lock[name]["cmd"])
        assert opened
        assert [path for path in sorted(opened) if not declared & {path, *map(str, Path(path).parents)}] == []
    # the next round finds the eps beside the peers
    assert json.loads((project / "models/r01/eps.json").read_text(encoding="utf-8")) == {"eps": 0.7}


@pytest.mark.parametrize("reach", ["absolute path", "dvc add"])
def test_ones_own_folder_is_reachable_from_a_temporary_experiment(project: Path, tmp_path: Path, reach: str) -> None:
    raw = tmp_path / "mine" if reach == "absolute path" else project / "data/raw/mine"
    shutil.copytree(project / "data/demo/Market-1501-v15.09.15", raw)
    for path in list((raw / "bounding_box_train").iterdir())[:3]:
        path.unlink()
    root = str(raw) if reach == "absolute path" else "data/raw/mine"
    if reach == "dvc add":
        dvc(project, "add", root)
        commit(project)
    change = ("--set-param", f"target_root={root}", "--set-param", "target_name=mine")
    output = dvc(project, "exp", "run", "--temp", "--name", reach.replace(" ", "-"), *change, "prepare@target")
    assert stages_run(output) == ["prepare@target"]
    assert "data/raw" not in sh(project, "git", "status", "--porcelain").stdout
