"""Features of a packed image set."""

import numpy as np
import pytest
import torch

from mutual.evaluation import features
from mutual.images.views import normalise
from mutual.networks.reid import ReidNetwork, inference


def test_features_are_the_embedding_of_each_image_in_order_whatever_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    network = inference(ReidNetwork("resnet18", 2))
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 16, 3), np.uint8)
    with torch.inference_mode():
        expected = torch.cat([network.embed(normalise(torch.from_numpy(images[i : i + 1]))) for i in range(7)]).numpy()
    monkeypatch.setitem(features.BATCH, "cpu", 3)  # two full blocks and a rest
    found = features.extract(network, images, torch.device("cpu"), "test")
    assert found.dtype == np.float32
    assert found.shape == (7, 512)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
