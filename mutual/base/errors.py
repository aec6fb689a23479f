"""A user's mistake ends a stage with one line on stderr and exit code 1, never with a traceback."""

import errno
import sys
from collections.abc import Callable


class InputError(Exception):
    """Something the user gave is wrong. The message is one line naming the thing and what was expected."""


def run(main: Callable[[], None]) -> None:
    """Call a stage's ``main``; print an :class:`InputError`, a full disk and the like as one line and exit with 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = error.strerror or str(error)
        sys.exit(f"error: {error.filename or 'a file'}: {'cannot be written: ' if full else ''}{reason}")
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, known by name so that not every stage imports torch
            raise
        sys.exit(f"error: batch_size: the GPU's memory is not enough: {str(error).splitlines()[0]}")
    except MemoryError:
        sys.exit("error: this machine's memory is not enough")
    except KeyboardInterrupt:
        sys.exit(130)
