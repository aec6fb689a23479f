"""What classification and segmentation with few labels have in common: phases, methods, weights, orders, tables."""

from collections.abc import Iterator, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mutual.base.params import Seed, View
from mutual.base.store import read_json, write_text
from mutual.few.course import write_losses
from mutual.few.methods import Method, chosen
from mutual.few.order import Stream, iterations_of
from mutual.few.phases import ALL, LABELLED, Phase, number_of, phase_of, read_phases, runs_of, share_of
from mutual.few.reading import Seeds, place, read_params
from mutual.few.report import write_report
from mutual.few.results import (
    Table,
    headline,
    labels_by_phase,
    last_and_best,
    over_networks,
    read_rows,
    results,
    rows_text,
    summary,
)
from mutual.few.results import course as course_of
from mutual.few.weighting import Weighting, weighting_of
from tests.tiny import refusal

NAN = float("nan")


# --- phases ----------------------------------------------------------------------------------------------------------


def phases_file(folder: Path, *lines: str) -> Path:
    path = folder / "phases.yaml"
    path.write_text("\n".join(["phases:", *(f"  {line}" for line in lines)]) + "\n", encoding="utf-8")
    return path


def test_chains_come_as_they_begin_in_the_file_and_phases_by_number(tmp_path: Path) -> None:
    path = phases_file(
        tmp_path,
        "b-2: {method: x, after: b-1, share: 1}",
        "a-1: {method: x, after: labelled, share: 0.5}",
        "b-1: {method: y, after: labelled, share: 0.25}",
        *(f"a-{i}: {{method: x, after: a-{i - 1}, share: 1}}" for i in range(11, 1, -1)),
    )
    chains = read_phases(path)
    assert chains == [[Phase("b", 1), Phase("b", 2)], [Phase("a", i) for i in range(1, 12)]]  # 10 after 9
    assert runs_of(chains)[:5] == ["labelled", "all", "b-1", "b-2", "a-1"]
    assert len(runs_of(chains)) == 2 + 13


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "phases: Input should be a valid dictionary, found None"),
        (["dmt: {method: dmt, after: labelled, share: 1}"], "'dmt': expected the name of a chain and a number"),
        (["dmt-01: {method: dmt, after: labelled, share: 1}"], "'dmt-01': expected the name of a chain and a number"),
        (["dmt-1: {method: dmt, after: all, share: 1}"], "dmt-1: expected after: labelled, got 'all'"),
        (["dmt-2: {method: dmt, after: dmt-1, share: 1}"], "dmt-2: expected dmt-1 before it"),
        (
            ["dmt-1: {method: dmt, after: labelled, share: 1}", "dmt-3: {method: dmt, after: dmt-2, share: 1}"],
            "dmt-3: expected dmt-2 before it",
        ),
        (
            ["dmt-1: {method: dmt, after: labelled, share: 1}", "dmt-2: {method: dmt, after: labelled, share: 1}"],
            "dmt-2: expected after: dmt-1, got 'labelled'",
        ),
        (["dmt-1: {method: dmt, after: labelled, share: 0}"], "phases.dmt-1.share: Input should be greater than 0"),
        (["dmt-1: {method: dmt, after: labelled, share: 1.1}"], "phases.dmt-1.share: Input should be less than or"),
        (["dmt-1: {method: dmt, after: labelled}"], "phases.dmt-1.share: Field required"),
        (["dmt-1: {method: dmt, after: labelled, share: 1, by: me}"], "phases.dmt-1.by: Extra inputs are not"),
    ],
)
def test_phases_that_are_no_chain_are_refused_in_a_line(tmp_path: Path, lines: list[str], said: str) -> None:
    told = refusal(lambda: read_phases(phases_file(tmp_path, *lines)))
    assert "phases.yaml: " in told
    assert said in told


