"""Adam against torch's own, bit by bit, and by hand."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from mutual.learning.adam import Adam


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((5, 3, 3, 3), (7,), (33, 65), (1,))
    found = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    found[0].data = found[0].data.to(memory_format=torch.channels_last)
    return found


def set_gradients(given: list[nn.Parameter], iteration: int) -> None:
    generator = torch.Generator().manual_seed(iteration)
    for parameter in given:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shares", [(1.0, 1.0), (1.0, 0.2)])
def test_steps_are_torchs_bit_by_bit(shares: tuple[float, float]) -> None:
    ours, theirs = parameters(), parameters()
    own = Adam([(ours[:2], shares[0]), (ours[2:], shares[1])], 1e-3, 5e-4)
    groups = [{"params": theirs[:2]}, {"params": theirs[2:]}]
    other = torch.optim.Adam(groups, weight_decay=5e-4, fused=True)
    for iteration in range(20):
        own.lr = 1e-3 / (1 + iteration)
        for group, share in zip(other.param_groups, shares, strict=True):
            group["lr"] = own.lr * share
        set_gradients(ours, iteration)
        set_gradients(theirs, iteration)
        own.step()
        other.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), iteration


def test_the_first_step_by_hand() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Adam([([parameter], 1.0)], lr=0.1, weight_decay=0.5)
    parameter.grad = torch.tensor([3.0, 1.5])
    optimizer.step()
    # the gradients with decay are 3.5 and 0.5; the first step is the rate in the direction of their sign
    torch.testing.assert_close(parameter.data, torch.tensor([0.9, -2.1]))


def test_gradients_are_forgotten() -> None:
    given = parameters()
    set_gradients(given, 0)
    Adam([(given, 1.0)], 1e-3, 0.0).zero_grad()
    assert all(parameter.grad is None for parameter in given)


def test_the_compiler_stays_out_of_the_process() -> None:
    code = """
import sys, torch
from mutual.learning.adam import Adam
parameter = torch.nn.Parameter(torch.ones(3))
optimizer = Adam([([parameter], 1.0)], 0.1, 0.0)
optimizer.zero_grad()
parameter.sum().backward()
optimizer.step()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
