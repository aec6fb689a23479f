"""Work that is asked to stop, by Ctrl-C or by a scheduler, ends where what was done can be kept.

Nor does it outlive whoever ran it: what nobody waits for would take the place of the next run.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK = 0.5  # seconds between two looks at who started this process


class Stop:
    """``by`` is the signal that asked, and None before."""

    by: signal.Signals | None = None


@contextmanager
def stop_asked() -> Iterator[Stop]:
    """Take note of the first signal that asks to stop; a second one ends the process at once. In the main thread.

    A signal that was ignored before, as Ctrl-C is of what runs in the background, stays ignored.
    """
    stop = Stop()

    def note(number: int, _: FrameType | None) -> None:
        if stop.by is not None:
            raise KeyboardInterrupt
        stop.by = signal.Signals(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    try:
        for number in heeded:
            signal.signal(number, note)
        yield stop
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """From now on, send this process SIGTERM when the process that started it is gone, killed it may be."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
