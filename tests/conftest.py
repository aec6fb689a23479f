"""Settings for all tests."""

import os

from mutual.base.threads import settle

# the networks here are tiny: unless the caller says otherwise, one thread is as fast
os.environ.setdefault("OMP_NUM_THREADS", "1")
settle()  # before PyTorch and Numba load
