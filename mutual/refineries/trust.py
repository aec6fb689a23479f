"""How far a network's own predictions count beside the labels it was given (Ye et al., IEEE TIP 31, 2022: SELF)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.refineries.contract import Step, Targets
from mutual.refineries.losses import Triplets, hard_cross_entropy, hard_triplet

TRUST, SUMS, SEEN = "trust", "sums", "seen"


class Trust:
    """The weight w of each peer's own predictions, which follows its loss.

    In the first pass over the images w is 0, then 1 / (1 + M), with M the mean over the pass before of the very loss
    that w weighted (authors' code; by the paper of the cross entropy alone). A pass has gone by when as many images
    were seen as there are, and may begin in one round and end in the next.
    """

    def __init__(self) -> None:
        self.images = 1  # of a pass
        self.seen = 0  # in the pass so far
        self.weights: Tensor | None = None  # (P,) float64
        self.sums: Tensor | None = None  # (P,) float64: of the losses of the images that were seen

    def of(self, outputs: Tensor, peers: int) -> Tensor:
        """(P,) w of the peers, as the numbers of ``outputs`` are stored; zeros before the first pass is over."""
        if self.weights is None:
            return outputs.new_zeros(peers)
        if len(self.weights) != peers:
            raise InputError(
                f"seeds: the round before handed on the trust in {len(self.weights)} networks, not {peers}"
            )
        return self.weights.to(outputs)

    def losses(self, step: Step, smoothing: float) -> dict[str, Tensor]:
        """Of each network -(1 - w) log p(label) - w log p(own), summed; ``tri`` is the triplet loss, mixed likewise.

        A network's own label is what it predicts itself, or its mean teacher where there is one. The step is counted.
        """
        weights = self.of(step.students[0].logits, len(step.students))
        given, own, triplets = [], [], []
        for (pooled, logits), judge, w in zip(step.students, step.teachers or step.students, weights, strict=True):
            targets = Targets(judge.logits.detach().argmax(1), step.targets.weights)
            given.append(hard_cross_entropy(logits, step.targets, smoothing))
            own.append(hard_cross_entropy(logits, targets, 0.0))
            of_given, of_own = (
                hard_triplet(Triplets.hardest(pooled, labels).log_ratios, targets.weights)
                for labels in (step.targets.labels, targets.labels)
            )
            triplets.append((1 - w) * of_given + w * of_own)
        given_ce, own_ce, tri = (torch.stack(terms) for terms in (given, own, triplets))
        losses = (1 - weights) * given_ce + weights * own_ce
        self.add(losses, len(step.rows))
        terms = {"given_ce": given_ce.sum(), "own_ce": own_ce.sum(), "tri": tri.sum(), "trust": weights.mean()}
        return {"total": losses.sum()} | terms

    def add(self, losses: Tensor, images: int) -> None:
        """Count a step: each peer's mean loss, (P,), of so many images."""
        sums = losses.detach().double() * images
        self.sums = sums if self.sums is None else self.sums.to(sums) + sums
        self.seen += images
        if self.seen >= self.images:
            self.weights, self.sums, self.seen = 1 / (1 + self.sums / self.seen), None, 0

    def state(self) -> dict[str, Tensor]:
        """What the next round goes on from."""
        found = {TRUST: self.weights, SUMS: self.sums, SEEN: torch.tensor(self.seen)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from there. Raises :class:`InputError` for the state of something else."""
        right = {TRUST, SUMS, SEEN} >= state.keys() and (not state or SEEN in state)
        if not right or not all(bool(tensor.isfinite().all() and (tensor >= 0).all()) for tensor in state.values()):
            raise InputError(f"the round before handed on {', '.join(state)}: expected the trust in the networks")
        self.weights, self.sums = state.get(TRUST), state.get(SUMS)
        self.seen = int(state[SEEN]) if state else 0
