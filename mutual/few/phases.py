"""phases.yaml: which phase of which method starts after which, and the share of the pseudo labels that it uses."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from mutual.base.documents import read_yaml
from mutual.base.errors import InputError, shown
from mutual.base.params import View
from mutual.base.store import formed

LABELLED, ALL = "labelled", "all"  # runs that learn from true labels: the few there are, and all
PHASE = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,30})-([1-9][0-9]{0,2})")


class Step(View):
    """A line of phases.yaml."""

    method: str
    after: str
    share: Annotated[float, Field(gt=0, le=1)]


class Phase(NamedTuple):
    """``dmt-3``: the third phase of the chain ``dmt``."""

    chain: str
    number: int  # from 1

    @property
    def name(self) -> str:
        """As phases.yaml, stages and folders call it."""
        return f"{self.chain}-{self.number}"


def phase_of(name: str) -> Phase:
    """Raises :class:`InputError` for a name of another form, and a chain called as a run is that is none."""
    found = PHASE.fullmatch(name)
    if found is None or found[1] in (LABELLED, ALL):
        raise InputError(f"phases.yaml: {shown(name)}: expected the name of a chain and a number, such as dmt-1")
    return Phase(found[1], int(found[2]))


def before(phase: Phase) -> str:
    """The run whose networks label for it."""
    return LABELLED if phase.number == 1 else Phase(phase.chain, phase.number - 1).name


def check_after(phase: Phase, after: str) -> None:
    """Raise :class:`InputError` where a phase does not go on from the one before it in its chain."""
    if after != before(phase):
        raise InputError(f"phases.yaml: {phase.name}: expected after: {before(phase)}, got {shown(after)}")


def number_of(name: str) -> int:
    """The round that a run is in the random streams: 0 for those that learn from true labels."""
    return 0 if name in (LABELLED, ALL) else phase_of(name).number


def read_phases(path: Path) -> list[list[Phase]]:
    """The chains of the file, each with its phases in order.

    Raises :class:`InputError` for a chain that does not go on from :data:`LABELLED` phase by phase.
    """
    content: dict[str, dict[str, Step]] = formed(path, read_yaml(path), dict[str, dict[str, Step]])
    steps = content.get("phases", {})
    if not steps or len(content) > 1:
        raise InputError(f"{path}: expected phases below the key phases, and no other key")
    for name, step in steps.items():
        phase = phase_of(name)
        check_after(phase, step.after)
        if step.after != LABELLED and step.after not in steps:
            raise InputError(f"{path}: {name}: expected {step.after} before it")
    order = list(dict.fromkeys(phase_of(name).chain for name in steps))
    phases = sorted(map(phase_of, steps), key=lambda phase: (order.index(phase.chain), phase.number))
    return [list(chain) for _, chain in groupby(phases, key=lambda phase: phase.chain)]


def runs_of(chains: Sequence[Sequence[Phase]]) -> list[str]:
    """All runs: from the few labels, from all, and each phase."""
    return [LABELLED, ALL, *(phase.name for chain in chains for phase in chain)]


def share_of(text: str) -> float:
    """A share above 0 and at most 1, from a command line. Raises :class:`InputError` for another text."""
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0 < share <= 1:
        raise InputError(f"--share: expected a number above 0 and at most 1, got {shown(text)}")
    return share
