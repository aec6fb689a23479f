"""The ablation: its settings are valid, each row is what its name says, and the queue is waited for."""

import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mutual.base.documents import parse_yaml, read_yaml
from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, Params, by_view, unfolded
from mutual.experiments.comparison import method
from tests.meeting import sbatch, waited_for
from tests.tiny_demo import sh
from tools import ablation

TOP = Path(__file__).parent.parent
FILE = Path("experiments/ablation.yaml")
PLANNED = ablation.experiments(FILE, (TOP / FILE).read_text(encoding="utf-8"))
METHODS = {
    "mmt": "MMT",
    "faiss-k-means": "MMT",
    "no-soft-triplet": "MMT without soft triplet",
    "only-soft-losses": "MMT with soft losses only",
    "no-hard-ce": "MMT without hard CE",
    "no-soft-ce": "MMT without soft CE",
    "no-second-network": "MMT without the second network",
    "no-mean-teachers": "MMT without mean teachers",
    "two-networks-hard-labels": "two networks, hard labels",
    "one-network-hard-labels": "one network, hard labels",
}

STATUS = """\
Task     Name               Created       Status
2c578f1  mmt-13             Nov 20, 2026  Queued
8ca71cf  mmt-11             04:19 AM      Running
0edecb1  no-soft-ce-11      04:19 AM      Failed
c22d46f  no-soft-triplet-11 04:19 AM      Success

Worker status: 1 active, 0 idle
"""


def params(settings: list[str]) -> dict[str, Any]:
    """params.yaml with the settings, as DVC reads them."""
    values = unfolded(read_yaml(TOP / PARAMS_FILE))
    changed = values | {key: parse_yaml(value) for key, value in (setting.split("=") for setting in settings)}
    Params.model_validate(by_view(changed))
    return changed


def test_every_row_with_every_pair_of_seeds() -> None:
    assert list(PLANNED) == [f"{row}-{first}" for first in (11, 13, 15) for row in METHODS]
    assert PLANNED["mmt-13"] == ["seeds=[13,14]", "seed=13"]
    assert PLANNED["no-second-network-15"] == ["seeds=[15]", "seed=15"]


@pytest.mark.parametrize("name", PLANNED)
def test_a_row_is_the_method_of_its_name(name: str) -> None:
    row, _, first = name.rpartition("-")
    found = params(PLANNED[name])
    assert method(found) == METHODS[row]
    assert found["seed"] == found["seeds"][0] == int(first)
    assert found["seeds"][1:] in ([], [int(first) + 1])


def test_the_runs_that_go_too_far_are_valid_and_cluster_from_one_seed() -> None:
    path = TOP / "experiments/too-far.yaml"
    planned = ablation.experiments(path, path.read_text(encoding="utf-8"))
    assert len(planned) == 12
    assert {params(settings)["seed"] for settings in planned.values()} == {1}
    assert planned["hard-30-23"] == ["seeds=[23,24]", "seed=1", "method=hard_labels", "clusters=30"]


def test_braces_of_other_settings_stay() -> None:
    text = 'seeds: [[1, 2]]\nrows: {a: ["pretrained=peer{seed}.safetensors", "seeds=[{second}]"]}'
    assert ablation.experiments(FILE, text) == {"a-1": ["seeds=[2]", "seed=1", "pretrained=peer{seed}.safetensors"]}


@pytest.mark.parametrize(
    "text",
    ["", "rows: {a: []}", "seeds: [[1]]\nrows: {}", "seeds: [[1, 2]]\nrows: {a: [alpha]}", "seeds: [", "- 1"],
)
def test_a_faulty_file_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^experiments/ablation\.yaml: expected `seeds`, [^\n]+$"):
        ablation.experiments(FILE, text)


