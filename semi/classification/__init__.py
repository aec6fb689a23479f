"""Classification with few labels: each module is one entry point, run as ``python -m semi.classification.<name>``.

Where their artefacts lie, from the project's top: what semi/classification/dvc.yaml calls them too.
"""

from pathlib import Path

PACKED = Path("semi/classification/data/packed")  # images and, with their true labels, the list of them
SPLITS = Path("semi/classification/data/splits")  # which are labelled, and how: one file for each seed
RUNS = Path("semi/classification/data/runs")  # networks, by run and seed
LABELS = Path("semi/classification/data/labels")  # pseudo labels, by phase and seed
MEASURED = Path("semi/classification/data/measured")  # figures, by run
RESULTS = Path("semi/classification/metrics")  # figures of all runs, and the tables
