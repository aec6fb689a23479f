"""Test the teachers of a round on the target's query and gallery, and its pseudo labels against the true identities.

This is the only stage that reads the target's identities; nothing that it writes is read by a stage that trains.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from mutual.base.errors import run
from mutual.base.params import FIRST_ROUND, read_params
from mutual.base.store import read_array, read_json, write_json
from mutual.clusters.pseudo_labels import read_pseudo_labels
from mutual.clusters.quality import label_quality
from mutual.evaluation.features import extract
from mutual.evaluation.ranking import Ranking, euclidean, rank_blocks
from mutual.images.index import Index, read_index
from mutual.machine.device import deterministic_device
from mutual.networks.peers import forget_unlisted_peers, peer_path, read_network
from mutual.networks.reid import ReidNetwork, inference

TARGET = Path("data/packed/target")
MODELS = Path("models")
ROUNDS = Path("data/rounds")
METRICS = Path("metrics/rounds")


def main() -> None:
    """``--round r01``; r00 is direct transfer: the pre-trained networks, before any adaptation."""
    parser = argparse.ArgumentParser(description="Test the teachers of a round on the target.")
    parser.add_argument("--round", required=True)
    name: str = parser.parse_args().round
    params = read_params()
    device = deterministic_device()
    forget_unlisted_peers(MODELS / name, params.seeds)
    build = partial(
        ReidNetwork,
        params.backbone,
        stem_relu=params.stem_relu,
        pooling=params.pooling,
        dropout=params.dropout,
        precision=params.precision,
    )
    query, gallery = read_index(TARGET / "query.csv"), read_index(TARGET / "gallery.csv")
    images = [read_array(TARGET / "query.npy"), read_array(TARGET / "gallery.npy")]
    peers = {}
    for seed in params.seeds:
        teacher = inference(read_network(peer_path(MODELS / name, seed), "teacher", build).to(device))
        q, g = [extract(teacher, split, device, f"{name}: peer {seed} on the test set") for split in images]
        ids = query.pid, gallery.pid, query.camid, gallery.camid
        found = rank_blocks(euclidean(q, g, device), *ids)
        peers[str(seed)] = accuracy(found)
        print(f"{name}: peer {seed}: mAP {found.mean_average_precision:.1%}, rank-1 {found.rank(1):.1%}")
        if params.rerank:
            from mutual.evaluation.reranking import reranked  # needs SciPy, which others do not wait for

            found = rank_blocks(reranked(q, g, device), *ids)
            peers[str(seed)] |= {"rerank_mAP": found.mean_average_precision, "rerank_rank1": found.rank(1)}
    labels = {} if name == FIRST_ROUND else diagnosis(ROUNDS / name, read_index(TARGET / "train.csv"))
    write_json(METRICS / f"{name}.json", {"peers": peers, "pseudo_labels": labels})


def accuracy(found: Ranking) -> dict[str, float]:
    """mAP and CMC at ranks 1, 5 and 10, all 0 .. 1."""
    return {"mAP": found.mean_average_precision, **{f"rank{k}": found.rank(k) for k in (1, 5, 10)}}


def diagnosis(folder: Path, train: Index) -> dict[str, Any]:
    """Number of clusters, share of outliers, and agreement of the round's pseudo labels with the true identities."""
    labels = read_pseudo_labels(folder / "pseudo_labels.csv", train.file)
    clusters: int = read_json(folder / "clustering.json")["clusters"]
    return {"clusters": clusters, "outliers": float((labels < 0).mean()), **label_quality(train.pid, labels)}


if __name__ == "__main__":
    run(main)
