"""Experiments in a narrow table: the figures that matter, and the parameters in which they differ."""

import json
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from mutual.experiments.comparison import PROTOCOLS, Experiment

WIDTH = 80
NAME_WIDTH = 26
VALUE_WIDTH = 30
FIGURE = "{:>15}"  # mAP / rank-1
NOTHING = "-"  # in place of what was not measured


def overview(experiments: Sequence[Experiment]) -> str:
    """A line an experiment, 80 columns at most: mAP / rank-1 in %, direct, last and best on test apart.

    Where no experiment has labelled test images, a line says so, and there are no figures.
    Below the first its values of all parameters that are not the same everywhere, below each other those in which it
    differs from the first.
    """
    names = shortened([experiment.name for experiment in experiments], NAME_WIDTH)
    first = experiments[0].params
    keys = list(dict.fromkeys(key for experiment in experiments for key in differing(first, experiment.params)))
    width = max(map(len, names))
    titles = "".join(FIGURE.format(title) for title in ("direct", "last", "best on test"))
    lines = [" " * width + titles, " " * width + FIGURE.format("mAP / rank-1") * len(PROTOCOLS)]
    measured = any(set(cells(experiment.metrics)) != {NOTHING} for experiment in experiments)
    if not measured:
        lines = ["no labelled test images: nothing is measured"]
    for name, experiment in zip(names, experiments, strict=True):
        found = cells(experiment.metrics) if measured else []
        lines.append((name.ljust(width) if found else name) + "".join(FIGURE.format(cell) for cell in found))
        shown = keys if experiment is experiments[0] else differing(first, experiment.params)
        lines += wrapped([f"{key}={value(experiment.params, key)}" for key in shown])
    return "\n".join(lines)


def cells(metrics: Mapping[str, float]) -> list[str]:
    """mAP / rank-1 of each protocol, percent; a dash where it was not measured."""
    keys = [(f"{protocol}_mAP", f"{protocol}_rank1") for protocol in PROTOCOLS]
    return [" / ".join(f"{100 * metrics[key]:.1f}" for key in pair) if pair[0] in metrics else NOTHING for pair in keys]


def differing(first: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """The keys whose values are not those of the first, or that only one of both has."""
    absent = object()
    return [key for key in dict.fromkeys([*first, *params]) if first.get(key, absent) != params.get(key, absent)]


def value(params: Mapping[str, Any], key: str) -> str:
    """As it stands in params.yaml; the end of one that is long, such as a folder."""
    if key not in params:
        return "(none)"
    text = json.dumps(params[key], ensure_ascii=False).strip('"')
    return text if len(text) <= VALUE_WIDTH else "…" + text[1 - VALUE_WIDTH :]


def wrapped(settings: Sequence[str]) -> list[str]:
    """Indented lines of at most 80 columns, broken between settings."""
    glue = "\N{NO-BREAK SPACE}"  # blanks within a setting, as in a list, do not break it
    text = "  ".join(setting.replace(" ", glue) for setting in settings)
    lines = wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace(glue, " ") for line in lines]


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Each name in at most ``width`` characters, long ones without their middle; different names stay different.

    Where no place for the gap tells all of them apart, long ones end in their number in the list instead.
    """
    for head in range(width - 2, -1, -1):
        tail = width - 1 - head
        found = {name: name if len(name) <= width else f"{name[:head]}…{name[-tail:]}" for name in names}
        if len(set(found.values())) == len(found):
            return [found[name] for name in names]
    place = {name: i for i, name in reversed(list(enumerate(names, start=1)))}
    ends = {name: f"…{place[name]}" for name in names}
    return [name if len(name) <= width else name[: width - len(ends[name])] + ends[name] for name in names]
