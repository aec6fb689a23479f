"""What processes are asked to do in tests: here, since a worker imports what it does, and PyTorch takes it seconds."""

import os
import signal
import time
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.threads import NUMBERS


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


def numbers(task: int) -> list[str | None]:
    return [os.environ.get(name) for name in NUMBERS]


def end_at_once(started: object) -> None:
    os._exit(1)
