"""Settings for all tests."""

import torch

# the suite is small; more threads than this only wait for each other on small machines
torch.set_num_threads(2)
