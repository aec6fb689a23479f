"""Where the networks run."""

import os

import torch


def deterministic_device() -> torch.device:
    """The first GPU, or the CPU where there is none; every later operation gives the same bytes each time.

    On the CPU all operations used here are deterministic as they are; the switch would only cost seconds of imports.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False  # else fp32 convolutions keep 10 bits of the 23
    return torch.device("cuda")
