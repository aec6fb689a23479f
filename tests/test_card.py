"""The model card: every number from a file, and what it says where labels, cameras or rights are not known."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from mutual.experiments.card import Facts, Network, model_card, read_network_facts
from mutual.images.index import Index, write_index
from mutual.networks.peers import Peer, read_peer
from tests.tiny import refusal

FORM = {"backbone": "resnet50", "stem_relu": False, "pooling": "gem", "dropout": 0.0, "precision": "fp32"}
PEER: dict[str, Any] = {
    "network": FORM,
    "classes": 7,
    "height": 48,
    "width": 24,
    "iterations": 123,
    "params": {"pretrain": {"pretrain_lr": 0.002}, "adaptation": {"method": "mmt", "lr": 3.5e-4}},
}


def accuracy(value: float) -> dict[str, float]:
    return {"mAP": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}


def index(count: int, people: int, cameras: int) -> Index:
    return Index([f"{i}.jpg" for i in range(count)], np.arange(count) % people + 1, np.arange(count) % cameras + 1)


def facts() -> Facts:
    return Facts(
        source="elsewhere",
        target="here",
        indices={
            "source": index(40, 8, 3),
            "train": index(30, 5, 4),
            "query": index(6, 2, 4),
            "gallery": index(9, 3, 4),
        },
        start={"weights": "none", "pretrained": "none"},
        drawn=True,
        clustering={"clustering": "kmeans", "clusters": 11},
        results={
            "r00": {"peers": {"1": accuracy(0.2), "2": accuracy(0.3)}},
            "r01": {"peers": {"1": accuracy(0.41), "2": accuracy(0.52)}},
        },
        networks=[
            Network("peer1.safetensors", 1234, "ab12", 2048, PEER),
            Network("peer2.safetensors", 99, "cd", 2048, PEER),
        ],
    )


def row(card: str, first: str) -> list[str]:
    (line,) = re.findall(rf"(?m)^\| {re.escape(first)} \| (.*) \|$", card)
    return line.split(" | ")


def write_what_the_card_needs(folder: Path) -> None:
    """Two peers without tensors to speak of, and the index of the packed sets."""
    (folder / "adapted/peers").mkdir(parents=True)
    for seed in (1, 2):
        tensors = {"teacher.neck.weight": np.ones(2048, np.float32)}
        save_file(tensors, folder / f"adapted/peers/peer{seed}.safetensors", metadata={"peer": json.dumps(PEER)})
    for split, found in (("train", index(9, 3, 2)), ("query", index(3, 3, 2)), ("gallery", index(6, 3, 2))):
        write_index(folder / f"data/packed/target/{split}.csv", found)
        write_index(folder / f"data/packed/source/{split}.csv", found)


def test_the_worked_example() -> None:
    card = model_card(facts())
    assert row(card, "elsewhere, train") == ["40", "8", "3"]
    assert row(card, "here, train") == ["30", "not used", "4"]
    assert row(card, "here, query and gallery") == ["6 and 9", "2", "4"]
    assert row(card, "before adaptation (direct transfer, mean)") == ["25.0", "35.0", "45.0", "55.0"]
    assert row(card, "peer1.safetensors, after round 1") == ["41.0", "51.0", "61.0", "71.0"]
    assert row(card, "peer2.safetensors, after round 1") == ["52.0", "62.0", "72.0", "82.0"]
    assert row(card, "peer1.safetensors") == ["1234", "ab12"]
    for told in ("resnet50", "`gem`", "48 x 24 pixels", "2048 numbers", "123 iterations", "2 networks"):
        assert told in card
    for setting in ("`pretrain_lr: 0.002`", "`lr: 0.00035`", '`method: "mmt"`', "`clusters: 11`"):
        assert setting in card


def test_every_figure_follows_its_file() -> None:
    """Another result, count, size or parameter shows; nothing stands there by itself."""
    known, before = facts(), model_card(facts())
    changed = [
        replace(known, results={**known.results, "r01": {"peers": {"1": accuracy(0.6), "2": accuracy(0.52)}}}),
        replace(known, indices={**known.indices, "train": index(31, 5, 4)}),
        replace(known, networks=[replace(known.networks[0], size=1235), known.networks[1]]),
        replace(known, networks=[replace(each, peer=PEER | {"iterations": 124}) for each in known.networks]),
        replace(known, clustering={"clustering": "kmeans", "clusters": 12}),
    ]
    cards = [model_card(each) for each in changed]
    assert len({before, *cards}) == 1 + len(changed)


def test_a_target_without_labels_or_cameras_says_so() -> None:
    known = facts()
    alone = {
        name: Index(each.file, np.full(len(each), -1), np.arange(len(each))) for name, each in known.indices.items()
    }
    alone["gallery"] = replace(alone["gallery"], camid=alone["gallery"].camid + 100)
    alone["train"] = replace(alone["train"], camid=alone["train"].camid + 1000)
    results: dict[str, Any] = {"r00": {"peers": {"1": {}, "2": {}}}, "r01": {"peers": {"1": {}, "2": {}}}}
    card = model_card(replace(known, results=results, indices=alone | {"source": known.indices["source"]}))
    assert "here has no labelled test images: how well they find people there is not known." in card
    assert "mAP |" not in card
    assert row(card, "here, query and gallery") == ["6 and 9", "not known", "not known"]
    empty = {**alone, "query": index(0, 1, 1), "gallery": index(0, 1, 1), "source": known.indices["source"]}
    assert row(model_card(replace(known, results=results, indices=empty)), "here, query and gallery")[0] == "0 and 0"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "MIT, as the project"),
        ({"drawn": False}, "the pictures of elsewhere and here. Their"),
        ({"start": {"weights": "imagenet", "pretrained": "none"}}, "and from `weights: imagenet`"),
        ({"start": {"weights": "none", "pretrained": "theirs"}}, "and from `pretrained: theirs`"),
    ],
)
def test_the_licence_is_free_where_nothing_of_others_went_in(changes: dict[str, Any], told: str) -> None:
    card = model_card(replace(facts(), **changes))
    assert told in card.partition("## Licence")[2]
    assert card.startswith(f"---\nlicense: {'other' if changes else 'mit'}\n")


def test_what_a_peers_file_says_is_what_the_library_reads(tmp_path: Path) -> None:
    write_what_the_card_needs(tmp_path)
    path = tmp_path / "adapted/peers/peer1.safetensors"
    found = read_network_facts(path)
    assert read_peer(path) == Peer(**found.peer)
    assert (found.name, found.features, found.size) == ("peer1.safetensors", 2048, path.stat().st_size)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["cut", "other"])
def test_another_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.safetensors"
    if name == "cut":
        path.write_bytes(b"\x00" * 7)
    else:
        save_file({"x": np.ones(1, np.float32)}, path)
    assert "expected a peer's file" in refusal(lambda: read_network_facts(path))
