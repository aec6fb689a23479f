"""The pipeline runs: in which order, what runs again for what, and nothing but what is declared is read."""

import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mutual.base.documents import read_yaml
from tests.kill import ended, left_behind, started
from tests.meeting import CLIENT, Bucket, served, waited_for
from tests.tiny_demo import TINY, commit, dvc, set_params, sh, stages_run, tiny_demo

DATA = ["code", "check", "demo/dvc.yaml:synthesize", "prepare@source", "prepare@target", "check_target"]
FIRST = [*DATA, "pretrain@1", "pretrain@2", "direct"]
EACH_ROUND = ["extract", "cluster", "train", "evaluate"]
ONE_ROUND = ("--set-param", "rounds.yaml:~rounds.r02")
ALL = [*FIRST, *(f"{stage}@r0{i}" for i in (1, 2) for stage in EACH_ROUND), "last", "page", "report"]

# what each process of Python imports before anything else where its folder is in PYTHONPATH
SPY = """
import atexit, json, os, sys

opened = set()

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        opened.add(os.path.abspath(os.fsdecode(arguments[0])))

def tell():
    with open(os.path.join(os.environ["SPIED"], f"{os.getpid()}.json"), "w") as file:
        json.dump([" ".join(sys.orig_argv[1:]), sorted(opened)], file)

sys.addaudithook(note)
atexit.register(tell)
"""


def spied(tmp_path: Path) -> dict[str, str]:
    """Variables with which each process of Python tells what it opens."""
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy/sitecustomize.py").write_text(SPY, encoding="utf-8")
    (tmp_path / "spied").mkdir()
    return {"PYTHONPATH": str(tmp_path / "spy"), "SPIED": str(tmp_path / "spied")}


def undeclared(folder: Path, stages: Sequence[str], tmp_path: Path) -> dict[str, list[str]]:
    """What these stages opened of adapted, data, models and metrics and do not name: :func:`spied` had them tell.

    Here or, of an experiment, in a temporary workspace.
    """
    told = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "spied").iterdir()]
    lock, found = read_yaml(folder / "dvc.lock")["stages"], {}
    for name in stages:
        declared = {item["path"] for part in ("deps", "outs") for item in lock[name].get(part, ())}
        (paths,) = [paths for ran, paths in told if f"python {ran}" == lock[name]["cmd"]]
        # what is written beside and renamed has names of its own
        whole = [path for path in paths if not re.search(r"\.(tmp|old|half)(/|$)", path)]
        named = [re.sub(rf"^{re.escape(str(folder))}/(\.dvc/tmp/exps/standalone/[^/]+/)?", "", path) for path in whole]
        ours = [path for path in named if path.startswith(("adapted/", "data/", "models/", "metrics/"))]
        opened = [path for path in ours if not path.endswith("/.gitignore")]  # DVCLive asks git's
        assert opened, name
        if others := [path for path in opened if not declared & {path, *map(str, Path(path).parents)}]:
            found[name] = others
    return found


def settings(values: dict[str, Any]) -> list[str]:
    """As ``dvc exp run`` takes them."""
    return [part for key, value in values.items() for part in ("--set-param", f"{key}={json.dumps(value)}")]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """A clone of the project with a tiny demo and two rounds, reproduced and committed.

    And what DVC printed, and where all processes told what they opened.
    """
    folder, told = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("told")
    tiny_demo(folder, TINY)
    output = dvc(folder, "repro", **spied(told))
    commit(folder)
    return folder, output, told


@pytest.fixture
def reproduced(first_run: tuple[Path, str, Path]) -> Path:
    """The reproduced clone, for tests that change nothing."""
    return first_run[0]


@pytest.fixture
def project(reproduced: Path) -> Iterator[Path]:
    """The reproduced clone; afterwards it is as it was, whatever the test did."""
    yield reproduced
    restore(reproduced)


