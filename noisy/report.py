"""All runs -> the tables of results.

Reads noisy/metrics/epochs.csv; writes noisy/metrics/results.md and summary.json, and prints the former.
Example: python -m noisy.report
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.report")

from mutual.base.errors import run
from mutual.base.store import write_json, write_text
from mutual.noise.cells import cells
from mutual.noise.params import read_noisy_params
from mutual.noise.results import read_table, results, summary
from noisy import RESULTS
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "noisy.report").parse_args()
    params, table = read_noisy_params(), read_table(RESULTS / "epochs.csv")
    compared, methods = cells(params.noises, params.ratios), list(params.methods.chosen())
    text = results(table, compared, methods)
    write_text(RESULTS / "results.md", text)
    write_json(RESULTS / "summary.json", summary(table, compared, methods))
    print(text)
    return str(RESULTS / "results.md")


if __name__ == "__main__":
    run(main)
