"""The table of experiments: who is a repeat of whom, names, mean and spread, what is left out, and the three forms."""

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from mutual.base.documents import parse_yaml
from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, PLACES, unfolded
from mutual.experiments.comparison import (
    ACCURACY,
    FIGURES,
    NAMED,
    Experiment,
    grouped,
    label,
    method,
    needed,
    table_rows,
    unique_labels,
    without_copies,
)
from mutual.experiments.tables import as_csv, as_latex, as_markdown
from tools import preset, states, table

TOP = Path(__file__).parent.parent
PUBLISHED = list(csv.DictReader(io.StringIO((TOP / "docs/published.csv").read_text(encoding="utf-8"))))
DUKE_TO_MARKET = unfolded(parse_yaml(preset.texts("dukemtmc2market1501")[PARAMS_FILE]))


def params(**changed: Any) -> dict[str, Any]:
    """The authors' parameters from DukeMTMC-reID to Market-1501, some of them changed."""
    assert set(changed) <= {*DUKE_TO_MARKET, "rounds"}
    return DUKE_TO_MARKET | {"rounds": 40} | changed


def experiment(last: float = 0.7, name: str = "one", **changed: Any) -> Experiment:
    """Direct transfer 0.3 below the last round, best on test 0.01 above it; rank-1 0.1 above mAP, and so on."""
    metrics = {
        f"{protocol}_{key}": last + shift + 0.05 * place
        for protocol, shift in (("direct", -0.3), ("last", 0.0), ("best_on_test", 0.01))
        for place, key in enumerate(ACCURACY)
    }
    return Experiment(name, params(**changed), metrics)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "MMT"),
        ({"soft_tri_weight": 0.0}, "MMT without soft triplet"),
        ({"soft_ce_weight": 1.0, "soft_tri_weight": 1.0}, "MMT with soft losses only"),
        ({"soft_ce_weight": 1}, "MMT without hard CE"),
        ({"soft_ce_weight": 0}, "MMT without soft CE"),
        ({"soft_tri_weight": 1.0}, "MMT without hard triplet"),
        ({"seeds": [7]}, "MMT without the second network"),
        ({"alpha": 0}, "MMT without mean teachers"),
        ({"seeds": [7], "alpha": 0.0}, "MMT without the second network, without mean teachers"),
        ({"seeds": [1, 2, 3]}, "MMT with 3 networks"),
        ({"alpha": 0, "soft_ce_weight": 0, "soft_tri_weight": 0}, "two networks, hard labels"),
        ({"alpha": 0, "soft_ce_weight": 0, "soft_tri_weight": 0, "seeds": [9]}, "one network, hard labels"),
        ({"soft_ce_weight": 0, "soft_tri_weight": 0, "seeds": [9]}, "one network, hard labels, mean teachers"),
        ({"alpha": 0, "soft_ce_weight": 0, "soft_tri_weight": 0, "seeds": [1, 2, 3]}, "3 networks, hard labels"),
    ],
)
def test_a_method_is_named_as_in_the_papers_ablation(changed: dict[str, Any], name: str) -> None:
    assert method(params(**changed)) == name


def test_a_label_has_clustering_and_backbone() -> None:
    assert label(params()) == "MMT, k-means 500, resnet50"
    assert label(params(clustering="dbscan", backbone="resnet_ibn50a")) == "MMT, DBSCAN, resnet_ibn50a"


def test_labels_name_parameters_that_exist() -> None:
    assert set(NAMED) <= set(PLACES)


def test_what_else_differs_is_appended_for_every_group() -> None:
    groups = [params(iterations=400), params(iterations=800, pooling="gem"), params(alpha=0, iterations=400)]
    assert unique_labels(groups) == [
        "MMT, k-means 500, resnet50, pooling=avg, iterations=400",
        "MMT, k-means 500, resnet50, pooling=gem, iterations=800",
        "MMT without mean teachers, k-means 500, resnet50, pooling=avg, iterations=400",
    ]