def test_a_file_without_phases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "phases.yaml"
    for text in ("phases: {}\n", "phasen: {}\n"):
        path.write_text(text, encoding="utf-8")
        assert refusal(lambda: read_phases(path)) == f"{path}: expected phases below the key phases, and no other key"


def test_names_numbers_and_shares() -> None:
    assert phase_of("dst_cbc-12") == ("dst_cbc", 12)
    assert phase_of("dst_cbc-12").name == "dst_cbc-12"
    assert [number_of(name) for name in (LABELLED, ALL, "dmt-1", "dmt-30")] == [0, 0, 1, 30]
    for name in ("labelled", "dmt-0", "dmt-", "-1", "dmt-1000", "1dmt-1", "dmt-1\n", "../x-1", "d" * 32 + "-1"):
        assert refusal(partial(phase_of, name)).startswith("phases.yaml: ")
    assert [share_of(text) for text in ("1", "0.2", "1e-3")] == [1, 0.2, 0.001]
    for text in ("0", "-0.2", "1.01", "nan", "inf", "all", ""):
        told = f"--share: expected a number above 0 and at most 1, got {text!r}"
        assert refusal(partial(share_of, text)) == told


# --- methods and their parameters ------------------------------------------------------------------------------------


class Form(View):
    """As much of a file of parameters as there is to check."""

    seeds: Seeds
    data_seed: Seed
    methods: dict[str, Method]


RIGHT = "seeds: [1, 2]\ndata_seed: 0\nmethods:\n  one:\n    weights: ones\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_parameters_are_read_whole(tmp_path: Path) -> None:
    params = read_params(written(tmp_path, RIGHT), Form)
    assert (params.seeds, params.data_seed, list(params.methods)) == ([1, 2], 0, ["one"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("data_seed: 0", "data_sed: 0", "data_sed: unknown parameter (and 1 more)"),  # before the one that is missing
        ("data_seed: 0\n", "", "data_seed: missing"),
        ("data_seed: 0", "data_seed: -1", "data_seed: expected greater than or equal to 0, got -1"),
        ("data_seed: 0", "data_seed: 1.5", "data_seed: expected a valid integer, got 1.5"),
        ("[1, 2]", "[1, 2, 1]", "seeds: expected each once, got [1, 2, 1]"),
        ("[1, 2]", "[]", "seeds: expected at least 1 item"),
        ("weights: ones", "weights: vote", "methods.one.weights: expected 'ones', 'agreement' or 'own', got 'vote'"),
        ("weights: ones", "weight: ones", "methods.one.weight: unknown parameter (and 1 more)"),
        ("weights: ones", "weights: own", "methods.one: expected gamma1 with weights: own, got none"),
        (RIGHT, "seeds\n", "expected `key: value` lines"),
    ],
)
def test_wrong_parameters_are_told_in_a_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in RIGHT
    path = written(tmp_path, RIGHT.replace(old, new))
    assert refusal(lambda: read_params(path, Form)).startswith(f"{path}: {said}")


def test_places_start_where_the_file_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = Path("semi/params.yaml")
    assert [place(file, name) for name in ("data/x", "/data/x", "~/x")] == [
        Path("semi/data/x"),
        Path("/data/x"),
        tmp_path / "x",
    ]


