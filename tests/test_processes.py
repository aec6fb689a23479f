"""Tasks in processes: the same results in the same order, and a clear word when one dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from mutual.base.errors import InputError
from mutual.base.threads import MANY
from mutual.machine import jobs
from mutual.machine.processes import cpus, in_order
from tests.tasks import begin, die, refuse, slow_first


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


GUARDED = """
import gc, os, time
from mutual.machine.processes import in_order


def who(task):
    time.sleep(0.5)
    return os.getppid(), os.environ["OMP_NUM_THREADS"], gc.get_threshold()[0]


if __name__ == "__main__":
    print(os.getpid(), *next(in_order(who, [1, 2], 2, "photographs")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copies on Linux alone")
@pytest.mark.parametrize("length", [1, 100])
def test_processes_are_copies_where_a_socket_can_have_its_name(tmp_path: Path, length: int) -> None:
    script = tmp_path / "guarded.py"
    script.write_text(GUARDED)
    with TemporaryDirectory(dir="/tmp") as top:  # pytest's own folders have names of any length
        room = Path(top, "x" * length)
        room.mkdir()
        result = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(room)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not result.stderr
        assert list(room.iterdir()) == []
    stage, parent, number, made = result.stdout.split()
    assert (stage != parent) == (length == 1)
    assert number == "1"
    assert (int(made) == MANY) == (length == 1)  # what they are copies of was settled before its libraries loaded


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


# DVC in its place: it runs a command by a shell, tells the stage's name in the environment, and waits
DVC = """
import os, subprocess, sys
environment = os.environ | {"DVC_STAGE": "tasks"}
child = subprocess.Popen([*sys.argv[1].split(), " ".join(sys.argv[2:])], env=environment)
print(child.pid, flush=True)
child.wait()
"""
SHELLS = ["bash -c", "dash -c"]  # the first becomes the command, the second waits for it


def run_by_dvc(shell: str, *command: object) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    line = [sys.executable, "-c", DVC, shell, sys.executable, *map(str, command)]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize(("killed", "shell"), [*(("whoever runs it", each) for each in SHELLS), ("it", SHELLS[0])])
def test_no_process_outlives_whoever_started_it(tmp_path: Path, killed: str, shell: str) -> None:
    script, pids = tmp_path / "stage.py", tmp_path / "pids"
    script.write_text(STAGE_WITH_WORKERS)
    pids.mkdir()
    with run_by_dvc(shell, script, pids) as dvc:
        assert dvc.stdout is not None
        stage = int(dvc.stdout.readline())
        waited(lambda: len(list(pids.iterdir())) == 3)
        assert (stage in {int(path.name) for path in pids.iterdir()}) == (shell == SHELLS[0])
        os.kill(dvc.pid if killed == "whoever runs it" else stage, signal.SIGKILL)
    # nor what starts the workers, nor what clears up after them
    waited(lambda: not alive_in(dvc.pid))


SLOW_STAGE = """
import os, sys, time
from pathlib import Path

import stages
from mutual.base.errors import Stopped, run
from mutual.base.stopping import stop_asked


def main():
    here = Path(sys.argv[1])
    with stop_asked() as stop:
        (here / "pid").write_text(str(os.getpid()))
        while True:
            for _ in range(150):  # an iteration, which nobody cuts short
                time.sleep(0.01)
            if stop.by is not None:
                for _ in range(100):  # nor what keeps it
                    time.sleep(0.01)
                (here / "kept").write_text(stop.by.name)
                raise Stopped("stopped", stop.by)


if __name__ == "__main__":
    run(main)
"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("killed", ["dvc alone", "all"])
def test_a_stage_that_is_stopped_keeps_what_it_has(tmp_path: Path, shell: str, killed: str) -> None:
    """All are told once by a scheduler, and the stage again when it sees that dvc has gone."""
    script = tmp_path / "stage.py"
    script.write_text(SLOW_STAGE)
    with run_by_dvc(shell, script, tmp_path) as dvc:
        waited((tmp_path / "pid").exists)
        time.sleep(0.2)
        if killed == "all":
            os.killpg(dvc.pid, signal.SIGTERM)
        else:
            os.kill(dvc.pid, signal.SIGKILL)
    waited(lambda: not alive(int((tmp_path / "pid").read_text())))
    assert (tmp_path / "kept").read_text() == "SIGTERM"


def waited(reached: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends, "it did not come to it"
        time.sleep(0.05)


def alive_in(session: int) -> list[int]:
    """The processes of a session that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


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