def test_what_the_name_stands_for_is_appended_only_where_names_are_the_same() -> None:
    groups = [params(soft_tri_weight=0.8), params(soft_tri_weight=0.5), params(alpha=0), params(clusters=700)]
    assert unique_labels(groups) == [
        "MMT, k-means 500, resnet50, soft_tri_weight=0.8",
        "MMT, k-means 500, resnet50, soft_tri_weight=0.5",
        "MMT without mean teachers, k-means 500, resnet50",
        "MMT, k-means 700, resnet50",
    ]


def test_lists_and_words_are_appended_as_params_has_them() -> None:
    groups = [params(pretrain_milestones=[3, 4], rerank=True), params(rounds=50)]
    first, second = unique_labels(groups)
    assert first.endswith(", resnet50, pretrain_milestones=[3, 4], rerank=true, rounds=40")
    assert second.endswith(", resnet50, pretrain_milestones=[40, 70], rerank=false, rounds=50")


@pytest.mark.parametrize("key", [key for key in PLACES if key not in ("seeds", "seed")])
def test_no_two_groups_share_a_name(key: str) -> None:
    value = params()[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    other = value / 2 + 0.01 if number else [1, 2, 3] if isinstance(value, list) else f"not {value}"
    if key == "method":
        other = "hard_labels"
    changed: dict[str, Any] = {key: other}
    groups = grouped([experiment(), experiment(**changed)])
    assert len(groups) == 2
    assert len(set(unique_labels([group[0].params for group in groups]))) == 2


# --- groups ----------------------------------------------------------------------------------------------------------


def test_repeats_differ_in_seeds_alone() -> None:
    experiments = [
        *(experiment(seeds=[i, i + 1], seed=i) for i in (11, 13, 15)),
        experiment(seeds=[11]),
        experiment(demo_seed=2),
        experiment(rounds=39),
    ]
    assert [len(group) for group in grouped(experiments)] == [3, 1, 1, 1]


def test_a_whole_number_is_the_same_value_as_its_float() -> None:
    # `dvc exp run -S alpha=0` writes 0, params.yaml may have 0.0
    assert len(grouped([experiment(alpha=0), experiment(alpha=0.0)])) == 1


def test_the_same_experiment_counts_once() -> None:
    workspace, copy, repeat = experiment(name="workspace"), experiment(name="copy"), experiment(seed=2, name="repeat")
    other = experiment(last=0.6, name="other")
    kept, others = without_copies([workspace, copy, repeat, other])
    assert kept == [workspace, repeat]
    assert others == [other]


def test_mean_and_sample_standard_deviation_by_hand() -> None:
    (row,) = table_rows([experiment(last=last, seed=i) for i, last in enumerate((0.60, 0.63, 0.69))], [])
    assert row["n"] == 3
    assert row["last_mAP"] == pytest.approx(64.0)
    assert row["last_mAP_sd"] == pytest.approx(21**0.5)  # (16 + 1 + 25) / 2
    assert row["last_rank1"] == pytest.approx(69.0)
    assert row["direct_mAP"] == pytest.approx(34.0)
    assert row["best_on_test_mAP"] == pytest.approx(65.0)
    assert row["best_on_test_rank10"] == pytest.approx(80.0)


def test_one_experiment_has_no_spread() -> None:
    (row,) = table_rows([experiment()], [])
    assert row["n"] == 1
    assert {row[f"{key}_sd"] for key in FIGURES} == {None}


def test_rows_are_ordered_by_task_and_rise() -> None:
    duke, msmt = {"target_name": "dukemtmc"}, {"target_name": "msmt17"}
    experiments = [
        experiment(last=0.3, **msmt),
        experiment(last=0.7, alpha=0, **duke),
        experiment(last=0.6, **duke),
    ]
    rows = table_rows(experiments, [])
    assert [(row["target"], round(row["last_mAP"])) for row in rows] == [
        ("dukemtmc", 60),
        ("dukemtmc", 70),
        ("msmt17", 30),
    ]
    # names are made unique within a task: clusters and the like of another task do not matter
    assert rows[2]["method"] == "MMT, k-means 500, resnet50"


# --- published numbers -----------------------------------------------------------------------------------------------


def published(**changed: Any) -> list[float | None]:
    (row,) = table_rows([experiment(**changed)], PUBLISHED)
    assert not any(key.startswith("published_last") for key in row)
    best = [row[f"published_best_on_test_{key}"] for key in ACCURACY]
    return [row["published_direct_mAP"], row["published_direct_rank1"], *best]


def test_the_published_numbers_of_the_same_task_backbone_and_clusters() -> None:
    assert published() == [31.8, 61.9, 71.2, 87.7, 94.9, 96.9]
    assert published(clusters=700) == [31.8, 61.9, 69.0, 86.8, None, None]
    assert published(backbone="resnet_ibn50a") == [35.6, 65.3, 76.5, 90.9, None, None]
    reverse = {"source_name": "market1501", "target_name": "dukemtmc"}
    assert published(**reverse) == [29.6, 46.0, 63.1, 76.8, None, None]


def test_direct_transfer_alone_is_published_for_other_methods() -> None:
    for changed in ({"alpha": 0}, {"clusters": 600}, {"clustering": "dbscan"}, {"seeds": [1]}):
        assert published(**changed) == [31.8, 61.9, None, None, None, None]


def test_nothing_is_published_for_other_tasks_and_networks() -> None:
    assert set(published(target_name="demo-winter")) == {None}
    assert set(published(backbone="resnet18")) == {None}
    assert set(published(pooling="gem")) == {None}


def test_every_line_of_the_published_numbers_is_whole() -> None:
    names = {"market1501", "dukemtmc", "msmt17"}
    assert len(PUBLISHED) == 36
    assert len({(line["source"], line["target"], line["backbone"], line["clusters"]) for line in PUBLISHED}) == 36
    for line in PUBLISHED:
        assert line["from"] == "MMT Table 1"
        assert {line["source"], line["target"]} < names
        assert line["method"] == ("MMT" if line["clusters"] else "direct transfer")
        assert 0 < float(line["mAP"]) < float(line["rank1"]) < 100


# --- the three forms -------------------------------------------------------------------------------------------------


def two_rows() -> list[dict[str, Any]]:
    repeats = [experiment(last=last, seed=i) for i, last in enumerate((0.70, 0.72))]
    return table_rows([experiment(last=0.5, backbone="resnet18", alpha=0), *repeats], PUBLISHED)


def test_markdown() -> None:
    lines = as_markdown(two_rows(), ["MMT Table 1"]).splitlines()
    assert lines[0] == "## dukemtmc to market1501"
    header, _, low, high = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6])
    assert header[:3] == ["method", "n", "direct transfer mAP"]
    assert {len(cells) for cells in (header, low, high)} == {14}
    assert low[:3] == ["MMT without mean teachers, k-means 500, resnet18", "1", "20.0"]
    found = dict(zip(header, high, strict=True))
    spread = statistics.stdev([70, 72])
    assert (found["method"], found["n"]) == ("MMT, k-means 500, resnet50", "2")
    assert found["direct transfer mAP"] == f"41.0 ± {spread:.1f} (31.8)"
    assert found["last mAP"] == "71.0 ± 1.4"
    assert found["best on test mAP"] == "72.0 ± 1.4 (71.2)"
    assert found["best on test rank-10"] == "87.0 ± 1.4 (96.9)"
    assert "MMT Table 1" in lines[-1]


