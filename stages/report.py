"""All rounds -> what they came to, the table of results, the tables behind the plots, and the model card.

Reads rounds.yaml, params.yaml, of the rounds that are listed metrics/rounds/ and metrics/losses/, what
data/retrieval/last tells of the last without labels, and for the card adapted/peers/ and the index of the packed sets.
Writes metrics/summary.json, results.md, rounds.csv, pseudo_labels.csv and losses.csv, metrics/curves/, a loss a file,
metrics/label_free/, a figure a file, and adapted/README.md; says where the page is, which another stage wrote.
Example: python -m stages.report
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.report")

from pathlib import Path

import numpy as np

from mutual.base.errors import run
from mutual.base.params import FIRST_ROUND, NONE, read_params, read_rounds
from mutual.base.store import folder_beside, read_array, write_json, write_text
from mutual.clusters.pseudo_labels import read_figures
from mutual.evaluation.quality import believed_quality
from mutual.experiments.card import Facts, model_card, read_network_facts
from mutual.experiments.choice import alarms_over_rounds, label_free
from mutual.experiments.curves import joined_losses, label_free_curves, label_table, loss_curves, round_table
from mutual.experiments.results import read_result
from mutual.experiments.summary import results_table, summary, task_title
from mutual.images.index import read_index
from stages import ADAPTED, DEMO, LOSSES, PACKED, RESULTS, RETRIEVAL
from stages.door import arguments

METRICS = Path("metrics")
INDICES = {"source": "source/train", "train": "target/train", "query": "target/query", "gallery": "target/gallery"}
PAGE = METRICS / "report.html"


def main() -> str:
    """No arguments: the rounds that rounds.yaml names."""
    arguments(__doc__, "stages.report").parse_args()
    params, rounds = read_params(), read_rounds()
    results = {
        name: read_result(RESULTS / f"{name}.json", params.peers.seeds, labelled=name != FIRST_ROUND)
        for name in [FIRST_ROUND, *rounds]
    }
    losses = joined_losses([LOSSES / f"{name}.csv" for name in rounds])
    judged = label_free(results, rounds, read_figures(RETRIEVAL / "last/clustering.json").get("label_free", {}))
    train = read_index(PACKED / "target/train.csv")
    labels = read_array(RETRIEVAL / "last/believed.npy", dtype=np.int32, shape=(None, len(train)))
    believed = believed_quality(labels, train)
    table = results_table(task_title(params.source.name, params.target.name), results, judged, believed)
    texts = {
        "results.md": table,
        "rounds.csv": round_table(results),
        "pseudo_labels.csv": label_table(results),
        "losses.csv": losses.to_csv(index=False, float_format="%.6f"),
    }
    facts = Facts(
        params.source.name,
        params.target.name,
        {name: read_index(PACKED / f"{split}.csv") for name, split in INDICES.items()},
        params.start.model_dump(),
        all(Path(root).is_relative_to(DEMO) for root in (params.source.root, params.target.root) if root != NONE),
        params.clustering.model_dump() | params.wrong.model_dump(),
        results,
        [read_network_facts(path) for path in sorted((ADAPTED / "peers").iterdir())],
    )
    card = model_card(facts)
    figures = summary(results, judged, believed)
    write_json(METRICS / "summary.json", figures)
    for name, text in texts.items():
        write_text(METRICS / name, text)
    for part, curves in (("curves", loss_curves(losses)), ("label_free", label_free_curves(judged))):
        with folder_beside(METRICS / part) as folder:
            for name, text in curves.items():
                write_text(folder / f"{name}.csv", text)
    write_text(ADAPTED / "README.md", card)
    print(table)
    for line in alarms_over_rounds(judged):
        print(f"warning: {line}")
    if PAGE.exists():
        print(f"{PAGE} shows it")
    return f"{METRICS / 'summary.json'} and the tables beside it"


if __name__ == "__main__":
    run(main)
