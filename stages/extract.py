"""Features of the target's training images, mean over the teachers -> data/rounds/<round>/features.npy.

Where the source takes part in the round, its training images' features too -> source_features.npy, else none: (0, D).
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from mutual.base.errors import run
from mutual.base.params import read_params
from mutual.base.store import read_array, write_array
from mutual.evaluation.features import extract
from mutual.machine.device import deterministic_device
from mutual.networks.peers import forget_unlisted_peers, peer_path, read_network
from mutual.networks.reid import ReidNetwork, inference

SOURCE = Path("data/packed/source")
TARGET = Path("data/packed/target")
MODELS = Path("models")
ROUNDS = Path("data/rounds")


def main() -> None:
    """``--round r02 --start r01``: the teachers of the start give the features of the round."""
    parser = argparse.ArgumentParser(description="Features of the target's training images.")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params = read_params()
    device = deterministic_device()
    forget_unlisted_peers(MODELS / args.start, params.seeds)
    images = read_array(TARGET / "train.npy")
    source = read_array(SOURCE / "train.npy")
    if not (params.source_distance_weight > 0 and params.clustering == "dbscan") and params.source_weight == 0:
        source = source[:0]
    build = partial(
        ReidNetwork,
        params.backbone,
        stem_relu=params.stem_relu,
        pooling=params.pooling,
        dropout=params.dropout,
        precision=params.precision,
    )
    features, source_features = [], []
    for seed in params.seeds:
        teacher = inference(read_network(peer_path(MODELS / args.start, seed), "teacher", build).to(device))
        features.append(extract(teacher, images, device, f"{args.round}: features of peer {seed}"))
        source_features.append(extract(teacher, source, device, f"{args.round}: source features of peer {seed}"))
    for name, peers in (("features", features), ("source_features", source_features)):
        write_array(ROUNDS / args.round / f"{name}.npy", np.asarray(np.mean(peers, axis=0, dtype=np.float32)))


if __name__ == "__main__":
    run(main)
