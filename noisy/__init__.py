"""Experiments with wrong labels: each module is one entry point, run as ``python -m noisy.<name>``.

Where their artefacts lie, from the project's top: what noisy/dvc.yaml calls them too.
"""

from pathlib import Path

from mutual.base.errors import run
from mutual.base.threads import settle

PEOPLE = Path("noisy/data/people")  # drawn, to learn from and, others, to test on
OTHERS = Path("noisy/data/others")  # drawn, to learn from before
START = Path("noisy/data/start.safetensors")  # a backbone that did
PACKED = Path("noisy/data/packed")  # images and their index, with the true labels
CLEAN = Path("noisy/data/clean")  # what a network makes of the images that learned from the true labels
LABELS = Path("noisy/data/labels")  # wrong labels, one file for each cell and seed
RUNS = Path("noisy/data/runs")  # what the networks make of the images, by method, cell and seed
RESULTS = Path("noisy/metrics")  # figures, and the table

run(settle)  # here, since a library reads how many threads it may use when it loads
