"""The table of methods x wrong labels: by hand, and what is missing is told."""

import sys
from pathlib import Path
from typing import Any

import pytest

from mutual.base.documents import parse_yaml, read_yaml
from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, Params, by_view, unfolded
from tools import ablation, refineries

TOP = Path(__file__).parent.parent
PLAN = """\
seeds: [[11, 12], [13, 14]]
methods: {mmt: [], dmt: [method=dmt]}
noise: {clusters: [], half: [clustering=labels, label_noise=0.5]}
"""


def figures(value: float, believed: float = 0.75) -> dict[str, float]:
    return {"last_mAP": value, "last_rank1": value + 0.1, "last_ari": 0.5, "last_believed_ari": believed}


def test_the_table_by_hand() -> None:
    found = {
        "mmt-clusters-11": figures(0.5),
        "mmt-clusters-13": figures(0.6),
        "dmt-clusters-11": figures(0.52, 0.8),
        "dmt-clusters-13": figures(0.56, 0.9),
        "dmt-half-13": figures(0.3),
    }
    assert refineries.table(["mmt", "dmt"], ["clusters", "half"], [11, 13], found).splitlines() == [
        "**clusters**",
        "",
        "| method | last mAP | rank-1 | mAP less that of mmt, by seeds | ARI given | ARI believed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| mmt | 55.0 ± 7.1 | 65.0 ± 7.1 |  | 50.0 ± 0.0 | 75.0 ± 0.0 |",
        "| dmt | 54.0 ± 2.8 | 64.0 ± 2.8 | +2.0, -4.0 | 50.0 ± 0.0 | 85.0 ± 7.1 |",
        "",
        "**half**",
        "",
        "| method | last mAP | rank-1 | mAP less that of mmt, by seeds | ARI given | ARI believed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| mmt |  |  |  |  |  |",
        "| dmt | 30.0 | 40.0 | ? | 50.0 | 75.0 |",
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A folder with a plan; the experiments that DVC would show, to be filled."""
    monkeypatch.chdir(tmp_path)
    Path("experiments").mkdir()
    Path("experiments/refineries.yaml").write_text(PLAN)
    monkeypatch.setattr(sys, "argv", ["refineries"])
    shown: list[Any] = []
    monkeypatch.setattr(refineries, "exp_show", lambda: shown)
    monkeypatch.setattr(refineries, "flat", lambda states, kinds: states)
    monkeypatch.setattr(refineries, "unusable", lambda state: state["name"] == "broken")
    monkeypatch.setattr(refineries, "content", lambda state, kind, name: state["figures"])
    return shown


def test_what_is_there_is_printed_and_what_is_not_is_told(
    project: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    project += [{"name": name, "figures": figures(0.5)} for name in ("mmt-clusters-11", "stranger", "broken")]
    refineries.main()
    told = capsys.readouterr()
    assert "| mmt | 50.0 | 60.0 |" in told.out
    assert told.err.startswith("not there yet: 7 of 8: mmt-clusters-13, ")
    assert Path("metrics/tables/refineries.md").read_text() + "\n" == told.out


def test_without_any_of_them_there_is_no_table(project: list[Any]) -> None:
    with pytest.raises(InputError, match="none of its experiments has run: make refineries"):
        refineries.main()
    assert not Path("metrics").exists()


def test_a_plan_of_rows_is_another_tools(project: list[Any]) -> None:
    Path("experiments/refineries.yaml").write_text("seeds: [[11, 12]]\nrows: {mmt: []}\n")
    with pytest.raises(InputError, match="expected methods and noise"):
        refineries.main()


@pytest.mark.parametrize("text", ["methods: {mmt: []}", "noise: {a: []}", "rows: {a: []}\nmethods: {mmt: []}"])
def test_half_a_plan_is_none(text: str) -> None:
    with pytest.raises(InputError, match=r"^plan\.yaml: expected `seeds`, [^\n]+$"):
        ablation.planned_of(Path("plan.yaml"), f"seeds: [[1, 2]]\n{text}\n")


def test_the_projects_plan_is_valid_and_every_method_meets_every_noise_with_every_pair() -> None:
    path = TOP / "experiments/refineries.yaml"
    planned = ablation.experiments(path, path.read_text(encoding="utf-8"))
    assert len(planned) == 10 * 1 * 3
    values = unfolded(read_yaml(TOP / PARAMS_FILE))
    for name, settings in planned.items():
        changed = values | {key: parse_yaml(value) for key, value in (each.split("=") for each in settings)}
        Params.model_validate(by_view(changed))
        taught = "-teachers-" in name or name.startswith("mmt-")
        assert name.startswith("hard-labels") or (changed["alpha"] > 0) == taught
        assert (changed["clustering"], changed["label_noise"]) == (
            ("labels", 0.5) if "labels-50" in name else ("kmeans", 0.0)
        )
