"""The benchmarks' inputs and their figures."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.datasets.checks import PUBLISHED, check_counts
from mutual.datasets.layouts import read_dataset
from tests.snippets import calls
from tools import bench


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_fake_sets_have_the_published_counts_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # a tenth of the images, a hundredth of the pids; the list of validation images takes the last 1000
    small = {split: (images // 10, max(2, pids // 100)) for split, (images, pids) in PUBLISHED[name].items()}
    monkeypatch.setitem(PUBLISHED, name, small)
    bench.fake_dataset(tmp_path / "raw", name)
    splits, *_ = read_dataset(tmp_path / "raw", name)
    assert check_counts(name, splits, name) == []
    assert max(int(index.camid.max()) for index in splits.values()) == bench.CAMERAS[name]


def test_all_rows_are_written_and_named_ones_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "bench.csv"
    monkeypatch.setattr(bench, "TABLE", table)
    found = {"seconds": [3.0, 1.0, 2.0], "note": "2 threads, idle", "peak_mib": 123.4}
    monkeypatch.setattr(bench, "in_its_own_process", lambda name: found)
    monkeypatch.setattr(sys, "argv", ["bench", "yardstick"])
    bench.main()
    assert "yardstick,2,1,3,3,123" in capsys.readouterr().out
    assert not table.exists()
    (arguments,) = calls("tools.bench")  # of the documentation: none, which means all rows
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    bench.main()
    header, row, *others = table.read_text().splitlines()
    assert len(others) == len(bench.benchmarks()) - 1
    assert header.split(",") == list(bench.COLUMNS)
    assert row == "yardstick,2,1,3,3,123,2.000,2 threads; idle"


def test_an_unknown_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "flying"])
    with pytest.raises(InputError, match=r"flying: not a row: expected one of python -m tools\.bench --list"):
        bench.main()


def test_drawn_features_have_length_1_and_vary_in_few_respects() -> None:
    features = bench.drawn_features(2000)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    variance = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    shown = 1 + bench.WITHIN**2
    assert variance[: bench.RESPECTS].sum() / variance.sum() == pytest.approx(
        shown / (shown + bench.NOISE**2), abs=0.03
    )


def test_the_row_of_the_jaccard_distance_says_where_the_time_goes() -> None:
    ((seconds, note), *others) = bench.jaccard(600)
    assert seconds > 0
    assert len(others) == 2
    for part in ("neighbours", "encodings", "all distances", "clusters", "MiB above the features"):
        assert part in note


def test_drawn_ids_cover_all_people() -> None:
    queries, gallery, query_cams, gallery_cams = bench.ids(30, 200, 10, 3)
    assert set(queries) <= set(gallery) == set(range(10))
    assert set(query_cams) <= set(gallery_cams) == set(range(3))
    assert (len(query_cams), len(gallery_cams)) == (30, 200)


@pytest.mark.parametrize("row", [bench.iteration, bench.pretraining])
def test_the_rows_of_iterations_run_on_the_trainers_own_steps(
    row: Callable[[str], bench.Timed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "BATCH", {"cpu": 4, "cuda": 4})
    monkeypatch.setattr(bench, "HEIGHT", 32)
    monkeypatch.setattr(bench, "WIDTH", 16)
    seconds, note = next(row("fp32"))  # three iterations
    assert seconds > 0
    assert note.startswith("ResNet-50; 4 images; ")
