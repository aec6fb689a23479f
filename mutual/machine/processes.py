"""Tasks spread over processes: the results come in the tasks' order, however many processes there are."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
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
    ``what`` when no process can be started, and when one was killed.
    """
    if workers <= 1:
        yield from map(do, tasks)
        return
    # spawn is the one way to start a process that every system has and that is safe beside threads
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupt)
    try:
        first, futures = _submit(pool, do, tasks, what)
        _await_start(first, what)
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise InputError(f"{what}: a process was killed: out of memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, do: Callable[[Task], Result], tasks: Sequence[Task], what: str
) -> tuple[Future[int], list[Future[Result]]]:
    """A call of no consequence, done before all others, and the tasks'."""
    try:
        return pool.submit(os.getpid), [pool.submit(do, task) for task in tasks]
    except OSError as error:
        raise InputError(f"{what}: no worker process can be started: {error.strerror}") from None


def _await_start(first: Future[int], what: str) -> None:
    """A process that ends before the first call is done has not run out of memory over a task."""
    try:
        first.result()
    except BrokenProcessPool:
        raise InputError(f"{what}: a worker process ended as it started: its own lines above say why") from None


def _ignore_interrupt() -> None:
    """Ctrl-C reaches every process of the terminal; the parent alone answers, the workers end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
