"""The learning rate of source pre-training, set once per epoch."""

from collections.abc import Sequence


def warmup_multistep(epoch: int, base: float, warmup_epochs: int, milestones: Sequence[int]) -> float:
    """The rate of ``epoch`` (from 0): linear from ``base`` / 100 over the warm-up, a tenth at each milestone."""
    warmup = 1.0
    if epoch < warmup_epochs:
        done = epoch / warmup_epochs
        warmup = 0.01 * (1 - done) + done
    return base * warmup * 0.1 ** sum(epoch >= milestone for milestone in milestones)