def test_csv() -> None:
    low, high = csv.DictReader(io.StringIO(as_csv(two_rows())))
    assert (low["source"], low["target"], low["n"], low["last_mAP_sd"]) == ("dukemtmc", "market1501", "1", "")
    assert (high["last_mAP"], high["last_mAP_sd"]) == ("71.00", "1.41")
    assert high["published_best_on_test_mAP"] == "71.20"
    assert low["published_best_on_test_mAP"] == ""


def test_latex() -> None:
    text = as_latex(two_rows())
    rows = [line for line in text.splitlines() if line.startswith("MMT")]
    assert [row.count(" & ") for row in rows] == [13, 13]
    assert text.startswith("\\begin{tabular}{lrrrrrrrrrrrrr}\n\\toprule\n")
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")
    assert r"71.0 $\pm$ 1.4 & " in rows[1]
    escaped = as_latex(table_rows([experiment(backbone="resnet_ibn50a", source_name="a&b")], []))
    assert r"k-means 500, resnet\_ibn50a & 1 &" in escaped
    assert r"{a\&b to market1501}" in escaped


# --- what DVC knows --------------------------------------------------------------------------------------------------


def state(rev: str, name: str | None = None, **changed: Any) -> dict[str, Any]:
    """A commit or an experiment as ``dvc exp show --json`` has it."""
    values, metrics = params(**changed), dict(experiment().metrics)
    del values["rounds"]
    files = {"params": {"params.yaml": {"data": values}}}
    files |= {"metrics": {"metrics/summary.json": {"data": metrics | {"last_round": 40, "last_nmi": 0.9}}}}
    return {"rev": rev, "name": name, "data": files, "error": None, "experiments": None}


