"""The report: what "last" and "best on test" are, that they never mix, and the tables behind the plots."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.base.store import write_json
from mutual.experiments import choice, curves, summary
from mutual.experiments.results import read_result
from stages import report
from tests.test_card import write_what_the_card_needs


def accuracy(value: float) -> dict[str, float]:
    return {"mAP": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}


NO_FIGURES: dict[str, dict[str, float]] = {}  # that need no label
HERE = {"device": "cpu", "threads": 2}
LABELS = {"clusters": 80, "outliers": 0.0, "nmi": 0.81, "ari": 0.52, "purity": 0.63}
LABELS |= {"nmi_singletons": 0.81, "ari_singletons": 0.52}
SHOWN = 5  # without outliers, those that count them as clusters are the same and are not shown


def three_rounds() -> dict[str, Any]:
    """Peer 2 is best in r01, where the mean of both is low; r02 has the best mean; the last round is worse again."""
    return {
        "r00": {"peers": {"1": accuracy(0.10), "2": accuracy(0.12)}, "pseudo_labels": {}, "computed": HERE},
        "r01": {
            "peers": {"1": accuracy(0.20), "2": accuracy(0.50)},
            "pseudo_labels": LABELS | {"nmi": 0.7},
            "computed": HERE,
        },
        "r02": {
            "peers": {"1": accuracy(0.44), "2": accuracy(0.46)},
            "pseudo_labels": LABELS | {"nmi": 0.8},
            "computed": HERE,
        },
        "r03": {
            "peers": {"1": accuracy(0.40), "2": accuracy(0.42)},
            "pseudo_labels": LABELS | {"nmi": 0.9},
            "computed": HERE,
        },
    }


def test_summary_of_the_worked_example() -> None:
    found = summary.summary(three_rounds(), NO_FIGURES, {})
    # last: the mean of both peers in r03; best: peer 2 of r01 alone, not the mean of any round
    assert found["direct_mAP"] == pytest.approx(0.11)
    assert found["last_mAP"] == pytest.approx(0.41)
    assert found["last_rank1"] == pytest.approx(0.51)
    assert found["last_rank10"] == pytest.approx(0.71)
    assert found["best_on_test_mAP"] == pytest.approx(0.50)
    assert found["best_on_test_rank5"] == pytest.approx(0.70)
    assert found["best_on_test_round"] == 1
    assert found["last_nmi"] == 0.9
    told = summary.summary(three_rounds(), NO_FIGURES, {"ari": 0.12345678})
    assert told == found | {"last_believed_ari": 0.123457}


def test_last_does_not_depend_on_any_other_round() -> None:
    changed = three_rounds()
    for name in ("r00", "r01", "r02"):
        changed[name]["peers"] = {"1": accuracy(0.99), "2": accuracy(0.98)}
    before, after = summary.summary(three_rounds(), NO_FIGURES, {}), summary.summary(changed, NO_FIGURES, {})
    last = [key for key in before if key.startswith("last_")]
    assert len(last) == 5 + SHOWN
    assert {key: before[key] for key in last} == {key: after[key] for key in last}
    assert after["best_on_test_mAP"] == 0.99
    assert after["best_on_test_round"] == 1


def test_best_is_one_teacher_with_all_of_its_own_figures() -> None:
    results = three_rounds()
    # another round has a better rank-1, which must not slip in
    results["r02"]["peers"]["1"]["rank1"] = 0.97
    name, peer, found = summary.best_on_test(results)
    assert (name, peer) == ("r01", "2")
    assert found == accuracy(0.50)


def test_the_pretrained_networks_are_no_result_of_adaptation() -> None:
    results = three_rounds()
    results["r00"]["peers"]["1"] = accuracy(0.6)
    assert summary.best_on_test(results)[:2] == ("r01", "2")


def test_of_equals_the_earlier_is_the_best() -> None:
    results = three_rounds()
    results["r03"]["peers"]["1"] = accuracy(0.50)
    assert summary.best_on_test(results)[:2] == ("r01", "2")


def test_the_last_round_is_the_last_to_run_not_the_highest_name() -> None:
    results = three_rounds()
    results = {name: results[name] for name in ("r00", "r02", "r03", "r01")}
    assert summary.summary(results, NO_FIGURES, {})["last_mAP"] == pytest.approx(0.35)
    assert summary.summary(results, NO_FIGURES, {})["last_round"] == 1


def test_the_number_of_peers_is_free() -> None:
    peers = {str(k): accuracy(0.1 * k) for k in (1, 2, 3)}
    results = three_rounds() | {"r04": {"peers": peers, "pseudo_labels": LABELS}}
    assert summary.summary(results, NO_FIGURES, {})["last_mAP"] == pytest.approx(0.2)


def cells(table: str, title: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {title}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_of_the_worked_example() -> None:
    table = summary.results_table("summer to winter", three_rounds(), NO_FIGURES, {})
    assert table.startswith("# summer to winter\n")
    assert cells(table, "direct transfer") == ["direct transfer", "11.0", "21.0", "31.0", "41.0", "", "", "", "", ""]
    figures = ["80", "0.0", "90.0", "52.0", "63.0"]
    assert cells(table, "round 3") == ["round 3", "41.0", "51.0", "61.0", "71.0", *figures]
    assert cells(table, "**last (round 3)**")[1:5] == ["**41.0**", "**51.0**", "**61.0**", "**71.0**"]
    assert cells(table, "best on test (round 1, peer 2)")[1:5] == ["50.0", "60.0", "70.0", "80.0"]


def test_the_table_rounds_what_the_summary_has_rounded() -> None:
    """Half a tenth of a percent: whoever prints summary.json with one decimal gets the table's figure."""
    results = three_rounds()
    for peer in ("1", "2"):
        results["r03"]["peers"][peer]["mAP"] = 0.44849999
    found = summary.summary(results, NO_FIGURES, {})["last_mAP"]
    assert found == 0.4485
    assert (
        cells(summary.results_table("a to b", results, NO_FIGURES, {}), "**last (round 3)**")[1]
        == f"**{100 * found:.1f}**"
    )


