"""What a round reads and writes."""

from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.networks.peers import write_peer
from mutual.networks.reid import ReidNetwork
from stages.train import common_iterations, write_losses


def test_peers_must_have_the_same_iterations_behind_them(tmp_path: Path) -> None:
    student, teacher = ReidNetwork("resnet18", 2), ReidNetwork("resnet18", 2)
    paths = [tmp_path / "peer1.safetensors", tmp_path / "peer2.safetensors"]
    for path, iterations in zip(paths, (40, 40), strict=True):
        write_peer(path, student, teacher, iterations)
    assert common_iterations(paths) == 40
    write_peer(paths[1], student, teacher, 80)
    with pytest.raises(InputError, match=r"peer2.safetensors: 80 iterations done, expected 40 as peer1"):
        common_iterations(paths)


def test_losses_are_counted_over_all_rounds_and_left_empty_where_not_computed(tmp_path: Path) -> None:
    path = tmp_path / "r03.csv"
    first = [1.5, 1.0, np.nan, 0.5, np.nan, np.nan]
    write_losses(path, np.array([first, [3.0, 1.0, 0.25, 0.5, 0.125, 2.0]]), done=80)
    assert path.read_text().splitlines() == [
        "iteration,total,hard_ce,soft_ce,hard_tri,soft_tri,source",
        "81,1.500000,1.000000,,0.500000,,",
        "82,3.000000,1.000000,0.250000,0.500000,0.125000,2.000000",
    ]
