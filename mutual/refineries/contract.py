"""What a refinery is: how networks learn from labels that are partly wrong, in one file of this folder a method.

A round's loop, the tables of losses and the plots know a refinery by this contract alone. params.yaml chooses one by
the name of its file (``method: mmt``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from torch import Tensor

from mutual.base.errors import InputError
from mutual.networks.reid import ReidNetwork
from mutual.refineries.teacher import update_teacher


class Output(NamedTuple):
    """What a network in training says of a batch."""

    pooled: Tensor  # (B, D) float32, before the neck
    logits: Tensor  # (B, C) float32, a column for each pseudo identity


class Targets(NamedTuple):
    """The pseudo labels of a batch; weights and soft labels where a clustering or refinery gave them."""

    labels: Tensor  # (B,) int64, 0 .. C - 1
    weights: Tensor | None = None  # (B,) float32, at least 0: how much an image counts
    soft: Tensor | None = None  # (B, C) float32, rows sum to 1: what the label is believed to be

    def of(self, rows: Tensor) -> "Targets":
        """Those of some images of the batch, (R,) int64."""
        weights, soft = (None if each is None else each[rows] for each in (self.weights, self.soft))
        return Targets(self.labels[rows], weights, soft)


@dataclass(frozen=True)
class Step:
    """One iteration, as a refinery sees it. Students and teachers stand in the peers' order, each on its own view."""

    round_number: int
    iteration: int  # in the round, from 0
    iterations: int  # that the round has
    done: int  # iterations of adaptation before this one, over all rounds
    rows: Tensor  # (B,) int64: which of the target's training images these are
    targets: Targets
    students: Sequence[Output]
    teachers: Sequence[Output] | None  # without gradient; None where nobody teaches


class Refinery(ABC):
    """A method of learning from pseudo labels.

    ``keys`` are the keys of params.yaml that its constructor takes, by these names; of its own (``dmt.gamma1``) by what
    follows the dot. ``terms`` name its losses, and what else it tells of a step, in the order in which tables show
    them. ``least_peers`` is how many networks it needs. ``teaching`` says whether mean teachers see the batches, and so
    stand in :attr:`Step.teachers`. The result's peers hold the students and their teachers, which without ``teaching``
    are the students themselves. ``alpha`` is the teachers' momentum.
    """

    keys: ClassVar[tuple[str, ...]] = ()
    terms: ClassVar[tuple[str, ...]] = ()
    least_peers: ClassVar[int] = 1
    teaching: bool = False
    alpha: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """One with these values of its :attr:`keys`."""
        return cls(**{key.rpartition(".")[2]: value for key, value in values.items()})

    def begin(  # noqa: B027
        self, number: int, labels: np.ndarray, look: Callable[[], Sequence[np.ndarray]]
    ) -> None:
        """What happens before the first step of round ``number``.

        ``labels``: (N,) int64 classes of the target's training images, -1 for outliers. ``look()`` gives what each peer
        that the round starts from makes of these images, (N, D) float32 features of length 1 a peer, the mean
        teacher's; it takes as long as extracting them.
        """

    def lr_factor(self, iteration: int, iterations: int) -> float:
        """What the learning rate is multiplied with in this iteration of a round."""
        return 1.0

    @abstractmethod
    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """``total``, which all students descend together, and the terms that were computed: scalars."""

    def after_step(self, students: Sequence[ReidNetwork], teachers: Sequence[ReidNetwork] | None, done: int) -> None:
        """What happens once the students have moved, ``done`` iterations of adaptation before this one.

        Each teacher, if there are any, moves towards its student.
        """
        for teacher, student in zip(teachers or (), students, strict=teachers is not None):
            update_teacher(teacher, student, done, self.alpha)

    def state(self) -> dict[str, Tensor]:
        """What the next round needs beside the peers; written with them and handed to :meth:`load_state`."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take what the round before handed on. Raises :class:`InputError` for the state of another refinery."""
        if state:
            raise InputError(f"the round before handed on {', '.join(state)}, which {type(self).__name__} cannot use")

    @classmethod
    @abstractmethod
    def title(cls, params: Mapping[str, Any]) -> str:
        """What tables call the method with these values of params.yaml."""


def find_refinery(name: str) -> type[Refinery]:
    """The refinery in ``<name>.py`` of this folder. Raises :class:`InputError` where there is none."""
    package = __name__.rpartition(".")[0]
    if not name.isidentifier() or find_spec(f"{package}.{name}") is None:
        raise InputError(f"method: {name}: expected the name of a file in mutual/refineries")
    module = import_module(f"{package}.{name}")
    own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    found = [each for each in own if issubclass(each, Refinery) and each is not Refinery]
    if len(found) != 1:
        raise InputError(f"method: {name}: expected one class of a refinery in its file, found {len(found)}")
    return found[0]


def check_peers(method: type[Refinery], name: str, peers: int) -> None:
    """Raise :class:`InputError` where the refinery of this name needs more networks."""
    if peers < method.least_peers:
        raise InputError(f"seeds: method {name} needs {method.least_peers} networks at least, got {peers}")


def networks_of(params: Mapping[str, Any]) -> str:
    """How many networks learn: ``two networks``."""
    peers = len(params["seeds"])
    return {1: "one network", 2: "two networks"}.get(peers, f"{peers} networks")


def title_of(name: str, params: Mapping[str, Any]) -> str:
    """A method's name, how many networks it has if they are not two, and whether there are mean teachers."""
    networks = [] if len(params["seeds"]) == 2 else [networks_of(params)]
    return ", ".join([name, *networks, *(["mean teachers"] if params["alpha"] > 0 else [])])
