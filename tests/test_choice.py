"""Choosing a round without labels, and what that costs."""

import pytest

from mutual.experiments.choice import Run, alarms_over_rounds, chooser, chosen, cost_table, costs

RUN = Run(
    {"r00": 0.40, "r01": 0.55, "r02": 0.60, "r03": 0.50},
    {
        "r00": {"silhouette": 0.30, "agreement": 0.2},
        "r01": {"silhouette": 0.10, "agreement": 0.6, "stability": 0.5},
        "r02": {"silhouette": 0.20, "agreement": 0.6, "stability": 0.9},
        "r03": {"silhouette": 0.25, "agreement": 0.5, "stability": 0.7},
    },
)


def test_the_highest_figure_chooses_and_of_equals_the_earlier() -> None:
    assert chosen(RUN.figures, "silhouette") == "r00"
    assert chosen(RUN.figures, "agreement") == "r01"
    assert chosen(RUN.figures, "stability") == "r02"
    assert chosen(RUN.figures, "camera_nmi") is None
    cameras = {"r00": {"camera_nmi": 0.3}, "r01": {"camera_nmi": 0.1}, "r02": {"camera_nmi": 0.1}}
    assert chosen(cameras, "camera_nmi") == "r01"  # of this the lowest


def test_the_peers_choose_and_the_clusters_where_there_is_one_network() -> None:
    alone = {"r00": {"silhouette": 0.1, "consistency": 0.4}, "r01": {"silhouette": 0.2, "consistency": 0.3}}
    assert (chooser(RUN.figures), chosen(RUN.figures)) == ("agreement", "r01")
    assert (chooser(alone), chosen(alone)) == ("consistency", "r00")
    assert chosen({"r00": {"silhouette": 0.3}}) is None


def test_costs_worked_by_hand() -> None:
    expected = {
        "the last round": 0.10,
        "no adaptation": 0.20,
        "silhouette": 0.20,
        "agreement of peers": 0.05,
        "stability": 0,
    }
    assert costs(RUN) == pytest.approx(expected)


def test_the_table_has_the_cheapest_choice_first() -> None:
    rising = Run({"r00": 0.4, "r01": 0.5}, {"r00": {"silhouette": 0.1}, "r01": {"silhouette": 0.2}})
    lines = cost_table([RUN, rising]).splitlines()[2:]
    assert lines[0] == "| stability | 1 | 0.0 | 0.0 | 1 |"
    assert "| the last round | 2 | 5.0 | 10.0 | 1 |" in lines
    assert "| silhouette | 2 | 10.0 | 20.0 | 1 |" in lines
    assert [line.split("|")[1].strip() for line in lines][-1] == "no adaptation"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("stability", "the pseudo labels agreed less and less with those before"),
        ("agreement", "the peers agreed less and less with each other"),
    ],
)
def test_a_figure_that_falls_three_times_in_succession_is_told(key: str, told: str) -> None:
    def falling(*values: float | None) -> list[str]:
        return alarms_over_rounds(
            {f"r{i:02d}": {} if value is None else {key: value} for i, value in enumerate(values)}
        )

    (line,) = falling(None, 0.7, 0.9, 0.8, 0.75, 0.6, 0.9)
    assert line.startswith(f"after rounds 2 to 5 {told} (0.90, 0.80,")
    assert len(falling(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)) == 1  # once is enough
    assert not falling(None, 0.9, 0.8, 0.7)  # twice
    assert not falling(None, 0.9, 0.8, 0.8, 0.7, 0.6)  # not in succession
    assert not falling(None, None, None, None, None)
