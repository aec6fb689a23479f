"""Test every run: the only stage that reads true labels of what a run has learned from, and those of the test images.

Reads noisy/data/packed/*.csv, noisy/data/labels/ and noisy/data/runs/; writes noisy/metrics/epochs.csv, a line for each
run and epoch that is tested. Example: python -m noisy.evaluate
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.evaluate")

from mutual.base.errors import run
from mutual.base.store import write_text
from mutual.clusters.pseudo_labels import read_pseudo_labels
from mutual.images.index import read_index, relabel
from mutual.noise.cells import CLEAN, of_each
from mutual.noise.figures import run_figures
from mutual.noise.kept import epochs_tested, read_run
from mutual.noise.params import read_noisy_params
from mutual.noise.results import table_text
from noisy import LABELS, PACKED, RESULTS, RUNS
from stages.door import arguments


def main() -> str:
    """No arguments: all runs of the methods that are compared."""
    arguments(__doc__, "noisy.evaluate").parse_args()
    params = read_noisy_params()
    train, query, gallery = (read_index(PACKED / f"{split}.csv") for split in ("train", "query", "gallery"))
    true, epochs = relabel(train.pid), epochs_tested(params.epochs, params.test_epochs)
    rows = []
    for method in params.methods.chosen():
        for cell, seed, place in of_each(params.noises, params.ratios, params.seeds):
            found = read_run(RUNS / method / place, len(epochs), len(train), len(query), len(gallery))
            given = read_pseudo_labels((LABELS / place).with_suffix(".csv"), train.file).classes
            which = {"method": method, "kind": cell.kind or CLEAN, "ratio": cell.ratio, "seed": seed}
            figures = run_figures(found, given, true, query, gallery)
            rows += [which | {"epoch": epoch} | of for epoch, of in zip(epochs, figures, strict=True)]
    write_text(RESULTS / "epochs.csv", table_text(rows))
    return str(RESULTS / "epochs.csv")


if __name__ == "__main__":
    run(main)
