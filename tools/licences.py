"""Write the licences of all packages that requirements.txt pins into docs/licences.md, as each package states its own.

Reads requirements.txt and what is installed; writes docs/licences.md. A package that other platforms or versions of
Python need keeps what the file had of the same version, else its row says that it was not installed.
Example: python -m tools.licences
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.licences")

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mutual.base.errors import InputError, run, shown
from mutual.base.store import read_text, write_text
from stages.door import arguments

REQUIREMENTS = Path("requirements.txt")
TABLE = Path("docs/licences.md")
PINNED = re.compile(r"^[A-Za-z0-9][^\\\n]*==[^\\\n]*", re.MULTILINE)
ROW = re.compile(r"^\| ([^ |]+) \| ([^ |]+) \| ((?:[^|\\]|\\\|)*) \|", re.MULTILINE)
LONGEST = 60  # characters of what is a name, and not the text, of a licence
NOT_HERE = "not installed where this was made"
NOT_SAID = "not stated in its metadata"
HEAD = """# Licences of what is installed

Every package that [requirements.txt](../requirements.txt) pins, and its licence as the package's own metadata state it:
nobody has compared these with the texts. `make licences` writes this page. A package with a condition is installed
where that holds.

| package | version | licence | only where |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Pin:
    """One version of one package, as requirements.txt has it."""

    name: str
    version: str
    marker: str  # where it is installed; empty: everywhere
    applies: bool  # here


def main() -> None:
    """Write the table."""
    arguments(__doc__, "tools.licences").parse_args()
    before = {(name, version): licence for name, version, licence in rows(read_text(TABLE) if TABLE.exists() else "")}
    write_text(TABLE, table(list(pins(read_text(REQUIREMENTS))), before))
    print(f"written: {TABLE}")


def pins(text: str) -> Iterator[Pin]:
    """The packages of requirements.txt, in its order. Raises :class:`InputError` for a line that pins nothing."""
    for line in PINNED.findall(text):
        try:
            required = Requirement(line.strip())
        except InvalidRequirement:
            raise InputError(f"{REQUIREMENTS}: expected name==version ; condition, found {shown(line)}") from None
        marker = required.marker
        version = str(required.specifier).removeprefix("==")
        yield Pin(canonicalize_name(required.name), version, str(marker or ""), not marker or marker.evaluate())


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Package, version and licence of each row of a table, but for its head."""
    for name, version, licence in ROW.findall(text):
        if name not in ("package", "---"):
            yield name, version, licence.replace("\\|", "|")


def table(pinned: list[Pin], before: Mapping[tuple[str, str], str]) -> str:
    """The page. ``before`` has the licence of each package and version of the last one."""
    lines = []
    for pin in sorted(pinned, key=lambda pin: (pin.name, pin.version)):
        licence = licence_here(pin) or before.get((pin.name, pin.version), NOT_HERE)
        marker = f"`{pin.marker}`" if pin.marker else ""
        lines.append("| " + " | ".join([pin.name, pin.version, licence.replace("|", "\\|"), marker]) + " |\n")
    return HEAD + "".join(lines)


def licence_here(pin: Pin) -> str:
    """The licence of a package that is installed; empty where it is not.

    Raises :class:`InputError` where another version is installed, or it is missing and should not be.
    """
    if not pin.applies:
        return ""
    try:
        found = distribution(pin.name)
    except PackageNotFoundError:
        raise InputError(f"{pin.name}: not installed: expected {pin.version}: make environment") from None
    if found.version != pin.version:
        raise InputError(f"{pin.name}: expected {pin.version}, found {found.version} installed: make environment")
    return licence(found)


def licence(package: Distribution) -> str:
    """What its metadata say: the expression, else the field where it is a name, else the classifiers.

    Several classifiers come before the field, which then says no more than that there are several.
    """
    given = {key: package.metadata.get_all(key, []) for key in ("License-Expression", "License", "Classifier")}
    classifiers = [each.split(" :: ")[-1] for each in given["Classifier"] if each.startswith("License ::")]
    classifiers = sorted(each for each in classifiers if each != "OSI Approved")
    field = " ".join(" ".join(given["License"]).split())
    named = field if 0 < len(field) <= LONGEST and field.upper() != "UNKNOWN" else ""
    alone = "" if len(classifiers) > 1 else named
    return "".join(given["License-Expression"]) or alone or ", ".join(classifiers) or named or NOT_SAID


if __name__ == "__main__":
    run(main)
