"""The short form of tests/fuzz.py: odd files of each kind are refused in a line, or read as what they are."""

import pytest

from tests.fuzz import KINDS, tried


@pytest.mark.parametrize("kind", KINDS)
def test_odd_files_are_refused_or_read_as_they_are(kind: str) -> None:
    counts = tried(kind, 100)
    assert counts["refused"]
    assert counts["taken"]
