"""Where the networks run."""

import ctypes
import os
import sys

import numpy as np
import torch
from torch import Tensor

CPU = torch.device("cpu")

# of glibc's mallopt: https://man7.org/linux/man-pages/man3/mallopt.3.html
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT_BYTES = (1 << 31) - 1


def deterministic_device() -> torch.device:
    """The first GPU, or the CPU where there is none; every later operation gives the same bytes each time.

    On the CPU all operations used here are deterministic as they are; the switch would only cost seconds of imports.
    """
    if not torch.cuda.is_available():
        _keep_memory()
        return CPU
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False  # else fp32 convolutions keep 10 bits of the 23
    return torch.device("cuda")


def uploaded(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor on the device; nobody waits for a GPU to fetch it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _keep_memory() -> None:
    """Let the process keep the memory of large arrays that it frees.

    By default the system takes it back at once and has to hand out zeroed pages for the next layer's feature map.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