class Queue:
    """Stands in for DVC: what was asked, and a queue in which every look finds the next experiment through."""

    def __init__(self, done: list[str], failing: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.done, self.failing = done, failing
        self.queued: list[str] = []
        self.started = 0

    def __call__(self, *arguments: str) -> str:
        self.asked.append(arguments)
        if arguments[:2] == ("exp", "list"):
            return "\n".join(self.done)
        if arguments[:2] == ("exp", "run"):
            self.queued.append(arguments[arguments.index("--name") + 1])
        if arguments[:2] == ("queue", "status"):
            return self.status()
        return ""

    def status(self) -> str:
        if self.started and self.queued:
            name = self.queued.pop(0)
            self.done += [name] if name not in self.failing else []
        lines = [f"1234567  {name}  04:19 AM  Queued" for name in self.queued]
        return "\n".join([*lines, "", "Worker status: 1 active, 0 idle"])

    def start(self, jobs: int) -> None:
        self.started += jobs


Tables = list[list[str]]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """A project with two rows and one pair; the experiments of each table that is made of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ablation"])
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/ablation.yaml").write_text("seeds: [[11, 12]]\nrows: {mmt: [], no-mean: [alpha=0]}\n")
    made: Tables = []
    shown = [{"revs": [{"name": name}], "executor": None} for name in ("mmt-11", "no-mean-11", "stranger")]
    monkeypatch.setattr(ablation, "exp_show", lambda: [{"rev": "a", "experiments": shown}])
    monkeypatch.setattr(ablation, "usable", lambda states: states)
    monkeypatch.setattr(ablation, "write_tables", lambda states: made.append([state["name"] for state in states]))
    monkeypatch.setattr(ablation, "POLL_SECONDS", 0)
    return made


def use(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "dvc", queue)
    monkeypatch.setattr(ablation, "start_queue", queue.start)
    ablation.main()


def test_rows_are_queued_run_and_tabulated(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(done=["stranger"])
    use(queue, monkeypatch)
    assert [asked[3:] for asked in queue.asked if asked[:2] == ("exp", "run")] == [
        ("--name", "mmt-11", "-S", "seeds=[11,12]", "-S", "seed=11"),
        ("--name", "no-mean-11", "-S", "seeds=[11,12]", "-S", "seed=11", "-S", "alpha=0"),
    ]
    assert queue.started == 1
    assert tables == [["mmt-11", "no-mean-11"]]


def test_what_is_there_is_not_run_again(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(done=["mmt-11", "no-mean-11"])
    use(queue, monkeypatch)
    assert not any(asked[:2] == ("exp", "run") for asked in queue.asked)
    assert queue.started == 0
    assert len(tables) == 1


def test_what_is_queued_is_not_queued_twice(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(done=["mmt-11"])
    queue.queued = ["no-mean-11"]
    use(queue, monkeypatch)
    assert not any(asked[:2] == ("exp", "run") for asked in queue.asked)
    assert queue.done == ["mmt-11", "no-mean-11"]


@pytest.mark.parametrize(("workers", "queued"), [(1, []), (0, ["no-mean-11"])])
def test_what_was_killed_while_it_ran_is_queued_again(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, workers: int, queued: list[str]
) -> None:
    queue = Queue(done=["mmt-11"])
    running = f"1234567  no-mean-11  04:19 AM  Running\n\nWorker status: {workers} active, 0 idle\n"
    monkeypatch.setattr(queue, "status", lambda: running)
    monkeypatch.setattr(ablation, "wait_for", lambda names: queue.done.append("no-mean-11"))
    use(queue, monkeypatch)
    assert queue.queued == queued
    assert len(tables) == 1


def test_failed_ones_are_named_below_the_table(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^not finished: no-mean-11: see dvc queue logs no-mean-11$"):
        use(Queue(done=[], failing=("no-mean-11",)), monkeypatch)
    assert len(tables) == 1


def test_without_any_result_there_is_no_table(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^not finished: mmt-11, no-mean-11: see dvc queue logs mmt-11$"):
        use(Queue(done=[], failing=("mmt-11", "no-mean-11")), monkeypatch)
    assert tables == []


def test_the_queue_as_dvc_prints_it() -> None:
    assert ablation.in_queue(STATUS, "Queued", "Running") == {"mmt-11", "mmt-13"}
    assert ablation.in_queue(STATUS, "Failed") == {"no-soft-ce-11"}
    assert ablation.has_worker(STATUS)
    empty = "No experiment tasks in the queue.\n\nWorker status: 0 active, 0 idle\n"
    assert ablation.in_queue(empty, "Queued", "Running") == set()
    assert not ablation.has_worker(empty)


def test_a_queue_without_workers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "POLL_SECONDS", 0)
    monkeypatch.setattr(ablation, "dvc", lambda *_: STATUS.replace("1 active", "0 active"))
    ablation.wait_for(["mmt-11", "mmt-13", "no-soft-ce-11"])
    assert capsys.readouterr().out == "1 of 3 are through, running: mmt-11\n"


def test_another_file_may_be_named(tables: Tables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "experiments/own.yaml").write_text("seeds: [[5, 6]]\nrows: {own: [alpha=0]}\n")
    monkeypatch.setattr("sys.argv", ["ablation", "experiments/own.yaml"])
    queue = Queue(done=[])
    use(queue, monkeypatch)
    assert queue.done == ["own-5"]
    (tmp_path / "experiments/own.yaml").write_text("seeds: 1")
    with pytest.raises(InputError, match=r"^experiments/own\.yaml: expected `seeds`"):
        ablation.main()


# --- a scheduler's array ---------------------------------------------------------------------------------------------

# What stands for dvc: the first run of an experiment works until it is interrupted, the second comes to its end
DVC = """#!/bin/sh
echo "$PWD: dvc $*" >&2
case "$1 $2" in
"cache dir") echo "$PWD/.dvc/cache" ;;
"exp list") cat "$LISTED" ;;
"exp run") if [ ! -e .git/began ]; then
    trap 'echo interrupted; exit 130' INT
    touch .git/began
    while :; do sleep 0.1; done
