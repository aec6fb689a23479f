"""The teachers of one or several peers, which see images as one network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.evaluation.features import extract, mean_features
from mutual.networks.peers import read_network, read_peer
from mutual.networks.reid import ReidNetwork, inference
from mutual.search.listing import fingerprint_of

TOGETHER = "expected peers that go together"


@dataclass(frozen=True)
class Teachers:
    """Networks of the same images and the same length of feature, ready for use on ``device``."""

    networks: Sequence[ReidNetwork]
    height: int  # of their images, pixels
    width: int
    fingerprints: list[str]  # of the peers' files
    device: torch.device

    @property
    def length(self) -> int:
        """D of the features."""
        return self.networks[0].backbone.width

    def embed(self, images: np.ndarray, label: str) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, D) float32 L2-normalised features.

        Of several peers it is the mean of their L2-normalised features, as it is clustered, L2-normalised again. Of one
        it is that peer's feature, to the bit. Raises :class:`InputError` for features that are not finite, or 0.
        """
        features = [extract(network, images, self.device, label) for network in self.networks]
        if len(features) == 1:
            return features[0]
        mean = mean_features(features)
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        if not length.all():
            raise InputError(f"{label}: the peers' features cancel each other out: name one peer")
        return mean / length


def read_teachers(paths: Sequence[Path], device: torch.device) -> Teachers:
    """The teachers of these peers' files. Raises :class:`InputError` where they do not go together."""
    first, networks = read_peer(paths[0]), []
    for path in paths:
        peer = read_peer(path)
        if (peer.height, peer.width) != (first.height, first.width):
            found = f"{peer.height} x {peer.width}"
            raise InputError(
                f"{path}: sees images of {found}, {paths[0]} of {first.height} x {first.width}: {TOGETHER}"
            )
        networks.append(inference(read_network(path, "teacher").to(device)))
        lengths = [network.backbone.width for network in (networks[-1], networks[0])]
        if lengths[0] != lengths[1]:
            raise InputError(f"{path}: gives features of {lengths[0]} numbers, {paths[0]} of {lengths[1]}: {TOGETHER}")
    return Teachers(networks, first.height, first.width, [fingerprint_of(path) for path in paths], device)
