"""How well a network finds people again: from packed images to mAP and CMC."""

from copy import deepcopy
from pathlib import Path

import torch

from mutual.evaluation.features import extract
from mutual.evaluation.ranking import Ranking, euclidean, rank_blocks
from mutual.images.index import read_split
from mutual.networks.reid import ReidNetwork, inference


def accuracy(found: Ranking) -> dict[str, float]:
    """mAP and CMC at ranks 1, 5 and 10, all 0 .. 1; nothing where no query has a match that is known."""
    if not found.measured:
        return {}
    return {"mAP": found.mean_average_precision, **{f"rank{k}": found.rank(k) for k in (1, 5, 10)}}


def accuracy_on(packed: Path, device: torch.device, network: ReidNetwork) -> float:
    """mAP, 0 .. 1, of a network on query and gallery of a packed set; the network goes on training."""
    frozen = inference(deepcopy(network))
    sets = [read_split(packed, split) for split in ("query", "gallery")]
    (query, q), (gallery, g) = [(extract(frozen, images, device, "source test"), index) for images, index in sets]
    ranking, _ = rank_blocks(euclidean(query, gallery, device), q.pid, g.pid, q.camid, g.camid)
    return ranking.mean_average_precision
