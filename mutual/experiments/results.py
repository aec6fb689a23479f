"""What a round's test wrote, read with every figure in its range."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from mutual.base.errors import InputError, shown
from mutual.base.store import read_json

Share = Annotated[float, Field(ge=0, le=1)]
Agreement = Annotated[float, Field(ge=-1, le=1 + 1e-9)]  # NMI of two equal clusterings may be 1.0000000000000002


Result = Mapping[str, Any]  # as RoundResult below
ACCURACY = ("mAP", "rank1", "rank5", "rank10")


class Accuracy(TypedDict, total=False):
    """Of one peer: all four, and perhaps the re-ranked two; nothing where there are no labelled test images."""

    mAP: Share
    rank1: Share
    rank5: Share
    rank10: Share
    rerank_mAP: Share
    rerank_rank1: Share


class Labels(TypedDict, total=False):
    """Of the round's pseudo labels, against the true identities where these are known; r00 has none."""

    clusters: Annotated[int, Field(ge=1)]
    outliers: Share
    nmi: Agreement
    ari: Agreement
    purity: Share
    nmi_singletons: Agreement
    ari_singletons: Agreement


class Computed(TypedDict):
    """Where: other devices and other numbers of threads round differently."""

    device: str
    threads: Annotated[int, Field(ge=1)]


class RoundResult(TypedDict):
    """The test of one round: each peer, and what it learned from."""

    peers: Annotated[dict[str, Accuracy], Field(min_length=1)]
    pseudo_labels: Labels
    label_free: NotRequired[dict[str, float]]  # of the features and clusters that the round started from
    computed: Computed


def read_result(path: Path, seeds: Sequence[int], labelled: bool) -> dict[str, Any]:
    """A round's figures of the peers of these seeds; ``labelled``: with those of pseudo labels.

    Raises :class:`InputError` for anything else.
    """
    result: dict[str, Any] = read_json(path, RoundResult)
    if set(result["peers"]) != set(map(str, seeds)):
        expected, found = ", ".join(map(str, seeds)), ", ".join(result["peers"])
        raise InputError(f"{path}: peers: expected {expected} as in params.yaml, found {shown(found)}")
    for seed, peer in result["peers"].items():
        if peer and (missing := [key for key in ACCURACY if key not in peer]):
            raise InputError(f"{path}: peers.{seed}.{missing[0]}: missing, as if there were no labelled test images")
    if len({frozenset(peer) for peer in result["peers"].values()}) > 1:
        raise InputError(f"{path}: peers: expected the same figures of each")
    if labelled and (absent := needed(result["pseudo_labels"]) - set(result["pseudo_labels"])):
        raise InputError(f"{path}: pseudo_labels: expected {', '.join(sorted(absent))} too")
    return result


def needed(labels: Labels) -> set[str]:
    """What is known of a round's pseudo labels: their number at least; and all of their quality or none of it."""
    sizes = {"clusters", "outliers"}
    return set(Labels.__annotations__) if set(labels) - sizes else sizes
