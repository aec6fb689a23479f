"""Many experiments compared: which are repeats of each other, what they are called, mean and spread.

Repeats have the same parameters but for the seeds of the networks and of training; the seed of the drawn data makes
another data set, and so another group. All figures of a row are percentages.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mutual.base.errors import InputError
from mutual.refineries.contract import find_refinery

ACCURACY = {"mAP": "mAP", "rank1": "rank-1", "rank5": "rank-5", "rank10": "rank-10"}
PROTOCOLS = {"direct": "direct transfer", "last": "last", "best_on_test": "best on test"}
FIGURES = [f"{protocol}_{key}" for protocol in PROTOCOLS for key in ACCURACY]
PUBLISHED_AS = {"direct transfer": "direct", "MMT": "best_on_test"}  # the authors' protocol
OLD_KEY = "refinery"  # of the method
NAMED = ("seeds", "method", "clustering", "clusters", "backbone")  # and the keys of the refineries

Params = Mapping[str, Any]
Row = dict[str, Any]


class Experiment(NamedTuple):
    """``params``: params.yaml and the number of ``rounds``; ``metrics``: shares, by ``FIGURES``."""

    name: str
    params: Params
    metrics: Mapping[str, float]


# --- groups ----------------------------------------------------------------------------------------------------------


def without_copies(experiments: Iterable[Experiment]) -> tuple[list[Experiment], list[Experiment]]:
    """The first with each set of parameters, seeds among them; and those after it whose figures are others."""
    kept: list[Experiment] = []
    others = []
    for experiment in experiments:
        first = next((each for each in kept if each.params == experiment.params), None)
        if first is None:
            kept.append(experiment)
        elif any(first.metrics.get(key) != experiment.metrics.get(key) for key in FIGURES):
            others.append(experiment)
    return kept, others


def grouped(experiments: Iterable[Experiment]) -> list[list[Experiment]]:
    """Repeats together, in the order in which they come."""
    groups: list[list[Experiment]] = []
    for experiment in experiments:
        # compared as values: `-S alpha=0` leaves a 0 where params.yaml has 0.0
        same = [group for group in groups if but_for_seeds(group[0].params) == but_for_seeds(experiment.params)]
        if same:
            same[0].append(experiment)
        else:
            groups.append([experiment])
    return groups


def but_for_seeds(params: Params) -> dict[str, Any]:
    """What repeats have in common: of the seeds no more than their number."""
    return {key: value for key, value in params.items() if key != "seed"} | {"seeds": len(params["seeds"])}


# --- names -----------------------------------------------------------------------------------------------------------


def method(params: Params) -> str:
    """What the refinery calls itself with these parameters."""
    try:
        return find_refinery(chosen(params)).title(params)
    except InputError:  # an experiment of a commit with a refinery that is not here
        return chosen(params)


def chosen(params: Params) -> str:
    """The refinery's name; older experiments called the key otherwise, the oldest had no choice and are MMT's."""
    name: str = params.get("method", params.get(OLD_KEY, "mmt"))
    return name


def refinery_keys(params: Params) -> tuple[str, ...]:
    """The parameters that it takes; none where it is not here."""
    try:
        return find_refinery(chosen(params)).keys
    except InputError:
        return ()


def needed(params: Params) -> list[str]:
    """The keys without which parameters, of another version, cannot be named or grouped."""
    names = ["source_name", "target_name", "pooling", "seeds", "clustering", "clusters", "backbone"]
    return [*names, *refinery_keys(params)]


def label(params: Params) -> str:
    """Method, clustering and backbone."""
    known = {"kmeans": f"k-means {params['clusters']}", "dbscan": "DBSCAN", "labels": "true labels"}
    clustering = known.get(params["clustering"], params["clustering"])
    return f"{method(params)}, {clustering}, {params['backbone']}"


def unique_labels(groups: Sequence[Params]) -> list[str]:
    """A label for each group of one task; what else differs among the groups follows as key=value."""
    labels = [label(params) for params in groups]
    named = {*NAMED, OLD_KEY, *(key for params in groups for key in refinery_keys(params))}
    keys = [key for key in varying(groups) if key not in named]
    labels = [text + settings(params, keys) for text, params in zip(labels, groups, strict=True)]
    for text in {text for text in labels if labels.count(text) > 1}:
        same = [i for i, other in enumerate(labels) if other == text]
        keys = [key for key in varying([groups[i] for i in same]) if key != "seeds"]
        for i in same:
            labels[i] += settings(groups[i], keys)
    return labels


def varying(groups: Sequence[Params]) -> list[str]:
    """The keys whose values are not the same in all groups, seeds of training aside."""
    keys = dict.fromkeys(key for params in groups for key in params if key != "seed")
    return [key for key in keys if any(params.get(key) != groups[0].get(key) for params in groups)]


def settings(params: Params, keys: Iterable[str]) -> str:
    """Values as they stand in params.yaml, each after a comma."""
    values = {key: json.dumps(params[key]).strip('"') for key in keys if key in params}
    return "".join(f", {key}={value}" for key, value in values.items())


# --- rows ------------------------------------------------------------------------------------------------------------


def table_rows(experiments: Iterable[Experiment], published: Sequence[Mapping[str, str]]) -> list[Row]:
    """A row for each group, ordered by task and, in it, by the last mAP."""
    groups = grouped(experiments)
    tasks = sorted({task_of(group[0].params) for group in groups})
    rows: list[Row] = []
    for task in tasks:
        members = [group for group in groups if task_of(group[0].params) == task]
        names = unique_labels([group[0].params for group in members])
        found = [
            {"source": task[0], "target": task[1], "method": name, "n": len(group)}
            | mean_and_spread([experiment.metrics for experiment in group])
            | published_figures(group[0].params, published)
            for name, group in zip(names, members, strict=True)
        ]
        rows += sorted(found, key=lambda row: (row["last_mAP"] or 0, row["method"]))
    return rows


def task_of(params: Params) -> tuple[str, str]:
    return params["source_name"], params["target_name"]


def mean_and_spread(metrics: Sequence[Mapping[str, float]]) -> Row:
    """Of each figure the mean and, of two experiments or more, the sample standard deviation (``_sd``).

    None where it was not measured, or not in all of them.
    """
    row: Row = {}
    for key in FIGURES:
        values = [100 * found[key] for found in metrics if key in found]
        if len(values) < len(metrics):
            row |= {key: None, f"{key}_sd": None}
            continue
        row[key] = statistics.mean(values)
        row[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else None
    return row


def published_figures(params: Params, published: Iterable[Mapping[str, str]]) -> Row:
    """What is published, with average pooling, for task and backbone: direct transfer, MMT with as many clusters."""
    row: Row = {f"published_{protocol}_{key}": None for protocol in PUBLISHED_AS.values() for key in ACCURACY}
    clusters = {"kmeans": str(params["clusters"]), "dbscan": "none"}.get(params["clustering"])
    ours = (*task_of(params), params["backbone"], params["pooling"])
    for line in published:
        adapted = line["method"] == method(params) and line["clusters"] == clusters
        same = (line["source"], line["target"], line["backbone"], "avg") == ours
        if same and (adapted or line["method"] == "direct transfer"):
            protocol = PUBLISHED_AS[line["method"]]
            row |= {f"published_{protocol}_{key}": float(line[key]) for key in ACCURACY if line[key]}
    return row
