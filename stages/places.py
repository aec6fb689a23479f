"""Where the artefacts lie, from the project's top: what dvc.yaml calls them too."""

from pathlib import Path

PACKED = Path("data/packed")  # source/ and target/: images and their index
ROUNDS = Path("data/rounds")  # a round's features and pseudo labels
RETRIEVAL = Path("data/retrieval")  # what a round's teachers found
MODELS = Path("models")  # a round's peers, and what it hands on
RESULTS = Path("metrics/rounds")  # a round's figures
LOSSES = Path("metrics/losses")  # a round's losses, iteration by iteration
CURVES = Path("metrics/pretrain")  # pre-training, epoch by epoch
