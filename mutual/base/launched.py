"""Which of the processes this is that torchrun started together for one stage, as it tells each of them."""

import os


def rank() -> int:
    """0 is the first, which alone writes and speaks; so is a process that was started by itself."""
    return int(os.environ.get("RANK", 0))


def local_rank() -> int:
    """The same among those of this machine."""
    return int(os.environ.get("LOCAL_RANK", 0))


def processes() -> int:
    """How many there are, on all machines."""
    return int(os.environ.get("WORLD_SIZE", 1))
