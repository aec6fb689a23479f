"""Tasks in processes: the same results in the same order, and a clear word when one dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from mutual.base.errors import InputError
from mutual.machine import jobs
from mutual.machine.processes import cpus, in_order


def slow_first(task: int) -> tuple[int, int]:
    time.sleep(0.5 if task == 0 else 0)
    return task, os.getpid()


def refuse(task: int) -> None:
    time.sleep(0.5 if task == 1 else 0)
    if task:
        raise InputError(f"task {task}")


def begin(task: str) -> str:
    Path(task).touch()
    return task


def die(task: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    found = list(in_order(slow_first, range(4), workers, "tasks"))
    assert [task for task, _ in found] == [0, 1, 2, 3]
    assert ({pid for _, pid in found} == {os.getpid()}) == (workers < 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_task_at_fault_is_named_whichever_fails_first(workers: int) -> None:
    with pytest.raises(InputError, match=r"^task 1$"):
        list(in_order(refuse, range(4), workers, "tasks"))


def test_a_killed_process_is_reported() -> None:
    with pytest.raises(InputError, match=r"^photographs: a process was killed: out of memory"):
        list(in_order(die, [1], 2, "photographs"))


def test_a_process_that_cannot_start_is_not_called_short_of_memory(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"  # what Python refuses to import in a worker
    script.write_text("from mutual.machine.processes import in_order\nlist(in_order(abs, [1], 2, 'photographs'))\n")
    result = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "photographs: a process for it cannot start" in result.stderr
    assert "out of memory" not in result.stderr


def test_there_is_a_processor() -> None:
    assert 1 <= cpus() <= 61


def test_no_more_tasks_are_begun_ahead_than_asked_for(tmp_path: Path) -> None:
    """What is used slowly does not pile up."""
    found = in_order(begin, [str(tmp_path / str(task)) for task in range(8)], 2, "tasks", ahead=3)
    for asked in range(1, 9):
        assert next(found).endswith(str(asked - 1))
        time.sleep(0.05)
        assert len(list(tmp_path.iterdir())) <= asked + 3
    assert list(found) == []


@pytest.mark.parametrize(
    ("processors", "count", "workers"), [(1, 3, 1), (2, 1, 1), (2, 2, 2), (2, 3, 3), (2, 4, 4), (2, 5, 2), (16, 30, 30)]
)
def test_jobs_begin_all_at_once_where_two_share_a_processor_at_most(
    monkeypatch: pytest.MonkeyPatch, processors: int, count: int, workers: int
) -> None:
    asked = []

    def in_turn(do: Callable[[int], int], tasks: Sequence[int], workers: int, what: str) -> Iterator[int]:
        asked.append(workers)
        return map(do, tasks)

    monkeypatch.setattr(jobs, "cpus", lambda: processors)
    monkeypatch.setattr(jobs, "in_order", in_turn)
    assert jobs.all_done(abs, range(-count, 0), "one", torch.device("cpu")) == list(range(count, 0, -1))
    assert jobs.all_done(abs, [-1], "one", torch.device("cuda")) == [1]
    assert asked == [workers, 1]


STAGE_WITH_WORKERS = """
import os, sys, time
from functools import partial
from pathlib import Path

from mutual.base.errors import run
from mutual.machine.processes import in_order


def wait(task, folder):
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def main():
    here = Path(sys.argv[1])
    (here / str(os.getpid())).touch()
    list(in_order(partial(wait, folder=here), [1, 2], 2, "tasks"))


if __name__ == "__main__":
    run(main)
"""


@pytest.mark.parametrize("killed", ["whoever runs it", "it"])
def test_no_process_outlives_whoever_started_it(tmp_path: Path, killed: str) -> None:
    script, pids = tmp_path / "stage.py", tmp_path / "pids"
    script.write_text(STAGE_WITH_WORKERS)
    pids.mkdir()
    # DVC in its place: it runs the stage, tells its name in the environment, and waits
    dvc = "import subprocess, sys; child = subprocess.Popen(sys.argv[1:]); print(child.pid, flush=True); child.wait()"
    environment = os.environ | {"DVC_STAGE": "tasks", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", dvc, sys.executable, str(script), str(pids)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        stage = int(parent.stdout.readline())
        waited(lambda: len(list(pids.iterdir())) == 3)
        os.kill(parent.pid if killed == "whoever runs it" else stage, signal.SIGKILL)
    waited(lambda: not any(alive(int(path.name)) for path in pids.iterdir()))


def waited(reached: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends, "it did not come to it"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended, and whose end nobody asked for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_no_dvc_runs_outlives_its_shell(tmp_path: Path) -> None:
    script, pids = tmp_path / "stage.py", tmp_path / "pids"
    script.write_text(STAGE_WITH_WORKERS)
    pids.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    shell = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    command = [sys.executable, "-c", shell, sys.executable, str(script), str(pids)]
    stage = int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    try:
        waited(lambda: len(list(pids.iterdir())) == 3)
        time.sleep(2)
        assert all(alive(int(path.name)) for path in pids.iterdir())
    finally:
        os.kill(stage, signal.SIGKILL)
    waited(lambda: not any(alive(int(path.name)) for path in pids.iterdir()))
