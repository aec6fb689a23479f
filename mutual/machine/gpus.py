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

import torch

from mutual.base.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK = 0.5  # seconds between two looks, where all are taken


def in_queue(folder: Path) -> bool:
    """Whether this is the workspace of an experiment that DVC runs beside others, in a copy of the project."""
    return ".dvc" in folder.parts


def settle_gpu(count: int) -> None:
    """Of ``count`` GPUs let this process see one that no other of the queue has; wait where there is none.

    Before anybody asks CUDA for them. With one GPU, or none, nothing happens. Raises :class:`InputError` where that is
    not possible.
    """
    if count < 2 or sys.platform == "win32":
        return
    named = os.environ.get(VISIBLE)
    devices = [str(i) for i in range(count)] if named is None else [each.strip() for each in named.split(",")][:count]
    os.environ[VISIBLE] = taken = take(
        devices, Path(tempfile.gettempdir()) / f"mutual-mean-teaching-gpus-{os.getuid()}"
    )
    if torch.cuda.device_count() > 1:  # nobody but CUDA told how many there are, and it goes on as it has begun
        raise InputError(f"{VISIBLE}: expected to name one GPU for each worker of the queue: it cannot be set here")
    print(f"GPU {taken} of {', '.join(devices)}", flush=True)


def take(devices: Sequence[str], folder: Path) -> str:
    """One of the devices, for as long as this process lives; who holds which is told by locks in the folder."""
    import fcntl

    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
        raise InputError(f"{folder}: expected a folder of your own, for locks")
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
