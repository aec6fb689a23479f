"""Tasks spread over processes: the results come in the tasks' order, however many processes there are."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from mutual.base.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")


def cpus() -> int:
    """How many processors this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, 61)  # Windows cannot wait for more processes


def in_order(do: Callable[[Task], Result], tasks: Sequence[Task], workers: int, what: str) -> Iterator[Result]:
    """Yield ``do(task)`` for each task; with one worker or none, in this process.

    The first task in order that fails raises its error, whichever process is faster. Raises :class:`InputError` naming
    ``what`` when a process was killed.
    """
    if workers <= 1:
        yield from map(do, tasks)
        return
    # spawn is the one way to start a process that every system has and that is safe beside threads
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupt)
    try:
        for future in [pool.submit(do, task) for task in tasks]:
            yield future.result()
    except BrokenProcessPool:
        raise InputError(f"{what}: a process was killed: out of memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches every process of the terminal; the parent alone answers, the workers end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
