"""Work that is asked to stop, by Ctrl-C or by a scheduler, ends where what was done can be kept.

Nor does it outlive whoever ran it: what nobody waits for would take the place of the next run.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 3.0  # seconds within which signals are one
STAGE = "DVC_STAGE"  # what DVC sets where it runs a stage
LOOK = 0.5  # seconds between two looks at who started this process
WATCH = "end with parent"


class Stop:
    """``by`` is the signal that asked, and None before; it came at ``at``, in seconds of the monotonic clock."""

    by: signal.Signals | None = None
    at: float = 0.0

    def ask(self, by: int) -> None:
        """Take note of the signal, unless another came before."""
        if self.by is None:
            self.by, self.at = signal.Signals(by), time.monotonic()


@contextmanager
def stop_asked() -> Iterator[Stop]:
    """Take note of the first signal that asks to stop; one some seconds later ends the process at once.

    In the main thread. Between the two, others may say the same again: whoever started the process, and
    :func:`end_with_parent` when that is gone. A signal that was ignored before, as Ctrl-C is of what runs in the
    background, stays ignored.
    """
    stop = Stop()

    def note(number: int, _: FrameType | None) -> None:
        if stop.by is not None and time.monotonic() - stop.at > AGAIN:
            raise KeyboardInterrupt
        stop.ask(number)

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
    """From now on, send this process SIGTERM, once, when DVC or what it started in between is gone, killed it may be.

    Where the system tells what started it: not on Windows.
    """
    if any(thread.name == WATCH for thread in threading.enumerate()):
        return
    parents = ancestors()

    def watch() -> None:
        while ancestors(len(parents)) == parents:
            time.sleep(LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name=WATCH, daemon=True).start()


def ancestors(most: int | None = None) -> list[int]:
    """The numbers of the processes above this one, up to DVC; where there is no /proc, of the nearest alone.

    Shells that wait for their command stand between: they have the name of the stage in their environment, DVC does
    not.
    """
    found = [os.getppid()]
    while len(found) != most:
        try:
            place = Path(f"/proc/{found[-1]}")
            if most is None and f"\0{STAGE}=".encode() not in b"\0" + (place / "environ").read_bytes():
                break
            found.append(int((place / "stat").read_text().rpartition(")")[2].split()[1]))
        except (OSError, ValueError):
            break
    return found
