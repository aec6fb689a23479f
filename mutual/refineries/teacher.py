"""The mean teacher: an average of its student over the iterations (Tarvainen and Valpola, 2017)."""

import torch
from torch import nn


def momentum(iteration: int, alpha: float) -> float:
    """min(1 - 1 / (t + 1), alpha), t iterations done before this one: a plain mean until alpha is reached."""
    return min(1 - 1 / (iteration + 1), alpha)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, iteration: int, alpha: float) -> None:
    """teacher = a * teacher + (1 - a) * student, over the parameters; the teacher's buffers move by themselves."""
    share = 1 - momentum(iteration, alpha)
    torch._foreach_lerp_(list(teacher.parameters()), [p.detach() for p in student.parameters()], share)
