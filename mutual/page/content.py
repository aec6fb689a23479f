"""What stands on the page, gathered from the runs: for its template, and for its script."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import md5
from itertools import pairwise
from typing import Any

import numpy as np

from mutual.base.progress import Progress
from mutual.datasets.folders import shown
from mutual.experiments.summary import label_figures, task_title
from mutual.page import charts
from mutual.page.cameras import confusion
from mutual.page.galleries import galleries
from mutual.page.headline import TITLES, protocols
from mutual.page.known import cameras_known, pids_known
from mutual.page.labels import changed, lineages
from mutual.page.lists import Lists, among_training, tested, tested_queries
from mutual.page.pictures import Album
from mutual.page.projection import evenly, maps
from mutual.page.run import Run

POINTS = 1500  # of the map
MAPS = 12
CLUSTERS, PICTURES = 6, 16  # of a kind, of a cluster
CAMERAS = 40  # of which a table can still be read


@dataclass(frozen=True)
class Content:
    """What a page is made of, but for the pictures."""

    told: dict[str, Any]  # for the template
    data: dict[str, Any]  # for the script
    specs: dict[str, Any]  # of the charts
    album: Album
    lists: Lists  # the run's own


def content(run: Run, others: Sequence[Run], random: np.random.Generator, seed: int) -> Content:
    """What the page shows of a run, and of others beside it."""
    runs, album = [run, *others], Album()
    lists = lists_of(run, others, random)
    for of in lists:
        of.add_to(album)
    clusters = clusters_of(run, album)
    data = {
        "rounds": run.after,
        "lists": {
            "groups": [{"title": g.title, "note": g.note, "queries": g.rows} for g in lists[0].groups],
            "queries": [album.add(lists[0].split[0], row) for row in lists[0].queries],
            "kind": "tested" if run.tested else "labelled" if pids_known(run.index["train"]) else "clustered",
            "runs": [of.content(each.name, album) for of, each in zip(lists, runs, strict=False)],
        },
        "clusters": clusters,
        "map": map_of(run, album, random, seed),
        "cameras": cameras_of(run),
    }
    data["images"] = images_of(run, album)
    moved = moves(run)
    return Content(told_of(runs, lists, moved), data, specs_of(runs, moved), album, lists[0])


def clusters_of(run: Run, album: Album) -> list[dict[str, Any]]:
    """Clusters that the last round learned from, their images by their number in the album."""
    pids = run.index["train"].pid if pids_known(run.index["train"]) else None
    learned = run.learned(list(run.rounds)[-1])
    kinds = [asdict(kind) for kind in galleries(learned.features, learned.labels, pids, CLUSTERS, PICTURES)]
    for kind in kinds:
        for cluster in kind["clusters"]:
            cluster["images"] = [album.add("train", row) for row in cluster.pop("rows")]
    return kinds


def lists_of(run: Run, others: Sequence[Run], random: np.random.Generator) -> list[Lists]:
    """The run's, and those of others where the same queries were asked of the same gallery."""
    if not run.tested:
        known = run.index["train"].pid if pids_known(run.index["train"]) else None
        return [among_training(run, known, random)]
    groups = tested_queries(run, random)
    return [tested(each, groups) for each in (run, *others) if same_test(run, each)]


def same_test(run: Run, other: Run) -> bool:
    """Whether both have the same test images, in the same order."""
    return all(run.index[split].file == other.index[split].file for split in ("query", "gallery"))


def map_of(run: Run, album: Album, random: np.random.Generator, seed: int) -> dict[str, Any]:
    """Places and clusters of some training images after at most twelve rounds, evenly chosen."""
    count = len(run.index["train"])
    rows = np.sort(random.permutation(count)[:POINTS])
    known = [name for name in run.after if name == run.after[-1] or name in run.rounds.values()]
    names = [known[i] for i in evenly(len(known), MAPS)]
    features, labels = [], []
    for name in names:
        state = run.state(name)
        assert state is not None  # of these names
        features.append(np.array(state.features[rows]))
        labels.append(state.labels)
    steps = Progress(maps(features, seed), desc="maps", total=len(names), unit="map")
    places = [place.ravel().tolist() for place in steps]
    stays = [each[rows].tolist() for each in lineages(labels)]
    states = [{"after": run.after.index(name), "places": place, "cluster": cluster}
              for name, place, cluster in zip(names, places, stays, strict=True)]  # fmt: skip
    return {"images": [album.add("train", row) for row in rows], "states": states}


