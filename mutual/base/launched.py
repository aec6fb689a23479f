"""Which of the processes this is that torchrun started together for one stage, as it tells each of them.

Others than torchrun set variables of these names, too, for a machine or a job; they do not count.
"""

import os


def rank() -> int:
    """0 is the first, which alone writes and speaks; so is a process that was started by itself."""
    return _told("RANK", 0)


def local_rank() -> int:
    """The same among those of this machine."""
    return _told("LOCAL_RANK", 0)


def processes() -> int:
    """How many there are, on all machines."""
    return _told("WORLD_SIZE", 1)


def _told(name: str, alone: int) -> int:
    return int(os.environ[name]) if "TORCHELASTIC_RUN_ID" in os.environ else alone
