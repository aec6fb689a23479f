"""Ask PyPI whether a package that requirements.txt pins has a known vulnerability.

Reads requirements.txt and runs pip-audit, which uv fetches into its own cache and not into this environment; the
packages themselves are not fetched. Only what is installed on this platform is asked for. Prints one line, and a line
of each vulnerability, with exit code 1. Where nobody could be asked, for want of a network, or since a mirror without
such knowledge answers, the line begins with "not audited", and the exit code is 0. Nothing of the project is written.
Example: python -m tools.audit
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.audit")

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from mutual.base.errors import InputError, one_line, run
from mutual.base.store import existing, read_json
from stages.door import arguments

REQUIREMENTS = Path("requirements.txt")
TOOL = "pip-audit==2.10.1"
SECONDS = 15  # without an answer
NO_NETWORK = re.compile(
    r"network|dns|connect|timed out|proxy|failed to fetch|request failed|max retries|name resolution|certificate",
    re.IGNORECASE,
)


class Vulnerability(BaseModel):
    """One entry of the database."""

    id: str
    fix_versions: list[str]


class Package(BaseModel):
    """What pip-audit says of one package: the reason where it could not look it up."""

    name: str
    version: str = ""
    vulns: list[Vulnerability] = []
    skip_reason: str = ""


class Report(BaseModel):
    """pip-audit's JSON."""

    dependencies: list[Package]


def main() -> None:
    """Print what is known."""
    arguments(__doc__, "tools.audit").parse_args()
    existing(REQUIREMENTS)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", str(SECONDS)]
        command = ["tool", "run", TOOL, "--requirement", str(REQUIREMENTS), *options, "--format", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "uv", *command, "--output", str(file)], capture_output=True, text=True, check=False
        )
        if not file.exists():
            print(no_report(done.stderr))
            return
        report: Report = read_json(file, Report)
    print(*told(report.dependencies), sep="\n")
    if count := sum(len(package.vulns) for package in report.dependencies):
        raise InputError(
            f"{REQUIREMENTS}: expected no known vulnerability, found {count}: make lock takes newer versions"
        )


def no_report(errors: str) -> str:
    """The line where there was no network; else :class:`InputError` with the last line of what was said."""
    last = next((line for line in reversed(errors.splitlines()) if line.strip()), "it said nothing")
    if NO_NETWORK.search(errors):
        return one_line(f"not audited: no network, or nobody answers there: {last}")
    raise InputError(one_line(f"{TOOL}: ended without a report: {last}"))


def told(packages: Sequence[Package]) -> list[str]:
    """A line of each vulnerability, or one line of how much is known."""
    asked = [package for package in packages if not package.skip_reason]
    unknown = [package.name for package in packages if package.skip_reason]
    found = [
        f"{package.name} {package.version}: {each.id}: mended in {', '.join(each.fix_versions) or 'no version yet'}"
        for package in asked
        for each in package.vulns
    ]
    if not asked:
        return [f"not audited: who answers in PyPI's place knows none of the {len(packages)} packages"]
    rest = f"; not known there: {', '.join(unknown)}" if unknown else ""
    none = "" if found else ", none has a known vulnerability"
    return [*found, f"asked about {len(asked)} of {len(packages)} packages{none}{rest}"]


if __name__ == "__main__":
    run(main)
