"""The report: what "last" and "best on test" are, and that they never mix."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mutual.base.errors import InputError
from mutual.base.store import write_json
from stages import report


def accuracy(value: float) -> dict[str, float]:
    return {"mAP": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}


LABELS = {"clusters": 80, "outliers": 0.0, "nmi": 0.81, "ari": 0.52, "purity": 0.63}


def three_rounds() -> dict[str, Any]:
    """Peer 2 is best in r01, where the mean of both is low; r02 has the best mean; the last round is worse again."""
    return {
        "r00": {"peers": {"1": accuracy(0.10), "2": accuracy(0.12)}, "pseudo_labels": {}},
        "r01": {"peers": {"1": accuracy(0.20), "2": accuracy(0.50)}, "pseudo_labels": LABELS | {"nmi": 0.7}},
        "r02": {"peers": {"1": accuracy(0.44), "2": accuracy(0.46)}, "pseudo_labels": LABELS | {"nmi": 0.8}},
        "r03": {"peers": {"1": accuracy(0.40), "2": accuracy(0.42)}, "pseudo_labels": LABELS | {"nmi": 0.9}},
    }


def test_summary_of_the_worked_example() -> None:
    found = report.summary(three_rounds())
    # last: the mean of both peers in r03; best: peer 2 of r01 alone, not the mean of any round
    assert found["direct_mAP"] == pytest.approx(0.11)
    assert found["last_mAP"] == pytest.approx(0.41)
    assert found["last_rank1"] == pytest.approx(0.51)
    assert found["last_rank10"] == pytest.approx(0.71)
    assert found["best_on_test_mAP"] == pytest.approx(0.50)
    assert found["best_on_test_rank5"] == pytest.approx(0.70)
    assert found["best_on_test_round"] == 1
    assert found["last_nmi"] == 0.9


def test_last_does_not_depend_on_any_other_round() -> None:
    changed = three_rounds()
    for name in ("r00", "r01", "r02"):
        changed[name]["peers"] = {"1": accuracy(0.99), "2": accuracy(0.98)}
    before, after = report.summary(three_rounds()), report.summary(changed)
    last = [key for key in before if key.startswith("last_")]
    assert len(last) == 5 + len(LABELS)
    assert {key: before[key] for key in last} == {key: after[key] for key in last}
    assert after["best_on_test_mAP"] == 0.99
    assert after["best_on_test_round"] == 1


def test_best_is_one_teacher_with_all_of_its_own_figures() -> None:
    results = three_rounds()
    # another round has a better rank-1, which must not slip in
    results["r02"]["peers"]["1"]["rank1"] = 0.97
    name, peer, found = report.best_on_test(results)
    assert (name, peer) == ("r01", "2")
    assert found == accuracy(0.50)


def test_the_pretrained_networks_are_no_result_of_adaptation() -> None:
    results = three_rounds()
    results["r00"]["peers"]["1"] = accuracy(0.6)
    assert report.best_on_test(results)[:2] == ("r01", "2")


def test_of_equals_the_earlier_is_the_best() -> None:
    results = three_rounds()
    results["r03"]["peers"]["1"] = accuracy(0.50)
    assert report.best_on_test(results)[:2] == ("r01", "2")


def test_the_last_round_is_the_last_to_run_not_the_highest_name() -> None:
    results = three_rounds()
    results = {name: results[name] for name in ("r00", "r02", "r03", "r01")}
    assert report.summary(results)["last_mAP"] == pytest.approx(0.35)
    assert report.summary(results)["last_round"] == 1


def test_the_number_of_peers_is_free() -> None:
    peers = {str(k): accuracy(0.1 * k) for k in (1, 2, 3)}
    results = three_rounds() | {"r04": {"peers": peers, "pseudo_labels": LABELS}}
    assert report.summary(results)["last_mAP"] == pytest.approx(0.2)


def cells(table: str, title: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {title}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_of_the_worked_example() -> None:
    table = report.results_table("summer to winter", three_rounds())
    assert table.startswith("# summer to winter\n")
    assert cells(table, "direct transfer") == ["direct transfer", "11.0", "21.0", "31.0", "41.0", "", "", "", "", ""]
    figures = ["80", "0.0", "90.0", "52.0", "63.0"]
    assert cells(table, "round 3") == ["round 3", "41.0", "51.0", "61.0", "71.0", *figures]
    assert cells(table, "**last (round 3)**")[1:5] == ["**41.0**", "**51.0**", "**61.0**", "**71.0**"]
    assert cells(table, "best on test (round 1, peer 2)")[1:5] == ["50.0", "60.0", "70.0", "80.0"]


def test_reranked_figures_are_the_last_rounds_and_stand_apart() -> None:
    results = three_rounds()
    for value, name in ((0.9, "r02"), (0.5, "r03")):
        for shift, peer in ((0.0, "1"), (0.1, "2")):
            results[name]["peers"][peer] |= {"rerank_mAP": value + shift, "rerank_rank1": value - shift}
    found = report.summary(results)
    assert found["last_rerank_mAP"] == pytest.approx(0.55)
    assert found["last_rerank_rank1"] == pytest.approx(0.45)
    assert found["last_mAP"] == pytest.approx(0.41)
    table = report.results_table("a to b", results)
    assert cells(table, "last (round 3), re-ranked")[1:4] == ["55.0", "45.0", ""]
    assert "rerank_mAP" not in report.summary(three_rounds())


def test_every_row_of_the_table_has_as_many_cells() -> None:
    rows = [line for line in report.results_table("a to b", three_rounds()).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4 + 2
    assert len({row.count("|") for row in rows}) == 1


def test_round_table_for_the_plots() -> None:
    header, *rows = report.round_table(three_rounds()).splitlines()
    assert header == "round,mAP,rank1,rank5,rank10,clusters,outliers,nmi,ari,purity"
    assert rows[0] == "0,0.11,0.21,0.31,0.41,,,,,"
    assert rows[2] == "2,0.45,0.55,0.65,0.75,80,0,0.8,0.52,0.63"
    assert len(rows) == 4


def test_losses_are_joined_under_one_header(tmp_path: Path) -> None:
    (tmp_path / "r01.csv").write_text("iteration,total\n1,5.0\n2,4.0\n")
    (tmp_path / "r02.csv").write_text("iteration,total\n3,3.0\n")
    found = report.joined_losses([tmp_path / "r01.csv", tmp_path / "r02.csv"])
    assert found == "iteration,total\n1,5.000000\n2,4.000000\n3,3.000000\n"


@pytest.mark.parametrize("content", [b"", b'a,b\n"1,2\n', b"\xff\xfe,1\n"])
def test_damaged_losses_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r01.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"r01\.csv: expected a table of losses"):
        report.joined_losses([tmp_path / "r01.csv"])


def test_missing_losses_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r01\.csv: not found"):
        report.joined_losses([tmp_path / "r01.csv"])


def test_results_of_unlisted_rounds_are_forgotten_and_nothing_else(tmp_path: Path) -> None:
    for name in ("r00.json", "r01.json", "r02.json", "r10.json", "readme.json", "r02.csv"):
        (tmp_path / name).touch()
    report.forget_unlisted_rounds(tmp_path, "json", ["r00", "r01"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r00.json", "r01.json", "r02.csv", "readme.json"]


def test_figures_of_a_result_are_not_changed() -> None:
    results = three_rounds()
    before = deepcopy(results)
    report.summary(results)
    report.results_table("a to b", results)
    report.round_table(results)
    assert results == before


def test_the_stage_reads_only_the_rounds_that_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = Path(__file__).parent.parent
    (tmp_path / "params.yaml").write_bytes((top / "params.yaml").read_bytes())
    (tmp_path / "rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r01\n")
    results = three_rounds()
    results["r03"]["peers"]["1"] = accuracy(0.65)  # a leftover of a longer run, and the best of all
    for name, result in results.items():
        write_json(tmp_path / "metrics" / "rounds" / f"{name}.json", result)
        if name != "r00":
            (tmp_path / "metrics" / "losses").mkdir(exist_ok=True)
            (tmp_path / "metrics" / "losses" / f"{name}.csv").write_text(f"iteration,total\n{int(name[1:])},1.0\n")
    monkeypatch.chdir(tmp_path)
    report.main()
    found = (tmp_path / "metrics" / "summary.json").read_text()
    assert '"last_mAP": 0.45' in found
    assert '"best_on_test_mAP": 0.5,' in found
    assert (tmp_path / "metrics" / "losses.csv").read_text() == "iteration,total\n1,1.000000\n2,1.000000\n"
    assert not (tmp_path / "metrics" / "rounds" / "r03.json").exists()
    rounds = (tmp_path / "metrics" / "rounds.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in rounds] == ["round", "0", "1", "2"]
    assert "round 3" not in (tmp_path / "metrics" / "results.md").read_text()
