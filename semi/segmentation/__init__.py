"""Segmentation with few labels: each module is one entry point, run as ``python -m semi.segmentation.<name>``.

Where their artefacts lie, from the project's top: what semi/segmentation/dvc.yaml calls them too.
"""

from pathlib import Path

DRAWN = Path("semi/segmentation/data/people")  # drawn pictures, and masks of people's parts
PACKED = Path("semi/segmentation/data/packed")  # pictures with their masks, by split
TRAIN, VALIDATION, TEST = PACKED / "train", PACKED / "validation", PACKED / "test"
SPLITS = Path("semi/segmentation/data/splits")  # which are labelled: one file for each seed
RUNS = Path("semi/segmentation/data/runs")  # networks, by run, seed and number
LABELS = Path("semi/segmentation/data/labels")  # pseudo labels, by phase, seed and the network that learns from them
MEASURED = Path("semi/segmentation/data/measured")  # figures, by run
RESULTS = Path("semi/segmentation/metrics")  # figures of all runs, and the tables
