"""Features of the target's training images, mean over the teachers -> data/rounds/<round>/features.npy."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from stages.reid.checkpoint import forget_unlisted_peers, peer_path, read_network
from stages.reid.device import deterministic_device
from stages.reid.errors import run
from stages.reid.features import extract
from stages.reid.network import ReidNetwork, inference
from stages.reid.params import read_params
from stages.reid.store import read_array, write_array

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
    build = partial(
        ReidNetwork,
        params.backbone,
        stem_relu=params.stem_relu,
        dropout=params.dropout,
        precision=params.precision,
    )
    features = []
    for seed in params.seeds:
        teacher = inference(read_network(peer_path(MODELS / args.start, seed), "teacher", build).to(device))
        features.append(extract(teacher, images, device, f"{args.round}: features of peer {seed}"))
    write_array(ROUNDS / args.round / "features.npy", np.asarray(np.mean(features, axis=0, dtype=np.float32)))


if __name__ == "__main__":
    run(main)
