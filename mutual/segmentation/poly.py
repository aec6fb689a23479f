"""The learning rate of segmentation, set once per iteration."""


def polynomial(iteration: int, total: int, base: float, power: float = 0.9) -> float:
    """The rate of ``iteration`` (from 0) of ``total``: base (1 - iteration / total)^power, 0 at the end."""
    return base * (1 - iteration / total) ** power
