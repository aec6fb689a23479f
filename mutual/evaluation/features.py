"""Features of packed image sets."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.images.normalisation import normalise
from mutual.machine.device import uploaded
from mutual.networks.peers import check_size, peer_path, read_network
from mutual.networks.reid import ReidNetwork, inference

# small on a CPU, so that the feature maps of a layer stay in its caches
BATCH = {"cpu": 16, "cuda": 256}


@torch.inference_mode()
def extract(network: ReidNetwork, images: np.ndarray, device: torch.device, label: str) -> np.ndarray:
    """(N, H, W, 3) uint8 images -> (N, D) float32 L2-normalised features of the network, which must be in eval mode.

    Raises :class:`InputError` where a feature is not finite, or 0 throughout.
    """
    features, size = np.empty((len(images), network.backbone.width), np.float32), BATCH[device.type]
    for start in Progress(range(0, len(images), size), desc=label, unit="batch"):
        batch = normalise(uploaded(np.array(images[start : start + size]), device), network.normalisation)
        features[start : start + size] = network.embed(batch).cpu().numpy()
    if not np.isfinite(features).all():
        raise InputError(f"{label}: the features are not finite: expected a network that has not diverged")
    if blank := int((~features.any(1)).sum()):
        raise InputError(f"{label}: {blank} of {len(images)} features are 0: expected a network that sees something")
    return features


def of_teachers(
    folder: Path, seeds: Sequence[int], images: Mapping[str, np.ndarray], device: torch.device
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The peers in a round's folder of models, one by one: the seed, and its teacher's features of each image set."""
    for seed in seeds:
        path = peer_path(folder, seed)
        check_size(path, images)
        teacher = inference(read_network(path, "teacher").to(device))
        of_peer = f"{folder.name}: peer {seed} on the"
        yield seed, {name: extract(teacher, packed, device, f"{of_peer} {name}") for name, packed in images.items()}


def mean_features(peers: Sequence[np.ndarray]) -> np.ndarray:
    """(N, D) float32 mean of the peers' features, as they are clustered."""
    return np.asarray(np.mean(peers, axis=0, dtype=np.float32))
