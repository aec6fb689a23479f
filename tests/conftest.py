"""Settings for all tests."""

import os

import pytest

from mutual.base.threads import settle

# the networks here are tiny: unless the caller says otherwise, one thread is as fast
os.environ.setdefault("OMP_NUM_THREADS", "1")
settle()  # before PyTorch and Numba load

# in a project that does not say no, DVC would report each command to its makers
os.environ["DVC_NO_ANALYTICS"] = "1"

# begun first: processes share the files among them
LONGEST = ("pipeline", "semi", "noisy", "resuming", "docs", "snippets", "presets")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, all else as it comes."""
    place = {f"test_{name}.py": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
