"""The mean teacher's update."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.reid.teacher import momentum, update_teacher
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
