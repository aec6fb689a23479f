"""The model card of the adapted networks: what they are, of what they are made, how good, and what they are not for.

Every number stands in a file that the pipeline made: the networks' own, the results of the rounds, the packed index.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from mutual.base.errors import InputError
from mutual.base.params import FIRST_ROUND, GIVEN, NONE, round_number
from mutual.base.store import existing
from mutual.experiments.results import ACCURACY, Result
from mutual.experiments.summary import mean_of_peers, percents, task_title
from mutual.images.index import Index

FRONT = """\
---
license: {licence}
pipeline_tag: image-feature-extraction
tags:
  - re-identification
  - unsupervised-domain-adaptation
  - mutual-mean-teaching
---
"""
LIMITS = """\
- They were adapted to the cameras and the season of {target}. Elsewhere expect what direct transfer gives, or less.
- They compare pictures of one individual each, cut out by a detector; they neither find anybody nor know who it is.
- Of people they compare clothes more than faces: in other clothes, on another day, a person is another one to them.
- One run of one set of seeds: figures move by points of mAP between seeds and between processors.
- Recognising people across cameras is surveillance. Whether it is lawful, and fair to those who are filmed, is for
  whoever uses them to settle first.
"""


@dataclass(frozen=True)
class Network:
    """What a peer's file says of itself, read without the libraries that run it."""

    name: str
    size: int  # bytes
    sha256: str
    features: int  # numbers of a feature
    peer: Mapping[str, Any]  # see mutual.networks.peers.Peer


@dataclass(frozen=True)
class Facts:
    """All that a card is made of."""

    source: str  # names of the data sets
    target: str
    indices: Mapping[str, Index]  # source, and the target's train, query and gallery
    start: Mapping[str, str]  # weights and pretrained, from params.yaml
    drawn: bool  # whether both sets are the demo's
    clustering: Mapping[str, Any]  # parameters, and the share of labels that are wrong on purpose
    results: Mapping[str, Result]  # by round, the last one last
    networks: Sequence[Network]


def read_network_facts(path: Path) -> Network:
    """What the card says of a peer's file. Raises :class:`InputError` where it is none."""
    try:
        with safe_open(existing(path), framework="np") as file:
            peer = json.loads((file.metadata() or {})["peer"])
            features = file.get_slice("teacher.neck.weight").get_shape()[0]
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected a peer's file: {error}") from None
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Network(path.name, path.stat().st_size, digest, features, peer)


def model_card(facts: Facts) -> str:
    """Markdown, with the few keys in front that model hubs read."""
    free = facts.drawn and set(facts.start.values()) == {NONE}
    parts = [
        FRONT.format(licence="mit" if free else "other") + f"# {task_title(facts.source, facts.target)}, adapted",
        what_it_is(facts),
        "## Data\n\n" + table([["", "images", "identities", "cameras"], *data_rows(facts)]),
        labels_used(facts),
        "## Figures\n\n" + figures(facts),
        "## How they were made\n\n" + made_by(facts),
        "## Files\n\n"
        + table([["file", "bytes", "SHA-256"], *([n.name, f"{n.size}", n.sha256] for n in facts.networks)]),
        "`mutual.networks.peers.read_network` builds a network from its file alone, `python -m tools.export` makes ONNX"
        " of it.",
        "## Limits\n\n" + LIMITS.format(target=facts.target).rstrip(),
        "## Licence\n\n" + licence(facts, free),
    ]
    return "\n\n".join(parts) + "\n"


def what_it_is(facts: Facts) -> str:
    """Network, images and features, in a few sentences."""
    first, count = facts.networks[0], len(facts.networks)
    peer, network = first.peer, first.peer["network"]
    which = "One network" if count == 1 else f"{count} networks, each of use alone,"
    labels = "with its" if knew_labels(facts) else "without"
    came = "" if facts.source == NONE else f" from {facts.source}"
    return (
        f"{which} for re-identification, adapted{came} to {facts.target} {labels} labels by"
        f" `{peer['params']['adaptation']['method']}`: {network['backbone']} with `{network['pooling']}` pooling,"
        f" from images of {peer['height']} x {peer['width']} pixels (height x width) to L2-normalised features of"
        f" {first.features} numbers. Each file holds a student and its mean teacher; the figures are the teacher's."
    )


