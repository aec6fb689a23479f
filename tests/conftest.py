"""Settings for all tests."""

import torch

# the networks here are tiny: beside another busy process, threads that wait for each other are fifty times slower
torch.set_num_threads(1)
