"""DMT, dynamic mutual training (Feng et al., Pattern Recognition 130, 2022): images count by how two networks see them.

The authors' weights, selection and phases, for re-identification, for which they have no code: a phase is a round, and
what a network says of an image is its softmax over the clusters' centroids.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mutual.base.errors import InputError
from mutual.clusters.pseudo_labels import cluster_means
from mutual.refineries.agreement import agreement_weights, most_confident
from mutual.refineries.contract import Refinery, Step, Targets, title_of
from mutual.refineries.losses import hard_losses


def over_centroids(features: np.ndarray, labels: np.ndarray, temperature: float) -> Tensor:
    """(N, C) float32: softmax of the cosines of (N, D) features and their clusters' means, over ``temperature``."""
    means = torch.from_numpy(cluster_means(features, labels))
    cosines = torch.from_numpy(features) @ F.normalize(means).T
    return (cosines / temperature).softmax(1)


class Said(NamedTuple):
    """What the other peers say of all N images, and which of them are used."""

    labels: Tensor  # (N,) int64
    confidences: Tensor  # (N,) float32
    used: Tensor  # (N,) bool


class DynamicMutualTraining(Refinery):
    """Cross entropy and softmax-triplet loss against the other peers' labels, each image with its weight.

    A network's labels and confidences are those at the start of the round (of its mean teacher, if there is one), of
    the images of which it is most sure: a share of ``number / rounds`` in round ``number``.
    """

    keys = ("alpha", "triplet_weight", "label_smoothing", "dmt.gamma1", "dmt.gamma2", "dmt.rounds", "dmt.temperature")
    terms = ("hard_ce", "hard_tri", "weight")
    least_peers = 2

    def __init__(
        self,
        alpha: float,
        triplet_weight: float,
        label_smoothing: float,
        gamma1: float,
        gamma2: float,
        rounds: int,
        temperature: float,
    ) -> None:
        self.alpha = alpha
        self.triplet_weight = triplet_weight
        self.label_smoothing = label_smoothing
        self.gammas = (gamma1, gamma2)
        self.rounds = rounds
        self.temperature = temperature
        self.teaching = alpha > 0
        self.said: list[Said] = []  # to each peer

    def begin(self, number: int, labels: np.ndarray, look: Callable[[], Sequence[np.ndarray]]) -> None:
        """What is said of all images to each peer: of several others it is the mean of their probabilities.

        Raises :class:`InputError` where the round's share is no image.
        """
        probabilities = [over_centroids(features, labels, self.temperature) for features in look()]
        labelled = torch.from_numpy(labels >= 0)
        self.said = []
        for i in range(len(probabilities)):
            others = torch.stack([each for j, each in enumerate(probabilities) if j != i]).mean(0)
            confidences, named = others.max(1)
            used = torch.zeros(len(labels), dtype=torch.bool)
            of_labelled = most_confident(confidences[labelled].numpy(), number / self.rounds)
            used[labelled] = torch.from_numpy(of_labelled)
            if not of_labelled.any():
                share = f"of which round {number} uses {number} of {self.rounds} parts, two left out"
                raise InputError(f"dmt.rounds: expected more images than {len(of_labelled)}, {share}")
            self.said.append(Said(named, confidences, used))

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The sum over the peers, of each the mean over the images that it uses; ``weight`` is the images' mean."""
        self.said = [Said(*(each.to(step.rows.device) for each in said)) for said in self.said]
        pairs, weights = [], []
        for (pooled, logits), said in zip(step.students, self.said, strict=True):
            labels, confidences, used = (each[step.rows] for each in said)
            w = agreement_weights(logits.detach().softmax(1), labels, confidences, *self.gammas) * used
            if step.targets.weights is not None:
                w = w * step.targets.weights
            in_mean = w * (len(used) / used.sum().clamp(min=1))  # a batch of unused images moves nothing
            # the others' labels leave images alone in their class: such an anchor is its own positive, and its distance
            # to itself would in float32 be the root of rounding error, up to 1e-3, and another in each order of sums
            pair = hard_losses(pooled.double(), logits, Targets(labels, in_mean), self.label_smoothing)
            pairs.append([each.to(logits.dtype) for each in pair])
            weights.append(in_mean.mean())
        ce, tri = (torch.stack(terms).sum() for terms in zip(*pairs, strict=True))
        weight = torch.stack(weights).mean()
        return {"total": ce + self.triplet_weight * tri, "hard_ce": ce, "hard_tri": tri, "weight": weight}

    @classmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """As the authors call it."""
        return title_of("DMT", params)