def restore(folder: Path) -> None:
    """Back to the committed state, artefacts and all."""
    assert sh(folder, "git", "checkout", "--quiet", "--force", "HEAD").returncode == 0
    dvc(folder, "checkout", "--force")


def test_every_round_is_tested_as_soon_as_it_is_trained(first_run: tuple[Path, str, Path]) -> None:
    assert stages_run(first_run[1]) == ALL


def test_stages_open_what_is_declared_and_nothing_else(first_run: tuple[Path, str, Path]) -> None:
    others = {"code", "check", "demo/dvc.yaml:synthesize", "check_target"}  # another dvc.yaml's; no artefact
    assert undeclared(first_run[0], [name for name in ALL if name not in others], first_run[2]) == {}


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


@pytest.mark.parametrize("revs", [(), ("HEAD",)])
def test_the_choices_of_a_round_are_judged_on_what_ran(reproduced: Path, revs: tuple[str, ...]) -> None:
    result = sh(reproduced, sys.executable, "-m", "tools.choice", *revs)
    assert result.returncode == 0, result.stderr
    for choice in ("the last round", "no adaptation", "agreement of peers", "silhouette", "consistency", "stability"):
        assert f"| {choice} | 1 |" in result.stdout


# of those that draw, pack, compute features, cluster, train or test one of each kind
EACH_KIND = [
    "demo/dvc.yaml:synthesize",
    "prepare@source",
    "pretrain@2",
    *(f"{each}@r01" for each in EACH_ROUND),
    "last",
]


@pytest.mark.parametrize(
    "forced",
    [["prepare@source", "train@r01"], pytest.param(EACH_KIND, marks=pytest.mark.long)],
    ids=["two", "each kind"],
)
def test_forced_again_every_byte_is_the_same(project: Path, forced: list[str]) -> None:
    locks = [project / "dvc.lock", project / "demo/dvc.lock"]
    before = [lock.read_bytes() for lock in locks]
    assert stages_run(dvc(project, "repro", "--force", "--single-item", *forced)) == forced
    assert [lock.read_bytes() for lock in locks] == before


def test_a_comment_runs_nothing_and_code_what_uses_it(project: Path) -> None:
    file = project / "mutual/evaluation/ranking.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "\n# a comment\n", encoding="utf-8")
    assert stages_run(dvc(project, "repro")) == ["code"]
    file.write_text(text + "\nUNUSED = 1\n", encoding="utf-8")
    dvc(project, "repro", "code")
    changed = {name for name in dvc(project, "status").split() if re.fullmatch(r"[\w@]+:", name)}
    assert {"direct:", "evaluate@r01:", "evaluate@r02:"} <= changed
    assert not changed & {"prepare@source:", "extract@r01:", "cluster@r01:", "train@r01:"}


@pytest.mark.long
def test_another_method_reruns_training_and_what_follows(project: Path) -> None:
    change = settings({"method": "coteaching", "coteaching.forget_rate": 0.5, "alpha": 0.3})
    output = dvc(project, "exp", "run", *change, *ONE_ROUND, "--name", "faster")
    assert stages_run(output) == ["check", "train@r01", "evaluate@r01", "last", "page", "report"]
    assert "last_mAP" in dvc(project, "metrics", "diff", "--all", "HEAD", "faster")


@pytest.mark.long
def test_another_round_runs_alone(project: Path) -> None:
    output = dvc(project, "exp", "run", "--set-param", "rounds.yaml:+rounds.r03=r02", "evaluate@r03")
    assert stages_run(output) == ["check", *(f"{stage}@r03" for stage in EACH_ROUND)]
    restore(project)
    # a stale result does not survive: the report is that of the rounds named
    assert stages_run(dvc(project, "repro")) == []


def test_a_seed_taken_out_by_hand_leaves_nothing(project: Path) -> None:
    """Nothing but the first stage tells DVC, which keeps what it made."""
    set_params(project, {"seeds": [1]})
    assert "models/r00/peer2.safetensors: " in dvc(project, "repro", "direct")
    assert [path.name for path in (project / "models/r00").iterdir()] == ["peer1.safetensors"]


