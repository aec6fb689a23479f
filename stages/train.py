"""One round of adaptation: the students learn from the pseudo labels as the refinery says.

Reads the peers of the round's start and the round's clusters; writes models/<round>/, what the next round starts from,
and metrics/losses/<round>.csv; while it runs, dvclive/<round>/ and .resume/, from where it goes on when it was stopped
or killed. Example: python -m stages.train --round r02 --after r01
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.train")

from functools import partial

from mutual.base.errors import run
from mutual.base.params import read_params, round_number
from mutual.base.progress import Progress
from mutual.base.stopping import stop_asked
from mutual.base.store import ask_room
from mutual.evaluation.features import of_teachers
from mutual.learning.adaptation import (
    Round,
    Standing,
    adapt,
    check_finite,
    ready,
    terms_of,
    trained_by,
    write_losses,
)
from mutual.learning.batches import Cut, Streams
from mutual.learning.handover import Handover, read_handover, write_handover
from mutual.learning.live import live_curves
from mutual.learning.material import batches_of, files_of, read_material
from mutual.machine.checkpoints import Checkpoint
from mutual.machine.device import deterministic_device
from mutual.machine.making import made_of
from mutual.machine.ranks import join
from mutual.machine.streams import integer_seed
from mutual.networks.peers import check_size, iterations_of, normalisation_of, peer_path, write_continued
from mutual.refineries.contract import check_peers, find_refinery
from stages import LIVE, LOSSES, MODELS, PACKED, ROUNDS
from stages.door import AFTER, arguments

CHECKED = 20  # iterations between two looks at the losses: a GPU is waited for there


def main() -> str:
    """``--round r02 --after r01``: from the peers of the start to those of the round."""
    parser = arguments(__doc__, "stages.train")
    parser.add_argument("--round", required=True)
    parser.add_argument("--after", "--start", required=True, dest="start", help=AFTER)
    args = parser.parse_args()
    params, device, number = read_params(), deterministic_device(), round_number(args.round)
    ranks = join(device)
    plan, batches, penalties, seeds = params.adaptation, params.batches, params.penalties, params.peers.seeds
    new, start = ([peer_path(MODELS / name, seed) for seed in seeds] for name in (args.round, args.start))
    method = find_refinery(plan.method)
    check_peers(method, plan.method, len(seeds))
    refinery = method.of(params.values(method.keys))
    refinery.load_state(read_handover(MODELS / args.start).state)
    source = PACKED / "source" if plan.source_weight > 0 else None
    material = read_material(ROUNDS / args.round, PACKED / "target", source)
    for path in start:
        check_size(path, material.images)
    ask_room(MODELS / args.round, 2 * sum(path.stat().st_size for path in start))  # there, and in DVC's cache

    seen = normalisation_of(start)
    cut = Cut(batches.batch_size, batches.instances, batches.padding, device, batches.flip, normalisation=seen)
    batch_at, source_at = batches_of(material, Streams(params.peers.seed, number), seeds, cut, plan.erase_probability)
    students, teachers = ready(start, material.classes, device, refinery.teaching, batches.bn_groups, plan.dsbn, ranks)
    optimizer = trained_by(students, plan.lr, plan.backbone_lr_scale, penalties.weight_decay)
    images = {"target": material.target.images}
    of_start = partial(of_teachers, MODELS / args.start, seeds, images, device, ranks=ranks)
    labels = material.target.labels.classes
    refinery.begin(number, labels, lambda: [features["target"] for _, features in of_start()])
    done, clusters = iterations_of(start), material.clusters
    smoothing, weight = penalties.label_smoothing, plan.source_weight
    within = Round(number, plan.iterations, done, clusters, smoothing, weight, plan.dsbn, ranks)
    dropout = partial(integer_seed, params.peers.seed, "dropout", number)
    made_by = params.values(method.keys) | batches.model_dump() | plan.model_dump() | penalties.model_dump()
    inputs = [MODELS / args.start, *files_of(ROUNDS / args.round, PACKED / "target", source)]
    made = made_of({"round": args.round, "seeds": seeds, "seed": params.peers.seed} | made_by, inputs)
    checkpoint = Checkpoint(f"train-{args.round}", made, params.running.checkpoint_seconds, device, ranks.first)
    standing, history = Standing(students, teachers, optimizer, refinery), []
    if found := checkpoint.found():
        history = standing.go_on(found.tensors)
        print(f"{args.round}: goes on from iteration {len(history)} of {plan.iterations}")
    ranks.check_same(len(history), "the processes would go on from different iterations")
    steps = adapt(refinery, students, teachers, batch_at, source_at, optimizer, within, dropout, len(history))
    terms = terms_of(refinery, plan.source_weight)
    with stop_asked() as stop, live_curves(LIVE / args.round, ranks.first) as live:
        for i in range(0, len(history), CHECKED):
            live(done + i + 1, dict(zip(terms, history[i].tolist(), strict=True)))
        bar = Progress(steps, total=plan.iterations, desc=f"{args.round}: training", unit="it", initial=len(history))
        for losses in bar:
            history.append(losses)
            ended = len(history) == plan.iterations
            if len(history) % CHECKED == 1 or ended:
                check_finite(history, args.round, plan.lr)
                bar.note(loss=f"{float(losses[0]):.3f}")
                live(done + len(history), dict(zip(terms, losses.tolist(), strict=True)))
            if not ended:
                checkpoint.between(
                    ranks.agreed(stop), partial(standing.tensors, history), dict, f"iteration {len(history)}"
                )
    if ranks.first:
        for before, path, student, teacher in zip(start, new, students, teachers or students, strict=True):
            write_continued(before, path, student, teacher, plan.iterations, made_by)
        write_handover(MODELS / args.round, Handover(material.eps, refinery.state(), labels))
        write_losses(LOSSES / f"{args.round}.csv", terms, history, done)
    ranks.end()
    checkpoint.done()
    return str(MODELS / args.round)


if __name__ == "__main__":
    run(main)
