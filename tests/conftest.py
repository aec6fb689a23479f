"""Settings for all tests."""

import os

import pytest

from mutual.base.threads import settle

# the networks here are tiny: unless the caller says otherwise, one thread is as fast
os.environ.setdefault("OMP_NUM_THREADS", "1")
settle()  # before PyTorch and Numba load

# begun first: processes share the files among them
LONGEST = ("test_pipeline.py", "test_semi.py", "test_docs.py", "test_snippets.py", "test_presets.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, all else as it comes."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