def test_reranked_figures_are_the_last_rounds_and_stand_apart() -> None:
    results = three_rounds()
    for value, name in ((0.9, "r02"), (0.5, "r03")):
        for shift, peer in ((0.0, "1"), (0.1, "2")):
            results[name]["peers"][peer] |= {"rerank_mAP": value + shift, "rerank_rank1": value - shift}
    found = summary.summary(results, NO_FIGURES, {})
    assert found["last_rerank_mAP"] == pytest.approx(0.55)
    assert found["last_rerank_rank1"] == pytest.approx(0.45)
    assert found["last_mAP"] == pytest.approx(0.41)
    table = summary.results_table("a to b", results, NO_FIGURES, {})
    assert cells(table, "last (round 3), re-ranked")[1:4] == ["55.0", "45.0", ""]
    assert "rerank_mAP" not in summary.summary(three_rounds(), NO_FIGURES, {})


def test_every_row_of_the_table_has_as_many_cells() -> None:
    rows = [
        line
        for line in summary.results_table("a to b", three_rounds(), NO_FIGURES, {}).splitlines()
        if line.startswith("|")
    ]
    assert len(rows) == 2 + 4 + 2
    assert len({row.count("|") for row in rows}) == 1


def test_round_table_for_the_plots() -> None:
    header, *rows = curves.round_table(three_rounds()).splitlines()
    assert header == "round,mAP,rank1,rank5,rank10,clusters,outliers,nmi,ari,purity"
    assert rows[0] == "0,0.11,0.21,0.31,0.41,,,,,"
    assert rows[2] == "2,0.45,0.55,0.65,0.75,80,0,0.8,0.52,0.63"
    assert len(rows) == 4


def test_pseudo_labels_are_drawn_from_the_first_clustering_on() -> None:
    """A plot takes an empty cell for 0, from which NMI would seem to rise."""
    header, *rows = curves.label_table(three_rounds()).splitlines()
    assert header == "round,clusters,outliers,nmi,ari,purity"
    assert rows == ["1,80,0,0.7,0.52,0.63", "2,80,0,0.8,0.52,0.63", "3,80,0,0.9,0.52,0.63"]