@pytest.mark.parametrize(
    "change",
    [
        "+learning_rate=1e-3",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("keep_features=lst", "method=mtm")),
    ],
)
def test_what_cannot_be_run_is_no_experiment(project: Path, change: str) -> None:
    before = dvc(project, "exp", "list", "--name-only")
    result = sh(project, sys.executable, "-m", "dvc", "exp", "run", "--set-param", change, "evaluate@r01")
    assert result.returncode
    assert re.search(
        r"(?m)^error: params\.yaml: (learning_rate: unknown|keep_features: expected|method: exp)", result.stderr
    )
    assert "Traceback" not in result.stderr
    assert dvc(project, "exp", "list", "--name-only") == before


def test_the_demo_is_drawn_where_it_is_needed(project: Path, tmp_path: Path) -> None:
    set_params(project, {"demo_seed": 2})
    assert "synthesize" in dvc(project, "repro", "--dry")
    shutil.copytree(project / "data/demo", tmp_path / "real")
    roots = {"source_root": "DukeMTMC-reID", "target_root": "Market-1501-v15.09.15"}
    set_params(project, {key: str(tmp_path / "real" / name) for key, name in roots.items()})
    output = dvc(project, "repro", "--dry")
    assert "prepare@target" in output
    assert "synthesize" not in output


@pytest.mark.long
def test_networks_from_elsewhere_are_noticed_when_they_change(project: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(project / "models/r00", theirs)
    dvc(project, "exp", "run", *settings({"pretrained": str(theirs)}), "pretrain@1", "pretrain@2")
    assert "up to date" in dvc(project, "status", "pretrain@1")
    shutil.copy(theirs / "peer1.safetensors", theirs / "peer2.safetensors")
    assert str(theirs) in dvc(project, "status", "pretrain@1")


@pytest.mark.long
def test_every_option_runs(project: Path, tmp_path: Path) -> None:
    """With one peer, where the workspace has two."""
    clustering = {"clustering": "dbscan", "k1": 6, "k2": 3, "dbscan_min_samples": 2, "dbscan_eps": 0.5}
    clustering["instances"] = 4  # two clusters are enough for a batch: how many there are depends on rounding
    network = {"pooling": "gem", "bn_groups": 2, "dropout": 0.5, "backbone_lr_scale": 0.2, "rerank": True}
    source = {"source_distance_weight": 0.1, "source_weight": 0.5, "dsbn": True, "keep_features": "all"}
    alone = {"seeds": [1], "method": "hard_labels", "iterations": 1}
    change = settings(clustering | network | source | alone)
    ran = stages_run(dvc(project, "exp", "run", "--temp", "--name", "alone", *change, *ONE_ROUND, **spied(tmp_path)))
    again = "check_target", "pretrain@1", *ALL[ALL.index("direct") :]
    assert ran == ["check", *(name for name in again if not name.endswith("@r02"))]
    dvc(project, "exp", "apply", "alone")
    # with these options a stage reads all that it ever reads
    names = ["pretrain@1", "direct", *(f"{stage}@r01" for stage in EACH_ROUND), "last", "page", "report"]
    assert undeclared(project, names, tmp_path) == {}
    # the second peer, which the workspace held, is no part of what was recorded
    assert stages_run(dvc(project, "repro")) == []
    for name in ("r00", "r01"):
        assert [path.name for path in (project / "models" / name).glob("peer*")] == ["peer1.safetensors"]
    result = json.loads((project / "metrics/rounds/r01.json").read_text(encoding="utf-8"))
    assert all(0 < peer["rerank_mAP"] <= 1 for peer in result["peers"].values())
    assert json.loads((project / "data/rounds/r01/clustering.json").read_text(encoding="utf-8"))["eps"] == 0.5


@pytest.mark.parametrize("reach", [pytest.param("absolute path", marks=pytest.mark.long), "dvc add"])
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
    assert stages_run(output) == ["check", "prepare@target"]
    assert "data/raw" not in sh(project, "git", "status", "--porcelain").stdout


def test_a_kill_costs_no_byte(project: Path, tmp_path: Path) -> None:
    """The short form of tests/kill.py: pre-training that is killed comes to what nobody disturbed."""
    set_params(project, {"pretrain_iterations": 30, "checkpoint_seconds": 0.5})
    dvc(project, "repro", "--single-item", "pretrain@1")
    before = read_yaml(project / "dvc.lock")
    shutil.rmtree(project / ".dvc/cache/runs")
    stages = {name: stage for name, stage in before["stages"].items() if name != "pretrain@1"}
    (project / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}), encoding="utf-8")
    kept = project / ".resume/pretrain-1.safetensors"
    output = tmp_path / "output"
    run = started(project, output, "repro", "--single-item", "pretrain@1")
    waited_for(kept.exists, output.read_text)
    os.killpg(run.pid, signal.SIGKILL)
    ended(project, run)
    assert "goes on from iteration" in dvc(project, "repro", "--single-item", "pretrain@1")
    assert read_yaml(project / "dvc.lock") == before
    assert left_behind(project) == []


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """An empty one of S3's."""
    with served("lab") as bucket:
        yield bucket


