"""The page of licences is of what requirements.txt pins; an audit says what it could not ask."""

import os
import subprocess
import sys
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from mutual.base.errors import InputError
from tools import audit, licences
from tools.licences import NOT_HERE, NOT_SAID, Pin

ROOT = Path(__file__).resolve().parents[1]
PINS = list(licences.pins((ROOT / "requirements.txt").read_text(encoding="utf-8")))
PAGE = (ROOT / licences.TABLE).read_text(encoding="utf-8")


def installed(pin: Pin) -> bool:
    try:
        return version(pin.name) == pin.version
    except PackageNotFoundError:
        return False


def test_every_pin_has_its_row() -> None:
    """Counted another way: each pin begins a line, and its hashes do not."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]
    assert [pin.name for pin in PINS] == names
    assert len(names) > 100
    rows = {(name, number) for name, number, _ in licences.rows(PAGE)}
    assert rows == {(pin.name, pin.version) for pin in PINS}


def test_the_page_is_up_to_date_for_what_is_installed() -> None:
    found = {(name, number): text for name, number, text in licences.rows(PAGE)}
    here = [pin for pin in PINS if pin.applies and installed(pin)]
    assert len(here) > 50
    for pin in here:
        kept = found[pin.name, pin.version]
        # this platform's own packages may never have been installed where the page was made
        assert kept == licences.licence_here(pin) or (pin.marker and kept == NOT_HERE), f"{pin.name}: make licences"


def test_of_other_platforms_a_row_keeps_what_it_had() -> None:
    other = Pin("somewhere", "1.0", 'sys_platform == "win32"', applies=False)
    assert "| somewhere | 1.0 | not installed where this was made | `sys_platform" in licences.table([other], {})
    page = licences.table([other], {("somewhere", "1.0"): "MIT | GPL-2.0"})
    assert "| somewhere | 1.0 | MIT \\| GPL-2.0 | `sys_platform" in page
    assert list(licences.rows(page)) == [("somewhere", "1.0", "MIT | GPL-2.0")]
    assert NOT_HERE in licences.table([other], {("somewhere", "0.9"): "MIT"})


def test_the_page_is_sorted_and_made_again_the_same() -> None:
    text = (
        "b==2 ; sys_platform == 'nowhere' \\\n    --hash=sha256:0\n    # via a==7\na==1 ; sys_platform == 'nowhere'\n"
    )
    pinned = list(licences.pins(text))
    assert [(pin.name, pin.version, pin.applies) for pin in pinned] == [("b", "2", False), ("a", "1", False)]
    page = licences.table(pinned, {})
    assert [name for name, _, _ in licences.rows(page)] == ["a", "b"]
    assert licences.table(pinned[::-1], {(name, number): text for name, number, text in licences.rows(page)}) == page


@pytest.mark.parametrize(
    ("pin", "fault"),
    [
        (Pin("no-such-package-here", "1", "", applies=True), "not installed: expected 1"),
        (Pin("pytest", "0.0.1", "", applies=True), r"expected 0\.0\.1, found \S+ installed"),
    ],
)
def test_another_environment_is_refused(pin: Pin, fault: str) -> None:
    with pytest.raises(InputError, match=f"^{pin.name}: {fault}"):
        licences.licence_here(pin)


class Package(Distribution):
    """One whose metadata are given."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.fields = Message()
        for name, value in fields:
            self.fields[name] = value

    @property
    def metadata(self) -> Any:
        return self.fields

    def read_text(self, filename: str) -> None:
        return None

    def locate_file(self, path: Any) -> Any:
        return path


OSI = "License :: OSI Approved"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "MIT OR X"), ("License", "x"), ("Classifier", f"{OSI} :: y")], "MIT OR X"),
        ([("License", "BSD"), ("Classifier", f"{OSI} :: BSD License")], "BSD"),
        ([("License", "The text: " + "x" * 99), ("Classifier", f"{OSI} :: MIT License")], "MIT License"),
        ([("License", "UNKNOWN"), ("Classifier", f"{OSI} :: MIT License")], "MIT License"),
        ([("License", "Dual"), ("Classifier", f"{OSI} :: B"), ("Classifier", f"{OSI} :: A")], "A, B"),
        ([("License", "EPL"), ("Classifier", OSI)], "EPL"),
        ([("Classifier", "Programming Language :: C")], NOT_SAID),
    ],
)  # fmt: skip
def test_what_a_package_states(fields: list[tuple[str, str]], expected: str) -> None:
    assert licences.licence(Package(fields)) == expected


# --- audit -----------------------------------------------------------------------------------------------------------


def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    """uv finds nothing in its cache, and nobody behind the index's address."""
    nobody = {"UV_CACHE_DIR": str(tmp_path), "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tools.audit"],
        cwd=ROOT, env=os.environ | nobody, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("not audited: no network, or nobody answers there: ")


def test_another_failure_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^pip-audit==\S+: ended without a report: ValueError: no hash$"):
        audit.no_report("Traceback\n  somewhere\nValueError: no hash\n\n")


def test_what_is_known_and_what_is_not() -> None:
    fixed = audit.Vulnerability(id="CVE-1", fix_versions=["1.1", "2.0"])
    bad = audit.Package(name="bad", version="1.0", vulns=[fixed, audit.Vulnerability(id="CVE-2", fix_versions=[])])
    good = audit.Package(name="good", version="3")
    unknown = audit.Package(name="own", skip_reason="not found")
    assert audit.told([good, bad, unknown]) == [
        "bad 1.0: CVE-1: mended in 1.1, 2.0",
        "bad 1.0: CVE-2: mended in no version yet",
        "asked about 2 of 3 packages; not known there: own",
    ]
    assert audit.told([good]) == ["asked about 1 of 1 packages, none has a known vulnerability"]
    # a mirror that knows none answers without any fault: this is no good news
    (line,) = audit.told([unknown, unknown])
    assert line.startswith("not audited: ")
