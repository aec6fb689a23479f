"""Stored answers of the authors' own code; README.md says where they come from."""

from pathlib import Path

import numpy as np
from torch import Tensor

FOLDER = Path(__file__).parent


def golden(name: str) -> dict[str, np.ndarray]:
    """All arrays of ``<name>.npz``."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def assert_close(actual: Tensor | np.ndarray | None, expected: np.ndarray | float, tolerance: float) -> None:
    """Every value is within ``tolerance`` times the largest expected magnitude (zeros among large values are noise)."""
    assert actual is not None, "nothing was computed"
    found = actual.detach().cpu().numpy() if isinstance(actual, Tensor) else np.asarray(actual)
    wanted = np.asarray(expected)
    assert found.shape == wanted.shape
    scale = float(np.abs(wanted).max(initial=0.0))
    worst = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max(initial=0.0))
    assert worst <= tolerance * scale, f"off by {worst:.3g}, allowed {tolerance * scale:.3g}"
