"""Re-ranked distances against the authors'."""

import numpy as np
import pytest
import torch

from mutual.evaluation.reranking import reranked
from tests.golden import golden

STORED = golden("jaccard")
CPU = torch.device("cpu")


def stored_features() -> np.ndarray:
    """Features of 60 queries and 400 gallery images that have the stored squared distances."""
    across, q, g = (STORED[f"rr_{name}"].astype(np.float64) for name in ("q_g", "q_q", "g_g"))
    products = 1 - np.block([[q, across], [across.T, g]]) / 2  # of unit vectors
    values, vectors = np.linalg.eigh((products + products.T) / 2)
    kept = values > 1e-4
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]), np.float32)


@pytest.mark.parametrize(("name", "k1", "k2", "share"), [("rr_final", 20, 6, 0.3), ("rr_final_k10_3_l05", 10, 3, 0.5)])
def test_distances_are_the_authors(name: str, k1: int, k2: int, share: float) -> None:
    features = stored_features()
    blocks = reranked(features[:60], features[60:], CPU, k1=k1, k2=k2, share=share)
    found = np.concatenate([block for _, block in blocks])
    np.testing.assert_allclose(found, STORED[name], rtol=0, atol=1e-5)


def test_mutual_neighbours_come_before_what_is_merely_near() -> None:
    # two crowds around 0 and 1; the query is at 0.42, nearer to two strays of the second crowd, who are at home there
    rng = np.random.default_rng(0)
    crowd = np.concatenate([rng.normal((centre, 0), 0.1, (12, 2)) for centre in (0.0, 1.0)])
    query = np.array([[0.25, 0.0]])
    features = np.concatenate([query, crowd]).astype(np.float32)
    (_, found), *_ = reranked(features[:1], features[1:], CPU, k1=8, k2=3)
    assert found[0, :12].max() < found[0, 12:].min()


def test_fewer_images_than_neighbours() -> None:
    features = np.eye(5, dtype=np.float32)
    (_, found), *_ = reranked(features[:2], features[2:], CPU)
    assert found.shape == (2, 3)
    assert np.isfinite(found).all()
