"""The learning rate of pre-training."""

import pytest

from mutual.learning.schedule import warmup_multistep
from tests.golden import golden


def test_all_80_epochs_are_the_authors() -> None:
    stored = golden("lr_schedule")
    found = [warmup_multistep(epoch, 3.5e-4, 10, [40, 70]) for epoch in range(80)]
    assert found == pytest.approx(stored["lr"].tolist(), rel=1e-12)


def test_warmup_starts_at_a_hundredth_and_rises_by_equal_steps() -> None:
    rates = [warmup_multistep(epoch, 1.0, 4, []) for epoch in range(6)]
    # 0.01, then a quarter of the remaining 0.99 more each epoch, then constant
    assert rates == pytest.approx([0.01, 0.2575, 0.505, 0.7525, 1.0, 1.0])


def test_without_warmup_the_first_epoch_has_the_full_rate() -> None:
    assert warmup_multistep(0, 0.3, 0, [5]) == 0.3


def test_each_milestone_divides_by_ten_from_its_own_epoch_on() -> None:
    assert [warmup_multistep(epoch, 1.0, 0, [2, 4]) for epoch in range(6)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_a_milestone_within_the_warmup_counts_as_well() -> None:
    # warm-up factor at epoch 1 of 2: 0.01 / 2 + 1 / 2 = 0.505
    assert warmup_multistep(1, 1.0, 2, [1]) == pytest.approx(0.0505)