@pytest.mark.parametrize(
    ("given", "missed"),
    [
        ({"weights": "ones"}, None),
        ({"weights": "ones", "gamma1": 1.0}, "expected neither gamma1 nor gamma2 with weights: ones, got gamma1"),
        ({"weights": "own", "gamma1": 9.0}, None),
        ({"weights": "own"}, "expected gamma1 with weights: own, got none"),
        (
            {"weights": "own", "gamma1": 1.0, "gamma2": 1.0},
            "expected gamma1 with weights: own, got gamma1, gamma2",
        ),
        ({"weights": "agreement", "gamma1": 0.0, "gamma2": 5.0}, None),  # 0 is a number like others
        ({"weights": "agreement"}, "expected gamma1 and gamma2 with weights: agreement, got none"),
        ({"weights": "agreement", "gamma2": 1.0}, "expected gamma1 and gamma2 with weights: agreement, got gamma2"),
    ],
)
def test_what_each_form_of_weights_needs(given: dict[str, Any], missed: str | None) -> None:
    if missed is None:
        found = weighting_of(Method(**given))
        assert found == Weighting(given["weights"], given.get("gamma1", 0.0), given.get("gamma2", 0.0))
        return
    with pytest.raises(ValueError, match="expected") as refused:
        Method(**given)
    assert missed in str(refused.value)


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    methods = {"dmt": Method(weights="ones"), "mine": Method(weights="ones")}
    assert chosen("mine", methods, Path("params.yaml")) is methods["mine"]
    told = refusal(lambda: chosen("vote", methods, Path("params.yaml")))
    assert told == "--method: expected dmt, mine, as params.yaml has them, got 'vote'"


# --- weights ---------------------------------------------------------------------------------------------------------


def weight_of(form: str, p: list[float], label: int, sure: float, gamma1: float, gamma2: float) -> float:
    """Of one image or pixel, word by word."""
    if form == "ones" or not (gamma1 or gamma2):
        return 1.0
    if form == "own" or p.index(max(p)) == label:
        return p[label] ** gamma1
    return p[label] ** gamma2 if max(p) <= sure else 0.0