def elsewhere(project: Path, tmp_path: Path, store: str) -> Path:
    """A clone of the project on another machine, say: they share a repository, and a store for what DVC keeps."""
    there, meeting = tmp_path / "there", tmp_path / "meeting.git"
    assert sh(project, "git", "clone", "--quiet", "--bare", ".", str(meeting)).returncode == 0
    assert sh(tmp_path, "git", "clone", "--quiet", str(meeting), str(there)).returncode == 0
    for folder in (project, there):
        dvc(folder, "remote", "add", "--local", "--force", "--default", "store", store)
    return there


def test_machines_meet_in_a_folder(project: Path, tmp_path: Path) -> None:
    there = elsewhere(project, tmp_path, str(tmp_path / "store"))
    dvc(project, "push")
    dvc(there, "pull")
    assert stages_run(dvc(there, "repro")) == []


@pytest.mark.long
def test_machines_meet_in_a_bucket(project: Path, tmp_path: Path, bucket: Bucket) -> None:
    """A push that was killed and begun again; on another machine all is up to date; an experiment comes back."""
    there = elsewhere(project, tmp_path, "s3://lab/mmt")
    assert sh(project, "git", "remote", "add", "origin", str(tmp_path / "meeting.git")).returncode == 0
    for folder in (project, there):
        dvc(folder, "remote", "modify", "--local", "store", "endpointurl", bucket.server)
    output = tmp_path / "output"
    run = started(project, output, "push", "--jobs", "1", **CLIENT)
    waited_for(lambda: len(bucket.keys()) > 2, output.read_text)
    os.killpg(run.pid, signal.SIGKILL)
    ended(project, run)
    first = bucket.keys()
    dvc(project, "push", **CLIENT)
    keys = bucket.keys()
    assert len(first) < len(keys)
    for key in keys:
        assert hashlib.md5(bucket.read(key)).hexdigest() == "".join(key.split("/")[-2:]).removesuffix(".dir"), key
    dvc(there, "pull", **CLIENT)
    assert stages_run(dvc(there, "repro")) == []
    dvc(
        there, "exp", "run", "--name", "elsewhere", *settings({"test_labels": "none", "keep_features": "all"}), "direct"
    )
    dvc(there, "exp", "push", "origin", "elsewhere", **CLIENT)
    dvc(project, "exp", "pull", "origin", "elsewhere", **CLIENT)
    dvc(project, "exp", "apply", "elsewhere")
    assert stages_run(dvc(project, "repro", "direct")) == []