def test_where_there_are_outliers_their_share_of_the_agreement_is_shown() -> None:
    results = three_rounds()
    results["r02"]["pseudo_labels"] |= {"outliers": 0.96, "nmi_singletons": 0.12, "ari_singletons": 0.01}
    table = summary.results_table("a to b", results, NO_FIGURES, {})
    assert "| purity | NMI, outliers alone | ARI, outliers alone |" in table
    assert cells(table, "round 2")[5:] == ["80", "96.0", "80.0", "52.0", "63.0", "12.0", "1.0"]
    assert cells(table, "round 3")[5:] == ["80", "0.0", "90.0", "52.0", "63.0", "81.0", "52.0"]
    assert cells(table, "direct transfer")[5:] == [""] * 7
    assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1
    assert curves.round_table(results).splitlines()[0].split(",")[-3:] == ["purity", "nmi_singletons", "ari_singletons"]
    # the last round has none
    assert "last_nmi_singletons" not in summary.summary(results, NO_FIGURES, {})
    results["r03"]["pseudo_labels"] |= {"outliers": 0.5, "nmi_singletons": 0.33}
    assert summary.summary(results, NO_FIGURES, {})["last_nmi_singletons"] == 0.33


def losses(folder: Path, *texts: str) -> list[Path]:
    files = [folder / f"r{i:02d}.csv" for i, _ in enumerate(texts, start=1)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files


def test_losses_are_joined_under_one_header(tmp_path: Path) -> None:
    found = curves.joined_losses(losses(tmp_path, "iteration,total\n1,5.0\n2,4.0\n", "iteration,total\n3,3.0\n"))
    assert found.to_dict("list") == {"iteration": [1, 2, 3], "total": [5.0, 4.0, 3.0]}


def test_every_term_that_a_refinery_has_is_a_curve(tmp_path: Path) -> None:
    """Whatever it is called; a term that some iterations lack has a shorter curve, never zeros."""
    first, second = "iteration,total,mine\n1,5.0,0.25\n2,4.0,\n", "iteration,total,mine,source\n3,3.0,0.5,7\n"
    found = curves.loss_curves(curves.joined_losses(losses(tmp_path, first, second)))
    assert found == {
        "total": "iteration,loss\n1,5.000000\n2,4.000000\n3,3.000000\n",
        "mine": "iteration,loss\n1,0.250000\n3,0.500000\n",
        "source": "iteration,loss\n3,7.000000\n",
    }


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b'iteration,total\n"1,2\n', b"\xff\xfe,1\n", b"a,b\n1,2\n", b"iteration,total,total\n1,2,2\n"),
        *(b"iteration,total\n1,x\n", b"iteration,total\n1,nan\n", b"iteration,total\n0,1.0\n", b"iteration,total\n1\n"),
        *(b"iteration,total\n2,1.0\n1,2.0\n", b"iteration,total\n1,1.0\n3,2.0\n", b"iteration,total\n1,\n"),
    ],
)
def test_damaged_losses_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r01.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"r01\.csv: [^\n]*$"):
        curves.joined_losses([tmp_path / "r01.csv"])


def test_missing_losses_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r01\.csv: not found"):
        curves.joined_losses([tmp_path / "r01.csv"])


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("peers",), {}, "peers"),
        (("peers",), {"1": accuracy(0.5)}, "peers"),
        (("peers", "1", "mAP"), "0.5", "peers.1.mAP"),
        (("peers", "1", "rank5"), 1.5, "peers.1.rank5"),
        (("peers", "1"), {"mAP": 0.5}, "peers.1.rank1"),
        (("pseudo_labels",), {}, "pseudo_labels"),
        (("pseudo_labels", "clusters"), 0, "pseudo_labels.clusters"),
        (("pseudo_labels", "nmi"), None, "pseudo_labels.nmi"),
    ],
)
def test_a_damaged_result_is_named(tmp_path: Path, place: tuple[str, ...], value: Any, named: str) -> None:
    content = three_rounds()["r01"]
    write_json(tmp_path / "r01.json", content)
    assert read_result(tmp_path / "r01.json", [1, 2], labelled=True) == content
    content["pseudo_labels"]["nmi"] = 1.0000000000000002  # as scikit-learn has it where both agree
    write_json(tmp_path / "r01.json", content)
    assert read_result(tmp_path / "r01.json", [1, 2], labelled=True) == content
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    write_json(tmp_path / "r01.json", content)
    with pytest.raises(InputError, match=rf"r01\.json: {named}: [^\n]*$"):
        read_result(tmp_path / "r01.json", [1, 2], labelled=True)


