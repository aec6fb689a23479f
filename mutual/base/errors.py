"""A user's mistake ends a stage with one line on stderr and exit code 1, never with a traceback."""

import errno
import os
import reprlib
import sys
import time
from collections.abc import Callable

from mutual.base.launched import rank
from mutual.base.stopping import STAGE, end_with_parent

LINE = 200  # characters of the longest line that a user is given to read
ECHO = 60  # characters of the longest value that is shown within it
LET_FIRST = 3  # seconds in which a launcher ends the other processes, once one has failed
NOT_DETERMINISTIC = " does not have a deterministic implementation"


class InputError(Exception):
    """Something the user gave is wrong. The message is one line naming the thing and what was expected."""


class Stopped(Exception):  # noqa: N818 - no error
    """A signal asked to stop, and what was done is kept. The message is one line that says how it goes on."""

    def __init__(self, text: str, by: int) -> None:
        super().__init__(text)
        self.code = 128 + by  # as shells have it


def run(main: Callable[[], str | None]) -> None:
    """Call a stage's or tool's ``main``; what it returns is what it made, and is printed with the time that it took.

    An :class:`InputError`, a full disk and the like are printed as one line, and the exit code is 1; where a signal
    asked to stop it is 128 and the signal's number. What DVC runs ends with DVC. Of processes that share one work the
    first speaks, and another of what it alone met.
    """
    started = time.monotonic()
    if rank() > 0:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if STAGE in os.environ:
        end_with_parent()
    try:
        if made := main():
            print(f"made {made} in {duration(time.monotonic() - started)}")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read, as `head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (InputError, OSError, RuntimeError, MemoryError) as error:
        text = _told(error)
        if text is None:
            raise
        if rank() > 0:
            time.sleep(LET_FIRST)
        sys.exit(one_line(f"error: {text}"))
    except Stopped as stopped:
        if rank() == 0:
            print(one_line(str(stopped)), file=sys.stderr)
        sys.exit(stopped.code)
    except KeyboardInterrupt:
        sys.exit(130)


def duration(seconds: float) -> str:
    """0.8 s, 43 s, 12 min 5 s, 3 h 7 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {whole} s" if minutes else f"{whole} s"
    return f"{minutes // 60} h {minutes % 60} min"


def one_line(text: str, most: int = LINE) -> str:
    """``text`` on one line of at most ``most`` characters; of a longer one the middle is left out.

    The start names the thing, the end says what was found. What a terminal would not print, or obey, is escaped.
    """
    line = " ".join(text.split())
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
    tail = most // 3
    return line if len(line) <= most else f"{line[: most - tail - 3]}...{line[len(line) - tail :]}"


def shown(value: object) -> str:
    """A value as Python writes it, in at most 60 characters, however long, deep or odd it is."""
    writer = reprlib.Repr()
    writer.maxstring = writer.maxlong = writer.maxother = ECHO
    writer.maxlevel = 3
    try:
        return one_line(writer.repr(value), ECHO)
    except ValueError:  # an int of thousands of digits, which Python does not write
        return f"<{type(value).__name__}>"


def _told(error: Exception) -> str | None:
    """What to tell of an error; None where it is a bug, whose traceback is wanted."""
    match error:
        case InputError():
            return str(error)
        case OSError():
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = error.strerror or str(error)
            return f"{error.filename or 'a file'}: {'cannot be written: ' if full else ''}{reason}"
        case RuntimeError() if NOT_DETERMINISTIC in str(error):  # of torch, for some operations of some backbones
            operation = str(error).split(NOT_DETERMINISTIC)[0]
            return f"backbone: on a GPU {operation} is not deterministic: expected another backbone, or a CPU"
        case MemoryError():
            return "this machine's memory is not enough"
        case _ if type(error).__name__ == "OutOfMemoryError":  # torch's: not every stage imports torch
            return f"batch_size: the GPU's memory is not enough: {str(error).splitlines()[0]}"
    return None