@pytest.mark.parametrize("form", ["ones", "agreement", "own"])
@pytest.mark.parametrize("factor", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("shape", [(40,), (3, 4, 5)])
def test_weights_are_those_of_a_plain_loop(form: Any, factor: float, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    own = torch.from_numpy(rng.dirichlet(np.ones(4), shape)).movedim(-1, 1)
    labels, sure = torch.from_numpy(rng.integers(0, 4, shape)), torch.from_numpy(rng.random(shape))
    found = Weighting(form, 2.0, 0.5).weights(own, labels, sure, factor)
    each = own.movedim(1, -1).reshape(-1, 4).tolist()
    cells = zip(each, labels.flatten().tolist(), sure.flatten().tolist(), strict=True)
    expected = [weight_of(form, *cell, 2.0 * factor, 0.5 * factor) for cell in cells]
    np.testing.assert_allclose(found.flatten().numpy(), expected, rtol=1e-9)
    if form == "agreement" and factor:
        assert 0 < expected.count(0.0) < len(expected)  # some were overruled


# --- the order of images ---------------------------------------------------------------------------------------------


def test_each_pass_is_every_image_once_in_an_order_of_its_own() -> None:
    taken = Stream(7, 1, "order", 2).take(35).reshape(5, 7)
    assert (np.sort(taken, axis=1) == np.arange(7)).all()
    assert len({tuple(row) for row in taken.tolist()}) == 5


@pytest.mark.parametrize("sizes", [[1] * 30, [30], [4] * 7 + [2], [20, 3, 7]])
def test_the_images_do_not_depend_on_the_batches(sizes: list[int]) -> None:
    stream = Stream(7, 1, "order", 2)
    parts = [stream.take(size) for size in sizes]
    assert [len(part) for part in parts] == sizes
    assert np.concatenate(parts).tolist() == Stream(7, 1, "order", 2).take(30).tolist()


def test_orders_follow_from_seed_purpose_and_number_alone() -> None:
    first = Stream(50, 1, "order", 2).take(50).tolist()
    others = [Stream(50, 2, "order", 2), Stream(50, 1, "other", 2), Stream(50, 1, "order", 3)]
    assert all(other.take(50).tolist() != first for other in others)
    np.random.default_rng().random(5)
    assert Stream(50, 1, "order", 2).take(50).tolist() == first


def test_iterations_are_passes_rounded_up() -> None:
    assert [iterations_of(*given) for given in ((1, 10, 5), (1, 11, 5), (3, 11, 5), (1, 3, 8), (400, 20, 64))] == [
        2,
        3,
        7,
        1,
        125,
    ]


# --- how a training went ---------------------------------------------------------------------------------------------


def said(*losses: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.tensor(loss), torch.tensor(0.5 + i)) for i, loss in enumerate(losses)]


def test_losses_are_written_with_their_weights(tmp_path: Path) -> None:
    write_losses(tmp_path / "losses.csv", iter(said(2.0, 0.25)), 2, "dmt-1")
    text = (tmp_path / "losses.csv").read_text(encoding="utf-8")
    assert text == "iteration,loss,weight\n1,2.000000,0.500000\n2,0.250000,1.500000\n"


@pytest.mark.parametrize("good", [2, 99, 100, 250])
@pytest.mark.parametrize("bad", [NAN, float("inf")])
def test_a_loss_that_is_not_finite_ends_in_a_line_and_soon(tmp_path: Path, bad: float, good: int) -> None:
    steps = iter(said(*[1.0] * good, *[bad] * 1000))
    told = refusal(lambda: write_losses(tmp_path / "losses.csv", steps, good + 1000, "dmt-1"))
    assert told == f"lr: the loss is not finite at iteration {good + 1}: expected a lower rate"
    assert not (tmp_path / "losses.csv").exists()
    assert len(list(steps)) >= 900


def test_every_step_is_taken_to_its_end(tmp_path: Path) -> None:
    """What a training does after its last iteration is done, also where their number is a whole number of looks."""
    ended = []

    def steps() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield from said(*[1.0] * 200)
        ended.append(True)

    write_losses(tmp_path / "losses.csv", steps(), 200, "dmt-1")
    assert ended == [True]
    assert len((tmp_path / "losses.csv").read_text(encoding="utf-8").splitlines()) == 201


# --- results ---------------------------------------------------------------------------------------------------------


CHAINS = [[Phase("curriculum", 1)], [Phase("dmt", 1), Phase("dmt", 2)]]
# run, seed -> validation and test of each network; of phases used, right, weight_right, weight_wrong too
Figures = dict[tuple[str, int], list[tuple[float, ...]]]
FIGURES: Figures = {
    ("labelled", 1): [(0.4, 0.5), (0.6, 0.7)],
    ("labelled", 2): [(0.5, 0.5), (0.5, 0.5)],
    ("all", 1): [(0.9, 0.9), (0.9, 0.9)],
    ("all", 2): [(0.9, 0.8), (0.9, 0.8)],
    ("curriculum-1", 1): [(0.5, 0.62, 1.0, 0.9, 1.0, 1.0), (0.5, 0.62, 1.0, 0.7, 1.0, 1.0)],
    ("curriculum-1", 2): [(0.5, 0.54, 1.0, 0.8, 1.0, 1.0), (0.5, 0.54, 1.0, 0.8, 1.0, 1.0)],
    ("dmt-1", 1): [(0.8, 0.75, 0.2, 0.95, 0.6, 0.1), (0.8, 0.85, 0.2, 0.95, 0.6, 0.1)],  # validates best
    ("dmt-1", 2): [(0.7, 0.5, 0.2, 0.85, 0.8, 0.3), (0.7, 0.5, 0.2, 0.85, 0.8, 0.3)],  # as good as the second
    ("dmt-2", 1): [(0.7, 0.7, 1.0, 0.8, 0.5, NAN), (0.7, 0.7, 1.0, 0.8, 0.5, NAN)],
    ("dmt-2", 2): [(0.7, 0.8, 1.0, 0.9, 0.7, 0.2), (0.7, 0.8, 1.0, 0.9, 0.7, 0.2)],
}


def rows(figures: Figures = FIGURES) -> list[dict[str, Any]]:
    names = ["validation", "test", "used", "right", "weight_right", "weight_wrong"]
    return [
        {"run": run, "seed": seed, "network": network} | dict(zip(names, values, strict=False))
        for (run, seed), networks in figures.items()
        for network, values in enumerate(networks, 1)
    ]


def table(figures: Figures = FIGURES, chains: Sequence[Sequence[Phase]] = CHAINS) -> Table:
    return Table(over_networks(pd.read_csv(StringIO(rows_text(rows(figures))))), chains, "accuracy")


HEADLINE = """\
|  | last phase | phase that validates best | last minus labels only, by seed |
| --- | ---: | ---: | ---: |
| labels only | 55.0 ± 7.1 |  |  |
| curriculum, weights 1 | 58.0 ± 5.7 | 58.0 ± 5.7 | +2.0 +4.0 |
| DMT | 75.0 ± 7.1 | 65.0 ± 21.2 | +10.0 +30.0 |
| all labels | 85.0 ± 7.1 |  | +30.0 +30.0 |
"""


def test_the_headline_by_hand() -> None:
    """Means over networks first, then over seeds; of phases that validate alike the earliest (seed 2)."""
    assert headline(table(), {}) == HEADLINE
    found = last_and_best(table(), CHAINS[1])
    assert found["last"].tolist() == pytest.approx([0.7, 0.8])
    assert found["best"].tolist() == pytest.approx([0.8, 0.5])


def test_the_order_of_the_rows_does_not_matter() -> None:
    back = dict(reversed(FIGURES.items()))
    assert last_and_best(table(back), CHAINS[1]).sort_index().equals(last_and_best(table(), CHAINS[1]))
    lines = [line.rpartition(" | ")[0] for line in headline(table(back), {}).splitlines()]
    assert lines == [line.rpartition(" | ")[0] for line in HEADLINE.splitlines()]


def test_published_figures_are_a_column_of_their_own() -> None:
    lines = headline(table(), {"dmt": 95.2, "labelled": 40.0}).splitlines()
    assert [line.rsplit(" | ", 1)[1] for line in lines[:1] + lines[2:]] == [
        "authors |",
        "40.00 |",
        " |",
        "95.20 |",
        " |",
    ]


def test_a_published_figure_of_no_chain_is_refused() -> None:
    told = refusal(lambda: headline(table(), {"dmt": 95.2, "dtm": 95.2, "once": 1.0}))
    assert told == "published: expected figures of labelled, curriculum, dmt, all, got dtm, once"


def test_what_nobody_could_measure_is_a_dash() -> None:
    """Users without true labels of what is unlabelled."""
    unknown = {key: [(*each[:3], NAN, NAN, NAN) for each in values] for key, values in FIGURES.items()}
    assert "| DMT | 20 / - / - - | 100 / - / - - |\n" in labels_by_phase(table(unknown))


def test_where_nothing_validates_there_is_no_best_phase() -> None:
    without = {key: [(NAN, *each[1:]) for each in values] for key, values in FIGURES.items()}
    lines = headline(table(without), {}).splitlines()
    assert lines[3:5] == [
        "| curriculum, weights 1 | 58.0 ± 5.7 |  | +2.0 +4.0 |",
        "| DMT | 75.0 ± 7.1 |  | +10.0 +30.0 |",
    ]
    found = summary(table(without))
    assert found["dmt"] == {"last_accuracy": 0.75}


def test_one_seed_has_no_deviation() -> None:
    one = {key: values for key, values in FIGURES.items() if key[1] == 1}
    assert headline(table(one), {}).splitlines()[2:] == [
        "| labels only | 60.0 |  |  |",
        "| curriculum, weights 1 | 62.0 | 62.0 | +2.0 |",
        "| DMT | 70.0 | 80.0 | +10.0 |",
        "| all labels | 90.0 |  | +30.0 |",
    ]


def test_phases_by_hand() -> None:
    assert course_of(table()) == (
        "|  | labels only | phase 1 | phase 2 |\n| --- | ---: | ---: | ---: |\n"
        "| curriculum, weights 1 | 55.0 | 58.0 |  |\n| DMT | 55.0 | 65.0 | 75.0 |\n"
    )
    # the wrong ones' weight is the mean of the seeds that have wrong ones
    assert labels_by_phase(table()) == (
        "|  | phase 1 | phase 2 |\n| --- | ---: | ---: |\n"
        "| curriculum, weights 1 | 100 / 80.0 / 1.00 1.00 |  |\n"
        "| DMT | 20 / 90.0 / 0.70 0.20 | 100 / 85.0 / 0.60 0.20 |\n"
    )


def test_the_summary_by_hand() -> None:
    assert summary(table()) == {
        "labelled": {"test_accuracy": 0.55},
        "all": {"test_accuracy": 0.85},
        "curriculum": {"last_accuracy": 0.58, "best_on_validation_accuracy": 0.58},
        "dmt": {"last_accuracy": 0.75, "best_on_validation_accuracy": 0.65},
    }


def test_a_chain_of_ones_own_goes_by_its_name() -> None:
    mine = {(run.replace("dmt", "mine"), seed): values for (run, seed), values in FIGURES.items()}
    assert "| mine | 75.0 ± 7.1 |" in headline(table(mine, [CHAINS[0], [Phase("mine", 1), Phase("mine", 2)]]), {})


def test_a_report_over_the_files_of_all_runs(tmp_path: Path) -> None:
    for run in runs_of(CHAINS):
        write_text(tmp_path / f"measured/{run}.csv", rows_text([row for row in rows() if row["run"] == run]))
    write_text(tmp_path / "measured/gone-1.csv", "of a phase that was deleted")
    text = write_report(tmp_path / "metrics", tmp_path / "measured", CHAINS, "accuracy", {})
    assert (tmp_path / "metrics/results.md").read_text(encoding="utf-8") == text == results(table(), {})
    assert HEADLINE in text
    assert read_json(tmp_path / "metrics/summary.json") == summary(table())
    lines = (tmp_path / "metrics/runs.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "run,seed,network,validation,test,used,right,weight_right,weight_wrong"
    assert lines[1] == "labelled,1,1,0.400000,0.500000,,,,"
    assert len(lines) == 1 + 2 * len(FIGURES)
    (tmp_path / "measured/dmt-2.csv").unlink()
    told = refusal(lambda: write_report(tmp_path / "metrics", tmp_path / "measured", CHAINS, "accuracy", {}))
    assert told == f"{tmp_path}/measured/dmt-2.csv: not found"


def test_figures_that_are_none_are_refused(tmp_path: Path) -> None:
    path, head = tmp_path / "x.csv", rows_text([])
    for text, told in (
        (head, "expected a run at least"),
        ("run,seed\n", "line 1: expected run,seed,network,validation,test"),
        (f"{head}all,1,1,0.5,much,,,,\n", "test of row 1: expected a finite number, found 'much'"),
        (f"{head}all,-1,1,0.5,0.5,,,,\n", "seed of row 1: expected whole numbers from 0, found '-1'"),
    ):
        path.write_text(text, encoding="utf-8")
        assert refusal(lambda: read_rows(path)).startswith(f"{path}: {told}")


@pytest.mark.parametrize("name", ["labelled", "all"])
def test_a_chain_is_not_called_as_a_run_on_true_labels(name: str, tmp_path: Path) -> None:
    path = tmp_path / "phases.yaml"
    path.write_text(f"phases: {{{name}-1: {{method: m, after: labelled, share: 1}}}}", encoding="utf-8")
    assert f"{name}-1" in refusal(lambda: read_phases(path))


def test_no_other_key_stands_beside_the_phases(tmp_path: Path) -> None:
    path = tmp_path / "phases.yaml"
    line = "{a-1: {method: m, after: labelled, share: 1}}"
    path.write_text(f"phases: {line}\nphase: {line}\n", encoding="utf-8")
    assert "and no other key" in refusal(lambda: read_phases(path))
