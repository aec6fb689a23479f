"""What a refinery is: how networks learn from labels that are partly wrong, in one file of this folder a method.

A round's loop, the tables of losses and the plots know a refinery by this contract alone. params.yaml chooses one by
the name of its file (``refinery: mmt``).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from mutual.base.errors import InputError
from mutual.networks.reid import ReidNetwork


class Output(NamedTuple):
    """What a network in training says of a batch."""

    pooled: Tensor  # (B, D) float32, before the neck
    logits: Tensor  # (B, C) float32, a column for each pseudo identity


class Targets(NamedTuple):
    """The pseudo labels of a batch; weights and soft labels where a clustering or refinery gave them."""

    labels: Tensor  # (B,) int64, 0 .. C - 1
    weights: Tensor | None = None  # (B,) float32, at least 0: how much an image counts
    soft: Tensor | None = None  # (B, C) float32, rows sum to 1: what the label is believed to be


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

    ``keys`` are the keys of params.yaml that its constructor takes, by these names. ``terms`` name its losses in the
    order in which tables show them. ``teaching`` says whether mean teachers see the batches, and so stand in
    :attr:`Step.teachers`. The result's peers hold the students and their teachers, which without ``teaching`` are the
    students themselves.
    """

    keys: ClassVar[tuple[str, ...]] = ()
    terms: ClassVar[tuple[str, ...]] = ()
    teaching: bool = False

    @abstractmethod
    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """``total``, which all students descend together, and the terms that were computed: scalars."""

    def after_step(  # noqa: B027
        self, students: Sequence[ReidNetwork], teachers: Sequence[ReidNetwork] | None, done: int
    ) -> None:
        """What happens once the students have moved, ``done`` iterations of adaptation before this one."""

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
        raise InputError(f"refinery: {name}: expected the name of a file in mutual/refineries")
    module = import_module(f"{package}.{name}")
    own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    found = [each for each in own if issubclass(each, Refinery) and each is not Refinery]
    if len(found) != 1:
        raise InputError(f"refinery: {name}: expected one class of a refinery in its file, found {len(found)}")
    return found[0]
