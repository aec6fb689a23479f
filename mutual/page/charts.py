"""Curves as Vega-Lite specifications: plain dicts, which the page draws in its own colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mutual.base.params import round_number
from mutual.experiments.choice import LABEL_FREE, LabelFree
from mutual.experiments.curves import ITERATION
from mutual.experiments.summary import QUALITY, SINGLETONS, SIZES, mean_of_peers
from mutual.page.headline import TITLES

POINTS = 400  # of a curve of losses
MEAN = "mean of the peers"


def accuracy_rows(results: Mapping[str, Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """``round``, ``peer`` and ``value`` (0 .. 1) of each peer and the mean; none of rounds without test labels."""
    rows = []
    for name, result in results.items():
        of_peers = {f"peer {peer}": figures[key] for peer, figures in result["peers"].items() if key in figures}
        mean = mean_of_peers(result, [key])
        of_peers |= {MEAN: mean[key]} if mean else {}
        rows += [{"round": round_number(name), "peer": peer, "value": value} for peer, value in of_peers.items()]
    return rows


def label_rows(results: Mapping[str, Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """``round``, ``figure`` and ``value`` of these figures of the pseudo labels, where a round has them."""
    titles = SIZES | QUALITY | SINGLETONS
    return [
        {"round": round_number(name), "figure": titles[key], "value": result["pseudo_labels"][key]}
        for name, result in results.items()
        for key in keys
        if key in result["pseudo_labels"]
    ]


def change_rows(
    results: Mapping[str, Mapping[str, Any]], moved: Mapping[str, int | None], images: int
) -> list[dict[str, Any]]:
    """``round``, ``figure`` and ``value``: shares of so many images, changed their cluster; are outliers, if any."""
    changed = [
        {"round": round_number(name), "figure": "changed", "value": count / images}
        for name, count in moved.items()
        if count is not None
    ]
    outliers = [row for row in label_rows(results, ["outliers"]) if any_outliers(results)]
    return [*changed, *outliers]


def label_free_rows(label_free: LabelFree) -> list[dict[str, Any]]:
    """``round``, ``figure`` and ``value`` of what needs no label, where a round has it."""
    return [
        {"round": round_number(name), "figure": title, "value": round(figures[key], 4)}
        for name, figures in label_free.items()
        for key, title in LABEL_FREE.items()
        if key in figures
    ]


def any_outliers(results: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether any round left images out."""
    return any(result["pseudo_labels"].get("outliers", 0) > 0 for result in results.values())


def loss_rows(losses: pd.DataFrame) -> list[dict[str, Any]]:
    """``iteration``, ``term`` and ``value`` of each loss: means over as many iterations as leave 400 points."""
    width = max(1, -(-len(losses) // POINTS))
    thinned = losses.groupby(np.arange(len(losses)) // width).mean()
    rows = thinned.melt(ITERATION, var_name="term").dropna()
    return [
        {"iteration": round(float(row[0]), 1), "term": row[1], "value": float(f"{row[2]:.5g}")}
        for row in rows.itertuples(index=False)
    ]


def lines(rows: Sequence[Mapping[str, Any]], x: str, colour: str, title: str, form: str, **y: Any) -> dict[str, Any]:
    """Lines of ``value`` over ``x``, one a ``colour``, told by dashes too; ``form`` is D3's format of the values."""
    runs = "run" in rows[0]
    told = {"field": "value", "format": form.replace(".0%", ".1%"), "title": title}
    whole = {"tickMinStep": 1, "format": "d"}
    legend = {"title": None, "columns": 3}  # more in a row would end outside
    encoding: dict[str, Any] = {
        "x": {
            "field": x,
            "type": "quantitative",
            "axis": whole | {"title": x},
            "scale": {"zero": False, "nice": False},
        },
        "y": {"field": "value", "type": "quantitative", "axis": {"title": title, "format": form}, "scale": y},
        "color": {"field": colour, "type": "nominal", "sort": None, "legend": legend | {"symbolType": "stroke"}},
        "strokeDash": {"field": "run" if runs else colour, "type": "nominal", "sort": None, "legend": legend},
        "tooltip": [*({"field": name} for name in (x, colour, *["run"] * runs)), told],
    }
    few = len({row[x] for row in rows}) <= 60
    mark = {"type": "line", "point": few, "interpolate": "linear"}
    spec: dict[str, Any] = {"data": {"values": rows}, "width": "container", "height": 240}
    layers: list[dict[str, Any]] = [{"mark": mark, "encoding": encoding}]
    if x == "round":  # a line at the round that the page shows
        spec["params"] = [{"name": "shown", "value": 0}]
        rule = {"x": {"field": "at", "type": "quantitative"}}
        here = {"data": {"values": [{}]}, "transform": [{"calculate": "shown", "as": "at"}]}
        layers.insert(0, here | {"mark": {"type": "rule", "strokeDash": [2, 3], "opacity": 0.7}, "encoding": rule})
    return spec | {"layer": layers}


def accuracy_chart(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """The course of one figure of accuracy."""
    return lines(rows, "round", "peer", TITLES[key], ".0%", zero=False)
