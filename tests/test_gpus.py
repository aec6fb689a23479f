"""Processes of a queue share out pretended GPUs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mutual.machine import gpus
from mutual.machine.gpus import VISIBLE, in_queue, settle_gpu

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind")
WORKER = """
import sys
from mutual.machine.gpus import settle_gpu
settle_gpu(int(sys.argv[1]))
import os
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def worker(folder: Path, count: int, visible: str | None = None) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if key != VISIBLE} | {"TMPDIR": str(folder)}
    if visible is not None:
        environment[VISIBLE] = visible
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKER, str(count)]
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        process.communicate("")


def test_none_has_anothers_and_the_next_gets_what_a_killed_one_had(tmp_path: Path) -> None:
    first, second = worker(tmp_path, 2), worker(tmp_path, 2)
    assert {line(first), line(second)} == {"GPU 0 of 0, 1", "GPU 1 of 0, 1"}
    had = {first: line(first), second: line(second)}
    assert set(had.values()) == {"0", "1"}
    third = worker(tmp_path, 2)
    assert line(third) == "waits for one of 2 GPUs: all are taken"
    os.kill(second.pid, signal.SIGKILL)
    assert line(third) == f"GPU {had[second]} of 0, 1"
    end(first, second, third)


def test_those_that_the_user_left_visible_are_shared_out(tmp_path: Path) -> None:
    workers = [worker(tmp_path, 2, "3,GPU-5a/1") for _ in range(2)]
    assert {(line(each), line(each))[1] for each in workers} == {"3", "GPU-5a/1"}
    end(*workers)


def test_one_gpu_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(gpus, "take", lambda devices, folder: pytest.fail("taken"))
    settle_gpu(1)
    settle_gpu(0)
    assert VISIBLE not in os.environ


def test_a_queue_is_known_by_its_workspace() -> None:
    assert in_queue(Path("/home/me/project/.dvc/tmp/exps/abc"))
    assert not in_queue(Path("/home/me/project"))
