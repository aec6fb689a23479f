"""The cells of the table: a kind of noise and a ratio each, with clean labels first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["random", "pattern", "symmetric", "pair"]
CLEAN = "clean"


@dataclass(frozen=True)
class Cell:
    """What labels a network learns from."""

    kind: Kind | None  # None: those that were given
    ratio: float

    @property
    def name(self) -> str:
        """``clean``, ``random-0.5``: the folder of its artefacts."""
        return CLEAN if self.kind is None else f"{self.kind}-{self.ratio:g}"


def cells(noises: Sequence[Kind], ratios: Sequence[float]) -> list[Cell]:
    """Clean labels, then each kind with each ratio."""
    return [Cell(None, 0.0), *(Cell(kind, ratio) for kind in noises for ratio in ratios)]


def of_each(noises: Sequence[Kind], ratios: Sequence[float], seeds: Sequence[int]) -> Iterator[tuple[Cell, int, Path]]:
    """Each cell and seed, and where what belongs to them lies in a folder."""
    for cell in cells(noises, ratios):
        for seed in seeds:
            yield cell, seed, Path(cell.name, f"seed{seed}")
