"""Experiments in 80 columns."""

import json
from pathlib import Path
from typing import Any

import pytest

from mutual.base.documents import read_yaml
from mutual.experiments.comparison import FIGURES, Experiment
from mutual.experiments.overview import overview, shortened
from tools import compare, states


def experiment(name: str, last: float = 0.634, **params: Any) -> Experiment:
    metrics = dict.fromkeys(FIGURES, 0.0) | {"direct_mAP": 0.421, "direct_rank1": 0.504}
    metrics |= {"last_mAP": last, "last_rank1": last + 0.1, "best_on_test_mAP": 0.9, "best_on_test_rank1": 1.0}
    return Experiment(name, {"alpha": 0.95, "seeds": [1, 2], "backbone": "resnet18"} | params, metrics)


def test_a_worked_example() -> None:
    found = overview(
        [experiment("workspace"), experiment("faster", 0.6, alpha=0.99), experiment("half", seeds=[1], rerank=True)]
    )
    assert found.splitlines() == [
        "                  direct           last   best on test",
        "            mAP / rank-1   mAP / rank-1   mAP / rank-1",
        "workspace    42.1 / 50.4    63.4 / 73.4   90.0 / 100.0",
        "  alpha=0.95  seeds=[1, 2]  rerank=(none)",
        "faster       42.1 / 50.4    60.0 / 70.0   90.0 / 100.0",
        "  alpha=0.99",
        "half         42.1 / 50.4    63.4 / 73.4   90.0 / 100.0",
        "  seeds=[1]  rerank=true",
    ]


def test_one_alone_has_nothing_to_differ_from() -> None:
    assert len(overview([experiment("workspace")]).splitlines()) == 3


def test_whatever_differs_no_line_is_longer_than_80_columns() -> None:
    many: dict[str, Any] = {f"a_parameter_with_a_long_name_{i}": list(range(i)) for i in range(20)}
    many |= {"root": "/a/very/long/folder/" * 20, "word": "x" * 500}
    text = overview([experiment("y" * 200), experiment("y" * 199 + "z", **many), experiment("short")])
    assert max(map(len, text.splitlines())) <= 80
    # each setting is whole on its line
    assert "a_parameter_with_a_long_name_3=[0, 1, 2]" in text
    assert "root=…g/folder//a/very/long/folder/" in text


@pytest.mark.parametrize(
    "names",
    [
        ["two-networks-hard-labels-11", "two-networks-hard-labels-12", "two-networks"],
        ["a" * 50 + "1" + "a" * 50, "a" * 50 + "2" + "a" * 50, "a" * 101],
        ["x" * 9 + "abc" + "y" * 40, "x" * 9 + "abd" + "y" * 40, "x" * 9 + "ab" + "y" * 41],
    ],
)
def test_long_names_stay_apart(names: list[str]) -> None:
    found = shortened(names, 12)
    assert len(set(found)) == len(names)
    assert all(len(name) <= 12 for name in found)
    assert [a for a, b in zip(found, names, strict=True) if len(b) <= 12] == [name for name in names if len(name) <= 12]


def test_the_same_name_stays_the_same() -> None:
    assert shortened(["main", "main", "a" * 30], 12)[:2] == ["main", "main"]


def test_what_dvc_knows_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    top = Path(__file__).parent.parent

    def state(rev: str, name: str | None, **changed: Any) -> dict[str, Any]:
        files = {"params": {"params.yaml": {"data": read_yaml(top / "params.yaml") | changed}}}
        figures = dict(experiment("any").metrics) | {"last_round": 5}
        files |= {"metrics": {"metrics/summary.json": {"data": figures}}}
        return {"rev": rev, "name": name, "data": files, "error": None, "experiments": None}

    broken = state("b" * 40, "broken") | {"data": None}
    runs = [{"revs": [each], "executor": None} for each in (state("a" * 40, "first", alpha=0.5), broken)]
    shown = [state("workspace", None), state("c" * 40, "main") | {"experiments": runs}]
    monkeypatch.setattr(states, "dvc", lambda *_: json.dumps(shown))
    monkeypatch.setattr("sys.argv", ["compare"])
    compare.main()
    output = capsys.readouterr()
    assert [line.split()[0] for line in output.out.splitlines()[2:]] == [
        "workspace",
        "alpha=0.95",
        "first",
        "alpha=0.5",
    ]
    assert output.err == "left out: broken: no results in metrics/summary.json\n"


def test_what_is_not_measured_is_a_dash() -> None:
    nothing = Experiment("mine", {"alpha": 0.95, "seeds": [1, 2]}, {})
    with_another = overview([nothing, experiment("other")]).splitlines()
    assert with_another[2].split() == ["mine", "-", "-", "-"]
    assert with_another[-2].split()[1:] == ["42.1", "/", "50.4", "63.4", "/", "73.4", "90.0", "/", "100.0"]


def test_where_nothing_is_measured_that_is_said_once() -> None:
    runs = [Experiment(name, {"alpha": alpha}, {}) for name, alpha in (("mine", 0.95), ("another", 0.5))]
    assert overview(runs).splitlines() == [
        "no labelled test images: nothing is measured",
        "mine",
        "  alpha=0.95",
        "another",
        "  alpha=0.5",
    ]
