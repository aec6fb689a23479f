"""Where the networks run."""

import ctypes
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.launched import local_rank, processes
from mutual.base.threads import threads
from mutual.machine.gpus import in_queue, settle_gpu

CPU = torch.device("cpu")
COLUMNS_FOR_BFLOAT16 = 32

# of glibc's mallopt: https://man7.org/linux/man-pages/man3/mallopt.3.html
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT_BYTES = (1 << 31) - 1


def deterministic_device() -> torch.device:
    """The first GPU, or the CPU where there is none, with a line that says which, and the number of threads.

    Of processes that share one work each has a GPU of its own, and so have those of DVC's queue. Raises
    :class:`InputError` where there are not as many.

    Every later operation gives the same bytes each time. On the CPU all operations used here are deterministic as they
    are; the switch would only cost seconds of imports.
    """
    torch.set_num_threads(threads())  # as it is already, unless PyTorch was loaded before anybody settled the number
    if processes() == 1 and in_queue(Path.cwd()):
        settle_gpu(torch.cuda.device_count())  # which asks the driver, as long as nobody has begun with CUDA
    gpu = torch.cuda.is_available()
    if gpu and (ours := local_rank()):
        if ours >= torch.cuda.device_count():
            raise InputError(f"launcher: expected a GPU for each process, there are {torch.cuda.device_count()}")
        torch.cuda.set_device(ours)
    print(f"on the {torch.cuda.get_device_name() if gpu else 'cpu'}, {torch.get_num_threads()} thread(s)", flush=True)
    if not gpu:
        _keep_memory()
        return CPU
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    torch.use_deterministic_algorithms(True)
    # no operation here reads memory that nobody wrote, so that filling it would be time lost
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # else fp32 convolutions keep 10 bits of the 23
    return torch.device("cuda")


def uploaded(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor on the device; nobody waits for a GPU to fetch it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def wide_enough_for_bfloat16(images: Tensor, columns: int = COLUMNS_FOR_BFLOAT16) -> bool:
    """Whether bfloat16 convolutions of the (B, 3, H, W) images, and their gradients, are sound on the images' device.

    On a CPU they need so many ``columns``; that they are not computed so is said once. Where a feature map of one
    column comes out of a 3 x 3 convolution of stride 2, oneDNN (3.13.3, of PyTorch 2.15) leaves parts unwritten, so
    that what lay in freed memory is the result: the map itself with AMX from at most 2 columns, the weights' gradient
    with any AVX-512 from 1 column. In ResNets both need images of at most 16 columns.
    """
    if images.device.type != "cpu" or images.shape[-1] >= columns:
        return True
    warnings.warn(
        f"precision: images of {images.shape[-1]} columns are computed in fp32: on a CPU bf16 is sound from "
        f"{columns} columns",
        stacklevel=2,
    )
    return False


def _keep_memory() -> None:
    """Let the process keep the memory of large arrays that it frees.

    By default the system takes it back at once and has to hand out zeroed pages for the next layer's feature map.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