def cameras_of(run: Run) -> dict[str, Any] | None:
    """Rank 1 by cameras after each round, all peers together; None without labels or cameras, or with too many."""
    query, gallery = run.index["query"], run.index["gallery"]
    if not run.tested or not cameras_known(run.index.values()):
        return None
    cameras = np.unique(np.concatenate([query.camid, gallery.camid]))
    if len(cameras) > CAMERAS:
        return None
    counts = [sum(confusion(run.found(after, peer).nearest, query, gallery, cameras) for peer in run.peers)
              for after in run.after]  # fmt: skip
    return {"camids": cameras.tolist(), "counts": np.array(counts).tolist()}


def images_of(run: Run, album: Album) -> dict[str, list[Any]]:
    """What is known of the album's images; pid and camid are null where they are not known."""
    cameras = cameras_known(run.index.values())
    places = [(run.index[split], row) for split, row in album.places]
    return {
        "file": [shown(index.file[row]) for index, row in places],
        "pid": [int(index.pid[row]) if index.pid[row] >= 0 else None for index, row in places],
        "camid": [int(index.camid[row]) if cameras else None for index, row in places],
    }


def moves(run: Run) -> dict[str, int | None]:
    """How many images changed their cluster in each round; None in the first."""
    labels = [run.learned(name).labels for name in run.rounds]
    moved = [None, *(changed(before, after) for before, after in pairwise(labels))]
    return dict(zip(run.rounds, moved, strict=True))


def specs_of(runs: Sequence[Run], moved: Mapping[str, int | None]) -> dict[str, Any]:
    """The charts that there is something for, by the name of their place on the page."""
    found: dict[str, Any] = {}
    several = len(runs) > 1
    for key in ("mAP", "rank1"):
        rows = [row | ({"run": run.name} if several else {}) for run in runs
                for row in charts.accuracy_rows(run.figures, key)]  # fmt: skip
        if rows:
            found[key] = charts.accuracy_chart(rows, key)
    figures = runs[0].figures
    for name, keys, form in (("agreement", ("nmi", "ari", "purity"), ".0%"), ("clusters", ("clusters",), "d")):
        rows = charts.label_rows(figures, keys)
        if len({row["value"] for row in rows}) > 1:  # k-means finds as many clusters in every round
            found[name] = charts.lines(rows, "round", "figure", name, form, zero=False)
    if rows := charts.change_rows(figures, moved, len(runs[0].index["train"])):
        found["changes"] = charts.lines(rows, "round", "figure", "share of the images", ".0%")
    if rows := charts.label_free_rows(runs[0].label_free):
        found["label_free"] = charts.lines(rows, "round", "figure", "figure", ".2f")
    found["losses"] = charts.lines(charts.loss_rows(runs[0].losses()), "iteration", "term", "loss", ".3f")
    return found


def told_of(runs: Sequence[Run], lists: Sequence[Lists], moved: Mapping[str, int | None]) -> dict[str, Any]:
    """The page's tables and texts."""
    run = runs[0]
    tasks = [(each.params["source_name"], each.params["target_name"]) for each in runs]
    keys = dict.fromkeys(key for each in runs for key in each.params)
    params = {key: [told(each.params.get(key, "")) for each in runs] for key in keys}
    return {
        "runs": [each.name for each in runs],
        "tasks": tasks,
        "titles_of_tasks": [task_title(*task) for task in tasks],
        "protocols": [protocols(each.figures, each.label_free) for each in runs],
        "titles": TITLES,
        "figures": run.figures,
        "label_titles": label_figures(run.figures.values()),
        "moved": moved,
        "alarms": run.alarms(),
        "counts": {split: len(index) for split, index in run.index.items()},
        "pids": pids_known(run.index["train"]),
        "cameras": cameras_known(run.index.values()),
        "tested": run.tested,
        "other_lists": len(lists) == len(runs),
        "params": {key: (values, len(set(values)) > 1) for key, values in params.items()},
        "computed": sorted({tuple(of["computed"].items()) for of in run.figures.values()}),
        "hashes": {
            str(path): md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            for path in (run.places.results / f"{after}.json" for after in run.after)
        },
    }


def told(value: object) -> str:
    """A parameter as text, a list by its items."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
