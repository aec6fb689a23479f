"""Co-teaching (Han et al., NeurIPS 2018): every network learns from the images that the other ones find easy.

As the authors' code selects, for pseudo labels: what is noise is learned late, so that its loss is large.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.refineries.contract import Refinery, Step, title_of
from mutual.refineries.losses import cross_entropies, hard_losses


def forget_share(number: int, rate: float, rounds: int, exponent: float) -> float:
    """What is left out in round ``number`` (from 1): from 0 to rate ** exponent, then ``rate``.

    It rises linearly over the first ``rounds``, as the authors' does over epochs; with one round there is no rise.
    """
    return rate if number > rounds or rounds == 1 else rate**exponent * (number - 1) / (rounds - 1)


def easiest(losses: Tensor, forget: float) -> Tensor:
    """(R,) int64: of the (B,) losses the places of the R = int((1 - forget) B) smallest."""
    return losses.argsort(stable=True)[: int((1 - forget) * len(losses))]


class CoTeaching(Refinery):
    """Cross entropy and softmax-triplet loss of every student on a part of the batch.

    The images are those with the smallest cross entropy, in the mean over the other peers; with mean teachers it is the
    teachers' that counts.
    """

    keys = (
        "alpha",
        "triplet_weight",
        "label_smoothing",
        "coteaching.forget_rate",
        "coteaching.forget_rounds",
        "coteaching.exponent",
    )
    terms = ("hard_ce", "hard_tri", "forgotten")
    least_peers = 2

    def __init__(
        self,
        alpha: float,
        triplet_weight: float,
        label_smoothing: float,
        forget_rate: float,
        forget_rounds: int,
        exponent: float,
    ) -> None:
        self.alpha = alpha
        self.triplet_weight = triplet_weight
        self.label_smoothing = label_smoothing
        self.schedule = (forget_rate, forget_rounds, exponent)
        self.teaching = alpha > 0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The sum over the peers; ``forgotten`` is the share of the batch that is left out.

        Raises :class:`InputError` where nothing is left of a batch.
        """
        forget = forget_share(step.round_number, *self.schedule)
        judged = [cross_entropies(each.logits.detach(), step.targets) for each in step.teachers or step.students]
        pairs = []
        for i, (pooled, logits) in enumerate(step.students):
            others = [judged[j] for j in range(len(judged)) if j != i]
            rows = easiest(torch.stack(others).mean(0), forget)
            if not len(rows):
                expected = f"a share that leaves an image of a batch of {len(logits)}"
                raise InputError(f"coteaching.forget_rate: expected {expected}, got {forget:.6g}")
            pairs.append(hard_losses(pooled[rows], logits[rows], step.targets.of(rows), self.label_smoothing))
        ce, tri = (torch.stack(terms).sum() for terms in zip(*pairs, strict=True))
        forgotten = ce.new_tensor(forget)
        return {"total": ce + self.triplet_weight * tri, "hard_ce": ce, "hard_tri": tri, "forgotten": forgotten}

    @classmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """As the authors call it."""
        return title_of("Co-teaching", params)