def test_figures_of_a_result_are_not_changed() -> None:
    results = three_rounds()
    before = deepcopy(results)
    summary.summary(results, NO_FIGURES, {})
    summary.results_table("a to b", results, NO_FIGURES, {})
    curves.round_table(results)
    assert results == before


def test_the_stage_reads_only_the_rounds_that_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = Path(__file__).parent.parent
    (tmp_path / "params.yaml").write_bytes((top / "params.yaml").read_bytes())
    (tmp_path / "rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r01\n")
    results = three_rounds()
    results["r03"]["peers"]["1"] = accuracy(0.65)  # a leftover of a longer run, and the best of all
    (tmp_path / "metrics/losses").mkdir(parents=True)
    for name, result in results.items():
        write_json(tmp_path / f"metrics/rounds/{name}.json", result)
        if name != "r00":
            (tmp_path / f"metrics/losses/{name}.csv").write_text(f"iteration,total\n{int(name[1:])},1.0\n")
    results["r02"]["label_free"] = {"silhouette": 0.3, "agreement": 0.5}
    write_json(tmp_path / "metrics/rounds/r02.json", results["r02"])
    of_last = {"clusters": 80, "outliers": 0, "smallest": 1, "largest": 2, "label_free": {"silhouette": 0.2}}
    write_json(tmp_path / "data/retrieval/last/clustering.json", of_last)
    write_what_the_card_needs(tmp_path)
    np.save(tmp_path / "data/retrieval/last/believed.npy", np.zeros((2, 9), np.int32))
    before = sorted(tmp_path.glob("metrics/*/*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["report"])
    report.main()
    found = json.loads(Path("metrics/summary.json").read_text())
    assert next(iter(found)) == "last_mAP"  # tables of many columns show the first
    assert (found["last_mAP"], found["best_on_test_mAP"]) == (0.45, 0.5)
    assert (found["chosen_round"], found["chosen_mAP"], found["last_silhouette"]) == (1, 0.35, 0.2)
    assert Path("metrics/label_free/silhouette.csv").read_text() == "round,value\n1,0.3\n2,0.2\n"
    assert Path("metrics/losses.csv").read_text() == "iteration,total\n1,1.000000\n2,1.000000\n"
    assert Path("metrics/curves/total.csv").read_text() == "iteration,loss\n1,1.000000\n2,1.000000\n"
    for name, listed in (("rounds.csv", ["0", "1", "2"]), ("pseudo_labels.csv", ["1", "2"])):
        rows = Path(f"metrics/{name}").read_text().splitlines()
        assert [line.split(",")[0] for line in rows] == ["round", *listed]
    assert "round 3" not in Path("metrics/results.md").read_text()
    assert "peer1.safetensors, after round 2 | 44.0 | 54.0" in Path("adapted/README.md").read_text()
    # what it does not need is not its to delete
    assert sorted(tmp_path.glob("metrics/rounds/*")) + sorted(tmp_path.glob("metrics/losses/*")) == sorted(
        before, key=lambda path: (path.parent.name != "rounds", path)
    )


# --- without labelled test images ------------------------------------------------------------------------------------


def unmeasured() -> dict[str, Any]:
    results = three_rounds()
    for result in results.values():
        result["peers"] = {"1": {}, "2": {}}
        result["pseudo_labels"] = {
            key: result["pseudo_labels"][key] for key in ("clusters", "outliers") if result["pseudo_labels"]
        }
    return results


def test_nothing_is_measured_where_nobody_labelled() -> None:
    figures = {"r00": {"silhouette": 0.1}, "r01": {"silhouette": 0.2, "agreement": 0.5}, "r03": {"silhouette": 0.2}}
    found = summary.summary(unmeasured(), figures, {})
    expected = {"last_round": 3, "chosen_round": 1, "last_clusters": 80, "last_outliers": 0.0, "last_silhouette": 0.2}
    assert found == expected
    table = summary.results_table("a to b", unmeasured(), figures, {})
    assert "There are no labelled test images" in table
    assert "mAP" not in table
    assert "NMI" not in table.replace("camera NMI", "")
    assert cells(table.split("| without labels |")[0], "round 3") == ["round 3", "80", "0.0"]
    assert curves.round_table(unmeasured()).splitlines() == ["round,mAP,rank1,rank5,rank10,clusters,outliers"]
    assert curves.label_table(unmeasured()).splitlines()[0] == "round,clusters,outliers"


def test_what_needs_no_label_has_a_table_of_its_own() -> None:
    figures = {"r00": {"silhouette": 0.1}, "r01": {"silhouette": 0.2, "agreement": 0.5}, "r03": {"silhouette": 0.2}}
    table = summary.results_table("a to b", three_rounds(), figures, {}).split("| without labels |")[1]
    assert cells(table, "direct transfer") == ["direct transfer", "0.100", ""]
    assert cells(table, "round 1") == ["round 1", "0.200", "0.500"]
    assert "Highest agreement of peers: round 1." in table
    found = summary.summary(three_rounds(), figures, {})
    assert found["chosen_mAP"] == pytest.approx(
        0.35
    )  # the mean of both peers of r01, where best on test is one of them
    assert found["best_on_test_mAP"] == 0.5


def test_direct_transfer_may_be_the_choice() -> None:
    found = summary.summary(three_rounds(), {"r00": {"consistency": 0.3}, "r03": {"consistency": 0.3}}, {})
    assert (found["chosen_round"], found["chosen_mAP"]) == (0, found["direct_mAP"])
    assert found["best_on_test_round"] == 1


def test_a_round_has_the_figures_of_the_round_that_starts_from_it() -> None:
    results = three_rounds()
    for i in (1, 2, 3):
        results[f"r0{i}"]["label_free"] = {"consistency": i / 10}
    starts = {"r01": "r00", "r02": "r01", "r03": "r01"}
    found = choice.label_free(results, starts, {"consistency": 0.9})
    assert {name: figures["consistency"] for name, figures in found.items()} == {"r00": 0.1, "r01": 0.2, "r03": 0.9}
    assert choice.chosen(found) == "r03"
    assert choice.chosen({}) is None


def test_peers_that_are_still_equal_choose_nothing() -> None:
    # as where both start from the same weights and there is no source: they agree in everything before any adaptation
    results, starts = three_rounds(), {"r01": "r00", "r02": "r01", "r03": "r02"}
    for name, agreement in (("r01", 1.0), ("r02", 0.6), ("r03", 0.8)):
        results[name]["label_free"] = {"agreement": agreement, "consistency": 0.5}
    found = choice.label_free(results, starts, {"agreement": 0.7, "consistency": 0.9})
    assert found["r00"] == {"consistency": 0.5}
    assert choice.chosen(found) == "r02"


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("peers", "2"), {}, "peers: expected the same"),
        (("pseudo_labels",), {"clusters": 3, "outliers": 0.0, "nmi": 0.5}, "pseudo_labels: expected ari"),
        (("pseudo_labels",), {"clusters": 3}, "pseudo_labels: expected outliers"),
    ],
)
def test_half_a_result_is_none(tmp_path: Path, place: tuple[str, ...], value: Any, named: str) -> None:
    result = three_rounds()["r01"]
    part = result
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    write_json(tmp_path / "r01.json", result)
    with pytest.raises(InputError, match=named):
        read_result(tmp_path / "r01.json", [1, 2], labelled=True)
