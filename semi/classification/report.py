"""All runs -> the tables of results.

Reads semi/classification/phases.yaml and data/measured/; writes semi/classification/metrics/runs.csv, results.md and
summary.json, and prints the tables. Example: python -m semi.classification.report
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.report")

from mutual.base.errors import run
from mutual.classification.params import PHASES, read_classification_params
from mutual.few.phases import read_phases
from mutual.few.report import write_report
from semi.classification import MEASURED, RESULTS
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.classification.report").parse_args()
    params = read_classification_params()
    print(write_report(RESULTS, MEASURED, read_phases(PHASES), "accuracy", params.published))
    return str(RESULTS / "results.md")


if __name__ == "__main__":
    run(main)
