"""What a round reports: its losses, iteration by iteration."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mutual.learning.adaptation import terms_of, write_losses
from mutual.refineries.contract import Refinery
from mutual.refineries.hard_labels import HardLabels
from mutual.refineries.mmt import MutualMeanTeaching

MMT = MutualMeanTeaching(0.999, 0.5, 0.8, 0.1)


def test_losses_are_counted_over_all_rounds_and_left_empty_where_not_computed(tmp_path: Path) -> None:
    path = tmp_path / "r03.csv"
    first = [1.5, 1.0, np.nan, 0.5, np.nan, np.nan]
    losses = np.array([first, [3.0, 1.0, 0.25, 0.5, 0.125, 2.0]])
    write_losses(path, terms_of(MMT, source_weight=1.0), list(torch.tensor(losses)), done=80)
    assert path.read_text().splitlines() == [
        "iteration,total,hard_ce,soft_ce,hard_tri,soft_tri,source",
        "81,1.500000,1.000000,,0.500000,,",
        "82,3.000000,1.000000,0.250000,0.500000,0.125000,2.000000",
    ]


@pytest.mark.parametrize(
    ("refinery", "source_weight", "expected"),
    [
        (MMT, 0.0, "total hard_ce soft_ce hard_tri soft_tri"),
        (MMT, 0.5, "total hard_ce soft_ce hard_tri soft_tri source"),
        (HardLabels(1.0, 0.1), 0.0, "total hard_ce hard_tri"),
        (HardLabels(1.0, 0.1), 0.5, "total hard_ce hard_tri source"),
    ],
    ids=["mmt", "mmt and source", "hard labels", "hard labels and source"],
)
def test_the_terms_are_the_refinerys_between_the_total_and_the_source(
    refinery: Refinery, source_weight: float, expected: str
) -> None:
    assert " ".join(terms_of(refinery, source_weight)) == expected
