"""Test the teachers of a round on the target's query and gallery, and its pseudo labels against the true identities.

Reads models/<round>, the target's test images and, but for r00, data/rounds/<round>; writes metrics/rounds/<round>.json
and data/retrieval/<round>/: each query's nearest gallery images and, with `keep_features: all`, the features. With
`test_labels` the images of that list, wherever they lie in the target, are searched among each other instead. Besides
the report this is the only stage that reads the target's identities; nothing that it writes is read by a stage that
trains. What needs labels is left out where there are none. Where it was stopped or killed it goes on from what lies in
.resume/. Example: python -m stages.evaluate --round r01; r00 is direct transfer, before any adaptation.
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.evaluate")

from pathlib import Path
from typing import Any

import torch

from mutual.base.errors import run
from mutual.base.params import FIRST_ROUND, NONE, read_params
from mutual.base.store import folder_beside, write_json
from mutual.evaluation.accuracy import accuracy
from mutual.evaluation.features import of_teachers
from mutual.evaluation.labelled import known_identities, query_and_gallery
from mutual.evaluation.quality import diagnosis
from mutual.evaluation.ranking import euclidean, rank_blocks
from mutual.evaluation.retrieval import KEPT, write_features, write_ranking
from mutual.images.index import read_index, write_index
from mutual.machine.checkpoints import Checkpoints
from mutual.machine.device import deterministic_device
from mutual.machine.making import made_of
from stages import MODELS, PACKED, RESULTS, RETRIEVAL, ROUNDS
from stages.door import arguments


def main() -> str:
    """``--round r01``: its teachers, one by one."""
    parser = arguments(__doc__, "stages.evaluate")
    parser.add_argument("--round", required=True)
    name: str = parser.parse_args().round
    params, device, target = read_params(), deterministic_device(), PACKED / "target"
    listed = params.evaluation.test_labels
    tested = query_and_gallery(target, None if listed == NONE else Path(listed))
    images, query, gallery = (
        {split: found[0] for split, found in tested.items()},
        tested["query"][1],
        tested["gallery"][1],
    )
    ids = query.pid, gallery.pid, query.camid, gallery.camid
    peers = {}
    seeds = params.peers.seeds
    read = [target / "query.npy", target / "gallery.npy"] if listed == NONE else [target, Path(listed)]
    made = made_of({"seeds": seeds}, [MODELS / name, *read])
    checkpoints = Checkpoints(f"evaluate-{name}", made, params.running.checkpoint_seconds, device)
    with folder_beside(RETRIEVAL / name) as kept:
        if listed != NONE:  # the packed index does not say which images these are
            write_index(kept / "tested.csv", gallery)
        for seed, features in of_teachers(MODELS / name, seeds, images, device, checkpoints):
            ranking, nearest = rank_blocks(euclidean(features["query"], features["gallery"], device), *ids, KEPT)
            peers[str(seed)] = figures = accuracy(ranking)
            if figures:
                print("{name}: peer {seed}: mAP {mAP:.1%}, rank-1 {rank1:.1%}".format(name=name, seed=seed, **figures))
            write_ranking(kept, seed, ranking, nearest)
            if params.evaluation.keep_features == "all":
                write_features(kept, seed, features)
            if params.evaluation.rerank and figures:
                from mutual.evaluation.reranking import reranked  # needs SciPy, which others do not wait for

                again, _ = rank_blocks(reranked(features["query"], features["gallery"], device), *ids)
                peers[str(seed)] |= {"rerank_mAP": again.mean_average_precision, "rerank_rank1": again.rank(1)}
        if not any(peers.values()):
            print(f"{name}: no labelled test images")
        result: dict[str, Any] = {"peers": peers, "pseudo_labels": {}}
        if name != FIRST_ROUND:
            train = read_index(target / "train.csv")
            of_round = diagnosis(ROUNDS / name, train if listed == NONE else known_identities(train, gallery))
            result |= dict(zip(("pseudo_labels", "label_free"), of_round, strict=True))
        result["computed"] = {"device": device.type, "threads": torch.get_num_threads()}
        write_json(RESULTS / f"{name}.json", result)
    checkpoints.done()
    return str(RESULTS / f"{name}.json")


if __name__ == "__main__":
    run(main)
