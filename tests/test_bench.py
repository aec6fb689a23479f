"""The benchmarks' inputs and their figures."""

import sys
from pathlib import Path

import pytest

from stages import bench
from stages.reid.datasets import PUBLISHED, check_counts
from stages.reid.errors import InputError
from stages.reid.layouts import read_dataset


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_fake_sets_have_the_published_counts_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # a tenth of the images, a hundredth of the pids; the list of validation images takes the last 1000
    small = {split: (images // 10, max(2, pids // 100)) for split, (images, pids) in PUBLISHED[name].items()}
    monkeypatch.setitem(PUBLISHED, name, small)
    bench.fake_dataset(tmp_path / "raw", name)
    splits = read_dataset(tmp_path / "raw", name)
    assert check_counts(name, splits, name) == []
    assert max(int(index.camid.max()) for index in splits.values()) == bench.CAMERAS[name]


def test_the_row_of_a_process_of_its_own_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "TABLE", tmp_path / "bench.csv")
    found = {"seconds": [3.0, 1.0, 2.0], "note": "2 threads, idle", "peak_mib": 123.4}
    monkeypatch.setattr(bench, "in_its_own_process", lambda name: found)
    bench.measure(["yardstick"])
    header, row = (tmp_path / "bench.csv").read_text().splitlines()
    assert header.split(",") == list(bench.COLUMNS)
    assert row == "yardstick,2,1,3,3,123,2.000,2 threads; idle"


def test_an_unknown_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "flying"])
    with pytest.raises(InputError, match="flying: not a row, expected yardstick, prepare market1501"):
        bench.main()
