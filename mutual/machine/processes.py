"""Tasks spread over processes: the results come in the tasks' order, however many processes there are."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import TypeVar

from mutual.base.errors import InputError
from mutual.base.threads import one_thread_each, threads

Task = TypeVar("Task")
Result = TypeVar("Result")

SETTLED = "mutual.machine.preloaded"
WITHOUT = "OMP_NUM_THREADS=1 does without"


def cpus() -> int:
    """How many processes work at a time: as many as there may be threads."""
    return min(threads(), 61)  # Windows cannot wait for more processes


def in_order(
    do: Callable[[Task], Result], tasks: Sequence[Task], workers: int, what: str, ahead: int | None = None
) -> Iterator[Result]:
    """Yield ``do(task)`` for each task; with one worker or none, in this process.

    At most ``ahead`` tasks are begun before their results are asked for, all when None: large results would otherwise
    pile up where they are used more slowly than they are made.

    The first task in order that fails raises its error, whichever process is faster. Raises :class:`InputError` naming
    ``what`` when a process cannot start or is killed.
    """
    if workers <= 1:
        yield from map(do, tasks)
        return
    context = _context(do)
    try:
        started = context.Event()
        pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(started,))
    except OSError as error:  # locks are files in shared memory
        raise _no_start(what, error.strerror, "is there room in /dev/shm?") from None
    try:
        remaining = iter(tasks)
        waiting = deque(_submitted(pool, do, islice(remaining, ahead), what))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(_submitted(pool, do, islice(remaining, 1), what))
            yield result
    except BrokenProcessPool:
        if not started.is_set():
            raise _no_start(what, "it ended before its first task") from None
        raise InputError(f"{what}: a process was killed: out of memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(
    pool: ProcessPoolExecutor, do: Callable[[Task], Result], tasks: Iterable[Task], what: str
) -> list[Future[Result]]:
    """Hand over these tasks; it is then that the processes start."""
    try:
        with one_thread_each():
            return [pool.submit(do, task) for task in tasks]
    except OSError as error:
        raise _no_start(what, error.strerror) from None
    except EOFError:
        raise _no_start(what, "what starts it was killed: out of memory?") from None


def _context(do: Callable[[Task], Result]) -> BaseContext:
    """How processes start: safe beside threads, and on Linux in an instant.

    There they are copies of a process that has imported what ``do`` needs, once: PyTorch alone takes seconds. Elsewhere
    such copies are not safe, and each imports it for itself; so it does where the folder for temporary files takes no
    socket, by which that process is asked, or has too long a name for one.
    """
    if sys.platform == "linux":
        from multiprocessing import forkserver  # not everywhere to be had

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([SETTLED, do.__module__])
        with suppress(OSError), one_thread_each():
            forkserver.ensure_running()
            return context
    return multiprocessing.get_context("spawn")


def _no_start(what: str, *reasons: str | None) -> InputError:
    return InputError(": ".join([f"{what}: a process for it cannot start", *filter(None, reasons), WITHOUT]))


def _start(started: Event) -> None:
    """In a worker: Ctrl-C reaches every process of the terminal; the parent alone answers, the workers end with it.

    So they do when it is killed: a worker would wait for its next task for ever, since it holds both ends of the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="end with parent", daemon=True).start()
    started.set()


def _end_after(parent: BaseProcess) -> None:
    """Wait for the parent's end, then end this process, whatever it is at."""
    parent.join()
    os._exit(1)
