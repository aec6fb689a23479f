"""Experiments with wrong labels: each module is one entry point, run as ``python -m noisy.<name>``.

Where their artefacts lie, from the project's top: what noisy/dvc.yaml calls them too.
"""

from pathlib import Path

from mutual.base.errors import run
from mutual.base.threads import settle

PEOPLE = Path("data/noisy/people")  # drawn, to learn from and, others, to test on
OTHERS = Path("data/noisy/others")  # drawn, to learn from before
START = Path("data/noisy/start.safetensors")  # a backbone that did
PACKED = Path("data/noisy/packed")  # images and their index, with the true labels
CLEAN = Path("data/noisy/clean")  # what a network makes of the images that learned from the true labels
LABELS = Path("data/noisy/labels")  # wrong labels, one file for each cell and seed
RUNS = Path("data/noisy/runs")  # what the networks make of the images, by method, cell and seed
RESULTS = Path("metrics/noisy")  # figures, and the table

run(settle)  # here, since a library reads how many threads it may use when it loads
