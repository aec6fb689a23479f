"""Presets of a pipeline whose parameters are one file: listed, or one of them put in.

A preset is a file NAME.yaml in the folder presets/ beside the parameters: a line that says what it is, and ``params``.
All presets of a pipeline name the same keys, so that nothing is left of another one; what none of them names stays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutual.base.documents import parse_yaml
from mutual.base.errors import InputError, shown
from mutual.base.store import read_text, write_text
from tools.preset import with_values


@dataclass(frozen=True)
class Pipeline:
    """What has presets."""

    params: Path
    check: Callable[[Any, Path], object]  # of a file's content; raises InputError that names the path
    whole: Sequence[str] = ()  # keys of which a preset's mapping takes the place of what is there, all of it

    @property
    def files(self) -> Mapping[str, Path]:
        """The presets by name."""
        return {file.stem: file for file in sorted((self.params.parent / "presets").glob("*.yaml"))}

    def listing(self) -> str:
        """A line for each: its name and what it is."""
        width = max(map(len, self.files), default=0)
        titles = {name: read_text(file).partition("\n")[0].removeprefix("# ") for name, file in self.files.items()}
        return "\n".join(f"{name:{width}}  {title}" for name, title in titles.items())

    def with_preset(self, text: str, file: Path) -> str:
        """The text of the parameters with the values of a preset's file; what it becomes is checked first."""
        new = with_values(text, read_text(file), self.whole)
        self.check(parse_yaml(new), file)
        return new

    def put_in(self, name: str) -> str:
        """Write a preset's values into the parameters: a line that says so."""
        if name not in self.files:
            raise InputError(f"{shown(name)[1:-1]}: not a preset: expected {' or '.join(self.files)}")
        write_text(self.params, self.with_preset(read_text(self.params), self.files[name]))
        return f"{self.params} is that of {name}"
