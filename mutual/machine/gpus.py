"""A GPU of its own for each process of DVC's queue: `dvc queue start -j 4` runs four experiments side by side.

A process holds the lock of a file, which the system takes back when it ends, however it ends.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK = 0.5  # seconds between two looks, where all are taken


def in_queue(folder: Path) -> bool:
    """Whether this is the workspace of an experiment that DVC runs beside others, in a copy of the project."""
    return ".dvc" in folder.parts


def settle_gpu(count: int) -> None:
    """Of ``count`` GPUs let this process see one that no other of the queue has; wait where there is none.

    Before anybody asks CUDA for them. With one GPU, or none, nothing happens.
    """
    if count < 2 or sys.platform == "win32":
        return
    named = os.environ.get(VISIBLE, "").split(",")
    devices = named if len(named) == count else [str(i) for i in range(count)]
    folder = Path(tempfile.gettempdir()) / f"gpus-of-queues-{os.getuid()}"
    os.environ[VISIBLE] = taken = take(devices, folder)
    print(f"GPU {taken} of {', '.join(devices)}", flush=True)


def take(devices: Sequence[str], folder: Path) -> str:
    """One of the devices, for as long as this process lives; who holds which is told by locks in the folder."""
    import fcntl

    folder.mkdir(exist_ok=True)
    said = False
    while True:
        for device in devices:
            # nobody closes it: the lock ends with the process
            file = os.open(folder / re.sub(r"\W", "_", device), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return device
        if not said:
            print(f"waits for one of {len(devices)} GPUs: all are taken", flush=True)
            said = True
        time.sleep(LOOK)
