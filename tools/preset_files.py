"""Presets of a pipeline whose parameters are one file: listed, or one of them put in.

A preset is a file NAME.yaml in the folder presets/ beside the parameters: a line that says what it is, and ``params``.
Where a pipeline has phases there are ``shares``, too, of which phases.yaml is made: a chain for each method.
All presets of a pipeline name the same keys, so that nothing is left of another one; what none of them names stays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mutual.base.documents import parse_yaml, read_yaml
from mutual.base.errors import InputError, shown
from mutual.base.params import View
from mutual.base.store import read_text, write_text
from mutual.few.phases import before, phase_of
from tools.preset import with_values

AT_ONCE, CURRICULUM = "once", "curriculum"  # the chain of a single phase with all labels, and its method
PHASES_TEXT = """\
# The phases, a line each: its method, the run whose networks label for it, and the share of these labels that it uses.
# dmt-3 is the third phase of the chain dmt. One line more is one phase more:
#   dvc exp run -S 'phases.yaml:+phases.dmt-{next}={{method:dmt,after:dmt-{last},share:1}}'
phases:
"""


def _rising(shares: list[float]) -> list[float]:
    if shares != sorted(set(shares)):
        raise ValueError(f"expected rising shares, got {shown(shares)}")
    return shares


# the last may be below 1: a chain may end before it uses labels that are mostly wrong
Shares = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1), AfterValidator(_rising)]


class Preset(View):
    """What presets/NAME.yaml holds."""

    params: dict[str, Any]


class PhasedPreset(Preset):
    """The same where there are phases."""

    shares: Shares  # of the pseudo labels, a phase each


@dataclass(frozen=True)
class Pipeline:
    """What has presets."""

    params: Path
    check: Callable[[Any, Path], object]  # of a file's content; raises InputError that names the path
    whole: Sequence[str] = ()  # keys of which a preset's mapping takes the place of what is there, all of it
    phases: Path | None = None  # made of a preset's shares and the methods in the parameters

    @property
    def files(self) -> Mapping[str, Path]:
        """The presets by name."""
        return {file.stem: file for file in sorted((self.params.parent / "presets").glob("*.yaml"))}

    def listing(self) -> str:
        """A line for each: its name and what it is."""
        width = max(map(len, self.files), default=0)
        titles = {name: read_text(file).partition("\n")[0].removeprefix("# ") for name, file in self.files.items()}
        return "\n".join(f"{name:{width}}  {title}" for name, title in titles.items())

    def texts(self, text: str, file: Path) -> dict[Path, str]:
        """What the pipeline's files become with a preset's file, where ``text`` is that of the parameters.

        Raises :class:`InputError`, one line, where that cannot be used.
        """
        if self.phases is None:
            read_yaml(file, Preset)
            return {self.params: self._with_values(text, file)}
        shares = read_yaml(file, PhasedPreset).shares
        new = self._with_values(text, file)
        return {self.params: new, self.phases: phases_text(parse_yaml(new)["methods"], shares)}

    def _with_values(self, text: str, file: Path) -> str:
        """The text of the parameters with the values of a preset's file; what it becomes is checked."""
        new = with_values(text, read_text(file), self.whole)
        self.check(parse_yaml(new), file)
        return new

    def put_in(self, name: str) -> str:
        """Write a preset's values into the parameters, and its phases, once all is checked: a line that says so."""
        if name not in self.files:
            raise InputError(f"{shown(name)[1:-1]}: not a preset: expected {' or '.join(self.files)}")
        texts = self.texts(read_text(self.params), self.files[name])
        for path, text in texts.items():
            write_text(path, text)
        return f"{' and '.join(map(str, texts))} {'is that' if len(texts) == 1 else 'are those'} of {name}"


def phases_text(methods: Iterable[str], shares: Sequence[float]) -> str:
    """A phases.yaml with a chain for each method, a phase a share, and before them one that uses all labels at once.

    The latter where curriculum labelling is among the methods; a method that is called like it has its own chain there.
    Raises :class:`InputError` for a method whose name no chain may have.
    """
    chains = {method: (method, shares) for method in methods}
    if CURRICULUM in chains:
        chains = {AT_ONCE: (CURRICULUM, [1.0])} | chains
    lines = []
    for chain, (method, its_shares) in chains.items():
        for number, share in enumerate(its_shares, 1):
            phase = phase_of(f"{chain}-{number}")
            written = str(share).removesuffix(".0")
            lines.append(f"  {phase.name}: {{method: {method}, after: {before(phase)}, share: {written}}}\n")
    return PHASES_TEXT.format(last=len(shares), next=len(shares) + 1) + "".join(lines)
