"""An experiment's artefacts, drawn by chance: what the page reads, without a network that made it."""

from pathlib import Path
from typing import Any

import numpy as np

from mutual.base.store import write_array, write_json, write_text
from mutual.clusters.pseudo_labels import PseudoLabels, cluster_sizes, write_pseudo_labels
from mutual.images.index import Index, write_index

PEERS = ("1", "2")
KEPT = 50


def draw(
    top: Path,
    *,
    train: int = 60,
    query: int = 12,
    gallery: int = 40,
    pids: int = 6,
    cameras: int = 3,
    rounds: int = 2,
    width: int = 8,
    size: tuple[int, int] = (32, 16),
    labelled: bool = True,
    outliers: bool = False,
    seed: int = 1,
    name: str = "image",
) -> None:
    """A project below ``top``; of an unlabelled one there are no test images, no pids and no cameras."""
    random = np.random.default_rng(seed)
    counts = {"train": train, "query": query if labelled else 0, "gallery": gallery if labelled else 0}
    index, start = {}, 0
    for split, count in counts.items():
        pid = random.integers(1, pids + 1, count) if labelled else np.full(count, -1)
        camid = random.integers(1, cameras + 1, count) if labelled else start + np.arange(count)
        index[split] = Index([f"{split}/{name}{i}.jpg" for i in range(count)], pid.astype(np.int64), camid)
        start += count
        write_index(top / f"data/packed/target/{split}.csv", index[split])
        pictures = random.integers(0, 256, (count, *size, 3), np.uint8)
        write_array(top / f"data/packed/target/{split}.npy", pictures)
    names = [f"r{i:02d}" for i in range(rounds + 1)]
    write_text(top / "rounds.yaml", "rounds:\n" + "".join(f"  r{i:02d}: r{i - 1:02d}\n" for i in range(1, rounds + 1)))
    of_round = random.standard_normal((pids, width), np.float32)
    groups = index["train"].pid - 1 if labelled else random.integers(0, pids, train)
    for step, after in enumerate(names):
        noise = random.standard_normal((train, width), np.float32) * np.float32(0.9 / (step + 1))
        features = of_round[groups] + noise
        labels = PseudoLabels(np.where(random.random(train) < 0.8 - 0.1 * step, groups, (groups + 1) % pids))
        if outliers:
            labels.classes[random.permutation(train)[: train // 10]] = -1
        last = after == names[-1]
        folder = top / ("data/retrieval/last" if last else f"data/rounds/{names[step + 1]}")
        for file in [f"peer{peer}.train.npy" for peer in PEERS] if last else ["features.npy"]:
            write_array(folder / file, features)
        write_pseudo_labels(folder / "pseudo_labels.csv", index["train"].file, labels)
        told = {"clusters": cluster_sizes(labels.classes)["clusters"], "outliers": float((labels.classes < 0).mean())}
        if last:
            sizes = cluster_sizes(labels.classes) | {"label_free": {"silhouette": 0.2, "agreement": 0.6}}
            write_json(folder / "clustering.json", sizes)
        _figures(top, after, told if step else {}, labelled, random)
        if labelled:
            _found(top / "data/retrieval" / after, index, random)
        if step:
            lines = [f"{40 * (step - 1) + i},{random.random():.4f},{random.random():.4f}" for i in range(1, 41)]
            write_text(top / f"metrics/losses/{after}.csv", "\n".join(["iteration,total,hard_ce", *lines, ""]))


def _figures(top: Path, after: str, told: dict[str, Any], labelled: bool, random: np.random.Generator) -> None:
    figures = [dict(zip(("mAP", "rank1", "rank5", "rank10"), np.sort(random.random(4)), strict=True)) for _ in PEERS]
    agreement = {"nmi": 0.8, "ari": 0.5, "purity": 0.7, "nmi_singletons": 0.8, "ari_singletons": 0.5}
    result = {
        "peers": {peer: of if labelled else {} for peer, of in zip(PEERS, figures, strict=True)},
        "pseudo_labels": told | (agreement if labelled and told else {}),
        "label_free": {"silhouette": 0.1, "agreement": 0.5} if told else {},
        "computed": {"device": "cpu", "threads": 1},
    }
    write_json(top / f"metrics/rounds/{after}.json", result)


def _found(folder: Path, index: dict[str, Index], random: np.random.Generator) -> None:
    """Every gallery image in any order, but for those of the query's own pid and camera."""
    queries, images = len(index["query"]), len(index["gallery"])
    for peer in PEERS:
        nearest = np.full((queries, KEPT), -1, np.int32)
        for q in range(queries):
            own = (index["gallery"].pid == index["query"].pid[q]) & (index["gallery"].camid == index["query"].camid[q])
            rows = random.permutation(images) if images <= 5000 else random.integers(0, images, 200)
            rows = rows[~own[rows]][:KEPT]
            nearest[q, : len(rows)] = rows
        write_array(folder / f"peer{peer}.nearest.npy", nearest)
        write_array(folder / f"peer{peer}.average_precision.npy", random.random(queries))
