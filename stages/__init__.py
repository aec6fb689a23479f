"""The stages of the pipeline: each module is one entry point, run as ``python -m stages.<name>``.

Where their artefacts lie, from the project's top: what dvc.yaml calls them too.
"""

from pathlib import Path

from mutual.base.errors import run
from mutual.base.threads import settle

DEMO = Path("data/demo")  # the drawn data sets
LIVE = Path("dvclive")  # curves while a round, or a network, trains
PACKED = Path("data/packed")  # source/ and target/: images and their index
ROUNDS = Path("data/rounds")  # a round's features and pseudo labels
RETRIEVAL = Path("data/retrieval")  # what a round's teachers found
MODELS = Path("models")  # a round's peers, and what it hands on
RESULTS = Path("metrics/rounds")  # a round's figures
LOSSES = Path("metrics/losses")  # a round's losses, iteration by iteration
ADAPTED = Path("adapted")  # what others get: the last round's peers and their card
CURVES = Path("metrics/pretrain")  # pre-training, epoch by epoch

run(settle)  # here, since a library reads how many threads it may use when it loads
