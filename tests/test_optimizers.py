"""The optimisers compute what PyTorch's do, and do not import its compiler."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn, optim

from mutual.machine import optimizers

CASES: list[tuple[Any, Any, dict[str, Any]]] = [
    (optimizers.Adam, optim.Adam, {"weight_decay": 5e-4}),
    (optimizers.SGD, optim.SGD, {"weight_decay": 5e-4, "momentum": 0.9, "nesterov": True}),
]


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_steps_are_pytorchs_bit_by_bit(ours: Any, theirs: Any, options: dict[str, Any]) -> None:
    found = []
    for kind in (ours, theirs):
        trained = network()
        first, *rest = trained.parameters()
        optimizer = kind([{"params": [first], "lr": 0.001}, {"params": rest}], lr=0.003, fused=True, **options)
        for step in range(6):
            if step == 3:  # with what it had kept
                kept = optimizer.state_dict()
                optimizer = kind([{"params": [first], "lr": 0.001}, {"params": rest}], lr=0.003, fused=True, **options)
                optimizer.load_state_dict(kept)
            batch = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
            trained(batch).square().sum().backward()
            optimizer.step()
            assert torch.is_grad_enabled()
            optimizer.zero_grad()
            assert first.grad is None
        found.append(list(trained.parameters()))
    assert all(torch.equal(a, b) and a.isfinite().all() and a.requires_grad for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_the_compiler_is_not_imported(name: str) -> None:
    script = f"""
import sys, torch
from mutual.machine.optimizers import {name}
weight = torch.nn.Parameter(torch.ones(3))
optimizer = {name}([weight], lr=0.1, fused=True)
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