def knew_labels(facts: Facts) -> bool:
    """Whether the target's true labels took the place of clusters."""
    return bool(facts.clustering["clustering"] == GIVEN)


def labels_used(facts: Facts) -> str:
    """What part the labels of the target's training images had."""
    if not knew_labels(facts):
        return "No label of the target was used in training."
    return (
        f"**The labels of {facts.target}'s training images were used in training**, in place of clusters, with"
        f" {facts.clustering['label_noise']:.0%} of them made wrong on purpose: these networks belong to a study."
    )


def data_rows(facts: Facts) -> list[list[str]]:
    """The source's training images, if any, the target's, and the target's test: images, identities and cameras.

    Those of the target's training images may be known, but take no part unless they are used in place of clusters.
    """
    source, train, query, gallery = (facts.indices[name] for name in ("source", "train", "query", "gallery"))
    of_target = np.concatenate([train.camid, query.camid, gallery.camid])
    shared = len(np.unique(of_target)) < len(of_target)  # where cameras are not known each image has its own
    of_source = [f"{facts.source}, train", f"{len(source)}", people(source), cameras(source.camid, shared=True)]
    return [
        *([of_source] if len(source) else []),
        [
            f"{facts.target}, train",
            f"{len(train)}",
            people(train) if knew_labels(facts) else "not used",
            cameras(train.camid, shared),
        ],
        [
            f"{facts.target}, query and gallery",
            f"{len(query)} and {len(gallery)}",
            people(query),
            cameras(np.concatenate([query.camid, gallery.camid]), shared),
        ],
    ]


def people(index: Index) -> str:
    """How many identities the images have."""
    return f"{len(np.unique(index.pid))}" if (index.pid >= 0).any() else "not known"


def cameras(camids: np.ndarray, shared: bool) -> str:
    """How many cameras; ``shared``: whether any of the set has taken two images."""
    return f"{len(np.unique(camids))}" if shared and len(camids) else "not known"


def figures(facts: Facts) -> str:
    """mAP and CMC of direct transfer and the last round, in %; that they are not known where there are no labels."""
    last = list(facts.results)[-1]
    found = {"before adaptation (direct transfer, mean)": mean_of_peers(facts.results[FIRST_ROUND])}
    for peer, accuracy in facts.results[last]["peers"].items():
        found[f"peer{peer}.safetensors, after round {round_number(last)}"] = accuracy
    if not all(key in accuracy for accuracy in found.values() for key in ACCURACY):
        return f"{facts.target} has no labelled test images: how well they find people there is not known."
    rows = [
        ["in %", "mAP", "rank-1", "rank-5", "rank-10"],
        *([title, *percents(each)] for title, each in found.items()),
    ]
    return table(rows) + f"\n\nOn query and gallery of {facts.target}, whose labels served this measurement alone."


def made_by(facts: Facts) -> str:
    """The parameters, stage by stage, as the networks' files and params.yaml have them."""
    peer = facts.networks[0].peer
    stages = {**peer["params"], "clustering": facts.clustering}
    last = round_number(list(facts.results)[-1])
    lines = [f"{peer['iterations']} iterations of adaptation lie behind them; their last round was round {last}.", ""]
    for stage, params in stages.items():
        lines.append(
            f"- {stage}: {', '.join(f'`{key}: {json.dumps(value)}`' for key, value in sorted(params.items()))}"
        )
    return "\n".join(lines)


def licence(facts: Facts, free: bool) -> str:
    """What holds for the weights; where data or weights of others went in, that they decide."""
    if free:
        return "MIT, as the project: they come from drawn pictures and random numbers alone."
    given = [f"`{key}: {value}`" for key, value in facts.start.items() if value != NONE]
    named = [name for name in (facts.source, facts.target) if name != NONE]
    came = f"the pictures of {' and '.join(named)}" + "".join(f", and from {each}" for each in given)
    return (
        f"Not settled by this project, whose code is MIT: the weights come from {came}. Their terms, such as research"
        " only, hold for what was learned from them, too: look at them before you hand the files on."
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the header, the first column text."""
    lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
