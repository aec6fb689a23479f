"""All rounds -> what they came to, the table of results, and the tables behind the plots.

Reads rounds.yaml, of params.yaml the names of the data sets and the seeds, and, of the rounds that are listed,
metrics/rounds/ and metrics/losses/. Writes metrics/summary.json, results.md, rounds.csv, pseudo_labels.csv and
losses.csv, and metrics/curves/, a loss a file, and says where the page is, which another stage wrote.
Example: python -m stages.report
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.report")

from pathlib import Path

from mutual.base.errors import run
from mutual.base.params import FIRST_ROUND, read_params, read_rounds
from mutual.base.store import folder_beside, write_json, write_text
from mutual.experiments.curves import joined_losses, label_table, loss_curves, round_table
from mutual.experiments.results import read_result
from mutual.experiments.summary import results_table, summary
from stages import LOSSES, RESULTS
from stages.door import arguments

METRICS = Path("metrics")
PAGE = METRICS / "report.html"


def main() -> None:
    """No arguments: the rounds that rounds.yaml names."""
    arguments(__doc__, "stages.report").parse_args()
    params, rounds = read_params(), list(read_rounds())
    results = {
        name: read_result(RESULTS / f"{name}.json", params.peers.seeds, labelled=name != FIRST_ROUND)
        for name in [FIRST_ROUND, *rounds]
    }
    losses = joined_losses([LOSSES / f"{name}.csv" for name in rounds])
    table = results_table(f"{params.source.name} to {params.target.name}", results)
    texts = {
        "results.md": table,
        "rounds.csv": round_table(results),
        "pseudo_labels.csv": label_table(results),
        "losses.csv": losses.to_csv(index=False, float_format="%.6f"),
    }
    figures, curves = summary(results), loss_curves(losses)
    write_json(METRICS / "summary.json", figures)
    for name, text in texts.items():
        write_text(METRICS / name, text)
    with folder_beside(METRICS / "curves") as folder:
        for term, text in curves.items():
            write_text(folder / f"{term}.csv", text)
    print(table)
    if PAGE.exists():
        print(f"{PAGE} shows it")


if __name__ == "__main__":
    run(main)
