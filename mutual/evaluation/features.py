"""Features of packed image sets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.base.stopping import Stop, stop_asked
from mutual.images.normalisation import normalise
from mutual.machine.checkpoints import Checkpoint, Checkpoints
from mutual.machine.device import uploaded
from mutual.machine.ranks import ALONE, Ranks
from mutual.networks.peers import check_size, peer_path, read_network
from mutual.networks.reid import ReidNetwork, inference

# small on a CPU, so that the feature maps of a layer stay in its caches
BATCH = {"cpu": 16, "cuda": 256}
FEATURES, FIRST = "features", "first"


@torch.inference_mode()
def extract(
    network: ReidNetwork,
    images: np.ndarray,
    device: torch.device,
    label: str,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> np.ndarray:
    """(N, H, W, 3) uint8 images -> (N, D) float32 L2-normalised features of the network, which must be in eval mode.

    With a checkpoint it goes on from there, and keeps one now and then. Of several processes each does a run of the
    batches, and all get all features. Raises :class:`InputError` where a feature is
    not finite, or 0 throughout, and :class:`mutual.base.errors.Stopped` where a signal asked to stop it.
    """
    whole, size = np.empty((len(images), network.backbone.width), np.float32), BATCH[device.type]
    runs = [slice(size * run.start, size * run.stop) for run in ranks.runs_of(-(-len(images) // size))]
    ours, features = images[runs[ranks.rank]], whole[runs[ranks.rank]]
    first, done = runs[ranks.rank].start, 0
    # of processes that share the work on another kind of device, with batches of another size, others would be ours
    if checkpoint and (found := checkpoint.found()) and int(found.tensors[FIRST]) == first:
        kept = found.tensors[FEATURES][: len(ours)].numpy()
        done = len(kept) if len(kept) == len(ours) else len(kept) // size * size
        features[:done] = kept[:done]
    starts = range(done, len(ours), size)
    batches = -(-len(ours) // size)
    with stop_asked() if checkpoint else nullcontext(Stop()) as stop:
        for start in Progress(starts, desc=label, unit="batch", total=batches, initial=batches - len(starts)):
            batch = normalise(uploaded(np.array(ours[start : start + size]), device), network.normalisation)
            features[start : start + size] = network.embed(batch).cpu().numpy()
            if checkpoint:
                done = min(start + size, len(ours))
                said = f"{done} of {len(ours)} images"
                checkpoint.between(stop, partial(_rows, features, first, done), dict, said)
    if not np.isfinite(features).all():
        raise InputError(f"{label}: the features are not finite: expected a network that has not diverged")
    if blank := int((~features.any(1)).sum()):
        raise InputError(f"{label}: {blank} of {len(ours)} features are 0: expected a network that sees something")
    if checkpoint and len(starts):
        checkpoint.keep_whole(_rows(features, first, len(features)))
    ranks.fill(torch.from_numpy(whole), runs)
    return whole


def _rows(features: np.ndarray, first: int, count: int) -> dict[str, torch.Tensor]:
    """What a checkpoint keeps: the first so many of the rows that begin at ``first`` of the set."""
    return {FEATURES: torch.from_numpy(features[:count]), FIRST: torch.tensor(first)}


def of_teachers(
    folder: Path,
    seeds: Sequence[int],
    images: Mapping[str, np.ndarray],
    device: torch.device,
    checkpoints: Checkpoints | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The peers in a round's folder of models, one by one: the seed, and its teacher's features of each image set.

    With checkpoints, by peer and set, it goes on from where it was stopped; the stage deletes them when it is done.
    """
    for seed in seeds:
        path = peer_path(folder, seed)
        check_size(path, images)
        teacher = inference(read_network(path, "teacher").to(device))
        features = {}
        for name, packed in images.items():
            kept = checkpoints.of(f"peer{seed}-{name}{ranks.name}") if checkpoints else None
            features[name] = extract(teacher, packed, device, f"{folder.name}: peer {seed} on the {name}", kept, ranks)
        yield seed, features


def mean_features(peers: Sequence[np.ndarray]) -> np.ndarray:
    """(N, D) float32 mean of the peers' features, as they are clustered."""
    return np.asarray(np.mean(peers, axis=0, dtype=np.float32))
