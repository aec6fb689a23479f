"""The mean teacher's update."""

import numpy as np
import pytest
import torch
from torch import nn

from mutual.refineries.teacher import momentum, update_teacher
from tests.golden import assert_close, golden

ALPHA = 0.999


def set_linear(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))


@pytest.mark.parametrize("run", ["fixed", "moving", "saturate"])
def test_fifty_updates_are_the_authors(run: str) -> None:
    stored = golden("ema")
    teacher, student = nn.Linear(8, 4).double(), nn.Linear(8, 4).double()
    set_linear(teacher, stored[f"{run}_teacher_w0"], stored[f"{run}_teacher_b0"])
    start = int(stored[f"{run}_start_step"])
    for k in range(50):
        set_linear(student, stored[f"{run}_student_w"][k], stored[f"{run}_student_b"][k])
        update_teacher(teacher, student, start + k, ALPHA)
        assert_close(teacher.weight, stored[f"{run}_teacher_w"][k], 1e-12)
        assert_close(teacher.bias, stored[f"{run}_teacher_b"][k], 1e-12)
        assert_close(student.weight, stored[f"{run}_student_w"][k], 0)  # the student itself stays as it is


@pytest.mark.parametrize(
    ("iteration", "expected"), [(0, 0.0), (1, 1 / 2), (3, 3 / 4), (998, 998 / 999), (999, 0.999), (5000, 0.999)]
)
def test_momentum_by_hand(iteration: int, expected: float) -> None:
    assert momentum(iteration, ALPHA) == pytest.approx(expected, rel=1e-12)


def test_alpha_zero_means_no_memory_at_any_iteration() -> None:
    assert [momentum(iteration, 0.0) for iteration in (0, 1, 100)] == [0.0, 0.0, 0.0]


def test_at_the_first_iteration_the_teacher_becomes_the_student_to_the_bit() -> None:
    teacher, student = nn.Linear(8, 4), nn.Linear(8, 4)
    assert not torch.equal(teacher.weight, student.weight)
    update_teacher(teacher, student, 0, ALPHA)
    assert torch.equal(teacher.weight, student.weight)
    assert torch.equal(teacher.bias, student.bias)


def test_until_alpha_is_reached_the_teacher_is_the_plain_mean_of_its_students() -> None:
    teacher, student = nn.Linear(2, 1).double(), nn.Linear(2, 1).double()
    seen = []
    for iteration in range(20):
        nn.init.normal_(student.weight)
        seen.append(student.weight.detach().clone())
        update_teacher(teacher, student, iteration, 0.999)
    torch.testing.assert_close(teacher.weight.detach(), torch.stack(seen).mean(0), rtol=1e-12, atol=1e-12)


def test_buffers_are_left_alone() -> None:
    teacher, student = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    student(torch.randn(8, 3))  # moves the student's running statistics
    update_teacher(teacher, student, 5, ALPHA)
    assert teacher.running_mean is not None
    assert torch.equal(teacher.running_mean, torch.zeros(3))
    assert int(teacher.num_batches_tracked or 0) == 0


def test_frozen_parameters_are_averaged_too_and_no_gradient_is_recorded() -> None:
    teacher, student = nn.Linear(2, 1), nn.Linear(2, 1)
    student.bias.requires_grad_(False)
    teacher.bias.requires_grad_(False)
    update_teacher(teacher, student, 0, ALPHA)
    assert torch.equal(teacher.bias, student.bias)
    assert teacher.weight.grad_fn is None
    assert teacher.weight.is_leaf