fi ;;
"exp push") for name; do :; done; echo "$name" >>"$LISTED" ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[Path, Path]:
    """A project under git, and a folder of stand-ins."""
    top, tools = tmp_path / "project", tmp_path / "tools"
    tools.mkdir()
    (top / "experiments").mkdir(parents=True)
    shutil.copy(TOP / FILE, top / FILE)
    (tmp_path / "listed").touch()
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "state")):
        assert sh(top, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", *command).returncode == 0
    (tools / "dvc").write_text(DVC, encoding="utf-8")
    (tools / "dvc").chmod(0o755)
    return top, tools


def test_a_task_that_is_preempted_is_queued_again_and_leaves_an_experiment(cluster: tuple[Path, Path]) -> None:
    """The short form of tests/slurm_run.py."""
    (top, tools), listed = cluster, cluster[0].with_name("listed")
    task, told = top.with_name("project.tasks") / "6", (tools / "output").read_text
    start = partial(
        sbatch, top, tools, 6, str(TOP / "experiments/slurm.sh"), str(FILE), PYTHONPATH=str(TOP), LISTED=str(listed)
    )
    name, *settings = ablation.numbered(FILE, PLANNED, 6)
    run = start()
    waited_for((task / ".git/began").exists, told)
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 0, told()
    assert "interrupted" in told()
    assert (tools / "asked").read_text(encoding="utf-8") == "requeue 4717\n"
    assert start().wait(60) == 0, told()
    assert f"{task}: dvc exp run --name {name} {' '.join(f'-S {each}' for each in settings)}\n" in told()
    assert f"{task}: dvc config --local cache.dir {top}/.dvc/cache\n" in told()
    assert not task.exists()
    assert listed.read_text(encoding="utf-8") == f"{name}\n"
    assert start().wait(60) == 0, told()
    assert f"{name}: the project has it" in told()


def test_a_task_beyond_the_file_ends_in_a_line(cluster: tuple[Path, Path]) -> None:
    top, tools = cluster
    run = sbatch(top, tools, 99, str(TOP / "experiments/slurm.sh"), str(FILE), PYTHONPATH=str(TOP))
    assert run.wait(60) == 1
    assert (tools / "output").read_text() == f"error: {FILE}: it has experiments 1 to 30, not 99\n"
