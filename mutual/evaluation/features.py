"""Features of a packed image set."""

import numpy as np
import torch
from tqdm import tqdm

from mutual.base.errors import InputError
from mutual.images.views import normalise
from mutual.machine.device import uploaded
from mutual.networks.reid import ReidNetwork

# small on a CPU, so that the feature maps of a layer stay in its caches
BATCH = {"cpu": 16, "cuda": 256}


@torch.inference_mode()
def extract(network: ReidNetwork, images: np.ndarray, device: torch.device, label: str) -> np.ndarray:
    """(N, H, W, 3) uint8 images -> (N, D) float32 L2-normalised features of the network, which must be in eval mode."""
    features, size = np.empty((len(images), network.backbone.width), np.float32), BATCH[device.type]
    for start in tqdm(range(0, len(images), size), desc=label, unit="batch", leave=False, disable=None):
        batch = normalise(uploaded(np.array(images[start : start + size]), device))
        features[start : start + size] = network.embed(batch).cpu().numpy()
    if not np.isfinite(features).all():
        raise InputError(f"{label}: the features are not finite: expected a network that has not diverged")
    return features