def ranges(*states: dict[str, Any], fate: str | None = None) -> list[dict[str, Any]]:
    return [{"revs": [each], "name": each["name"], "executor": fate and {"state": fate}} for each in states]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What ``dvc exp show`` prints here: the workspace, and a commit with experiments."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/published.csv").write_bytes((TOP / "docs/published.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    experiments = ranges(state("a" * 40, "first", seed=5), state("b" * 40, "second", seed=6), fate="success")
    experiments += ranges(state("c" * 40, "third", seed=7))
    commit = state("d" * 40, "main", seed=8) | {"experiments": experiments}
    baselines = [state("workspace", seed=9), commit]
    monkeypatch.setattr(states, "dvc", lambda *_: json.dumps(baselines))
    return baselines


@pytest.mark.parametrize(
    ("arguments", "n"), [([], 4), (["main"], 1), (["main", "--experiments"], 4), (["--all-commits"], 5)]
)
def test_whose_experiments_are_taken(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, arguments: list[str], n: int
) -> None:
    monkeypatch.setattr("sys.argv", ["table", *arguments])
    table.main()
    (row,) = csv.DictReader(io.StringIO(Path("metrics/tables/table.csv").read_text(encoding="utf-8")))
    assert row["n"] == str(n)
    assert Path("metrics/tables/table.md").read_text(encoding="utf-8").count("\n| MMT, ") == 1
    assert Path("metrics/tables/table.tex").read_text(encoding="utf-8").count("\nMMT, ") == 1


def test_what_has_no_results_is_left_out_and_named(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_metrics, broken, old = state("e" * 40, "bare"), state("f" * 40, "broken"), state("g" * 40, "old")
    without_metrics["data"]["metrics"] = {}
    old["data"]["params"]["params.yaml"]["data"].pop("clustering")
    unreadable = state("h" * 40)
    unreadable["data"]["params"] = {"params.yaml": {"error": {"type": "YAMLError"}}}
    bad = broken | {"data": None, "error": {"msg": "no such thing", "type": ""}}
    shown[1]["experiments"] += ranges(without_metrics, bad, old, unreadable)
    shown[1]["experiments"] += ranges(state("i" * 40, "waits", seed=20), fate="queued")
    shown[1]["experiments"] += ranges(state("j" * 40, "fell", seed=21), fate="failed")
    monkeypatch.setattr("sys.argv", ["table"])
    table.main()
    output = capsys.readouterr()
    assert "| MMT, k-means 500, resnet50 | 4 |" in output.out
    assert output.err.splitlines() == [
        "left out: bare: no results in metrics/summary.json",
        "left out: broken: no such thing",
        "left out: old: parameters of another version, without clustering",
        "left out: hhhhhhh: parameters of another version, without " + ", ".join(needed({})),
        "left out: waits: queued",
        "left out: fell: failed",
    ]


def test_results_of_other_parameters_are_left_out(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # another preset was put into params.yaml, and nothing was run since
    Path("dvc.lock").write_text("stages: {train@r40: {params: {params.yaml: {alpha: 0.95, lr: 0.00035}}}}\n")
    monkeypatch.setattr("sys.argv", ["table"])
    table.main()
    output = capsys.readouterr()
    assert "| MMT, k-means 500, resnet50 | 3 |" in output.out
    assert output.err == "left out: workspace: its results were made with other values of alpha\n"


def test_stages_that_are_no_more_are_no_witness() -> None:
    stages = {"train@r41": {"params": {"params.yaml": {"alpha": 0.5}}}, "train@r40": {"params": {}}}
    assert states.changed_since(params(), stages) == []
    stages["pretrain@2"] = {"params": {"params.yaml": {"padding": 3, "image_width": 128}}}
    assert states.changed_since(params(), stages) == ["padding"]


def test_nothing_at_all_is_said_in_one_line(shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    shown[1]["experiments"] = []
    monkeypatch.setattr("sys.argv", ["table", "main"])
    shown[1]["data"] = None
    with pytest.raises(InputError, match="nothing to compare"):
        table.main()
    assert not Path("metrics").exists()


def test_what_dvc_refuses_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^dvc exp show: [^\n]+$"):
        states.exp_show()


def test_what_is_not_measured_has_no_figures() -> None:
    nothing = experiment()._replace(metrics={})
    rows = table_rows([nothing, experiment(alpha=0.5)], [])
    assert [row["last_mAP"] for row in rows].count(None) == 1
    for text in (as_csv(rows), as_markdown(rows, ["here"]), as_latex(rows)):
        assert "nan" not in text.lower()
        assert "none" not in text.lower()
    assert " |  |  |" in as_markdown(rows, ["here"])
    # of repeats, too, a mean over some of them would be another group's
    (row,) = table_rows([nothing, experiment(seed=2)], [])
    assert row["last_mAP"] is None


def test_columns_without_any_figure_are_left_out_and_that_is_said_once() -> None:
    nothing = experiment()._replace(metrics={})
    rows = table_rows([nothing, nothing._replace(params=params(alpha=0.5))], [])
    text = as_markdown(rows, ["here"])
    assert text.splitlines()[2:4] == ["| method | n |", "| --- | ---: |"]
    assert text.endswith("\n\nThere are no labelled test images, so that nothing is measured here.\n")
    assert as_latex(rows).splitlines()[:3] == [r"\begin{tabular}{lr}", r"\toprule", r"method & n \\"]
    assert as_csv(rows).splitlines()[0] == as_csv(two_rows()).splitlines()[0]  # for programs: all of them

    # of another task nothing is left out
    both = as_markdown([*rows, *table_rows([experiment(target_name="msmt17")], [])], ["here"])
    assert [line.count("|") for line in both.splitlines() if line.startswith("| method")] == [3, 15]
    assert both.count("no labelled test images") == 1
    assert "There are no labelled test images of market1501: nothing is measured there.\n" in both
    # what is published beside them stays
    (row,) = table_rows([nothing], PUBLISHED)
    assert as_markdown([row], ["here"]).splitlines()[2].startswith("| method | n | direct transfer mAP | ")
    lines = as_latex([row]).splitlines()
    assert lines[2] == r" & & \multicolumn{2}{c}{direct transfer} & \multicolumn{4}{c}{best on test} \\"
    assert {line.count(" & ") for line in lines if line.startswith(("method", "MMT"))} == {7}
