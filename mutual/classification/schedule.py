"""What changes from iteration to iteration of a phase: the exponents of the weights, and the learning rate."""

import math


def ramped(gamma: float, iteration: int, iterations: int, first_full: bool = True) -> float:
    """The exponent at an iteration, 1 .. ``iterations``: gamma exp(-5 (1 - t / T)^2), gamma itself at the end.

    In the authors' code the first iteration still has the full gamma, which ``first_full`` keeps.
    """
    if first_full and iteration == 1:
        return gamma
    return gamma * math.exp(-5 * (1 - iteration / iterations) ** 2)


def cosine_rate(rate: float, iteration: int, iterations: int) -> float:
    """The learning rate at an iteration, 0 .. ``iterations`` - 1: from ``rate`` towards 0, along half a cosine."""
    return rate * (1 + math.cos(math.pi * iteration / iterations)) / 2
