"""What a round's test wrote, read with every figure in its range."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from mutual.base.errors import InputError, shown
from mutual.base.store import read_json

Share = Annotated[float, Field(ge=0, le=1)]
Agreement = Annotated[float, Field(ge=-1, le=1 + 1e-9)]  # NMI of two equal clusterings may be 1.0000000000000002


class Accuracy(TypedDict):
    """Of one peer."""

    mAP: Share
    rank1: Share
    rank5: Share
    rank10: Share
    rerank_mAP: NotRequired[Share]
    rerank_rank1: NotRequired[Share]


class Labels(TypedDict, total=False):
    """Of the round's pseudo labels against the true identities; r00 has none."""

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
    computed: Computed


def read_result(path: Path, seeds: Sequence[int], labelled: bool) -> dict[str, Any]:
    """A round's figures of the peers of these seeds; ``labelled``: with those of pseudo labels.

    Raises :class:`InputError` for anything else.
    """
    result: dict[str, Any] = read_json(path, RoundResult)
    if set(result["peers"]) != set(map(str, seeds)):
        expected, found = ", ".join(map(str, seeds)), ", ".join(result["peers"])
        raise InputError(f"{path}: peers: expected {expected} as in params.yaml, found {shown(found)}")
    missing = set(Labels.__annotations__) - set(result["pseudo_labels"])
    if labelled and missing:
        raise InputError(f"{path}: pseudo_labels: expected {', '.join(sorted(missing))} too")
    return result
