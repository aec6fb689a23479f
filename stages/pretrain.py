"""Pre-train one source network from one seed.

Reads the packed source and the target's training images, and `weights` or `pretrained` where they name files; writes
models/r00/peer<seed>.safetensors and metrics/pretrain/peer<seed>.csv; while it runs, .resume/, from where it goes on
when it was stopped or killed.

Cross entropy and softmax-triplet loss on the labelled source. Each iteration also forwards unlabelled target images:
all that this changes are the running statistics of the batch norms (authors' code). With ``pretrained`` the peer of a
file is taken instead; with ``source_root: none`` the network is what ``weights`` makes it.
Example: python -m stages.pretrain --seed 1
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.pretrain")

from functools import partial
from pathlib import Path

import torch

from mutual.base.errors import run
from mutual.base.params import FIRST_ROUND, NONE, read_params
from mutual.base.progress import Progress
from mutual.base.stopping import stop_asked
from mutual.base.store import ask_room
from mutual.elsewhere.initial import initial_network
from mutual.evaluation.accuracy import accuracy_on
from mutual.images.index import read_images, read_split
from mutual.learning.batches import Cut, Streams
from mutual.learning.live import live_curves
from mutual.learning.pretraining import Epoch, Plan, Pretraining, batches_of, write_curve
from mutual.machine.checkpoints import Checkpoint
from mutual.machine.device import deterministic_device
from mutual.machine.making import made_of
from mutual.machine.ranks import join
from mutual.machine.streams import integer_seed
from mutual.networks.norms import in_parts
from mutual.networks.peers import Peer, adopted, peer_path, write_peer
from stages import CURVES, LIVE, MODELS, PACKED
from stages.door import arguments


def main() -> str:
    """``--seed N``: the seed of this peer."""
    parser = arguments(__doc__, "stages.pretrain")
    parser.add_argument("--seed", type=int, required=True)
    seed: int = parser.parse_args().seed
    params, device, source = read_params(), deterministic_device(), PACKED / "source"
    ranks = join(device)
    out, curve = peer_path(MODELS / FIRST_ROUND, seed), CURVES / f"peer{seed}.csv"
    form, batches = params.network.model_dump(), params.batches
    target = read_images(PACKED / "target/train.npy")
    height, width = target.shape[1:3]
    trains = params.start.pretrained == NONE and params.source.root != NONE
    if not trains and not ranks.first:
        ranks.end()
        return ""
    if params.start.pretrained != NONE:
        given = peer_path(Path(params.start.pretrained), seed)
        network, peer = adopted(given, form, (height, width))
        print(f"peer {seed}: {given}")
        write_curve(curve, [])
        write_peer(out, network, network, peer)
        ranks.end()
        return str(out)
    if params.source.root == NONE:
        network = initial_network(form, 0, params.start.weights, seed, (height, width))
        made_by = {"pretrain": form | params.start.model_dump()}
        print(f"peer {seed}: {params.start.weights}, with no source to train on")
        write_curve(curve, [])
        write_peer(out, network, network, Peer(form, 0, height, width, 0, made_by, *network.normalisation))
        ranks.end()
        return str(out)

    images, index = read_split(source, "train")
    network = initial_network(form, len(set(index.pid)), params.start.weights, seed, (height, width))
    mean, std = network.normalisation
    cut = Cut(batches.batch_size, batches.instances, batches.padding, device, batches.flip, 0.0, network.normalisation)
    source_at, target_at = batches_of(images, index, target, Streams(seed), cut)
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    ask_room(out, 4 * size)  # two roles, there and in DVC's cache
    in_parts(network, batches.bn_groups, domains=False, ranks=ranks)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    planned = params.pretraining.model_dump() | params.penalties.model_dump()
    plan = Plan(**{key.removeprefix("pretrain_"): value for key, value in planned.items()})
    tested, dropout = partial(accuracy_on, source, device), partial(integer_seed, seed, "pretrain dropout", 0)
    made_by = form | batches.model_dump() | planned | params.start.model_dump()
    weights = [path] if (path := Path(params.start.weights)).is_file() else []
    made = made_of({"seed": seed} | made_by, [source, PACKED / "target/train.npy", *weights])
    checkpoint = Checkpoint(f"pretrain-{seed}", made, params.running.checkpoint_seconds, device, ranks.first)
    going = Pretraining(network, source_at, target_at, plan, tested, dropout, ranks)
    if found := checkpoint.found():
        going.go_on(found.tensors, found.note)
        print(f"peer {seed}: goes on from iteration {going.iterations} of {plan.epochs * plan.iterations}")
    ranks.check_same(going.iterations, "the processes would go on from different iterations")
    with stop_asked() as stop, live_curves(LIVE / out.stem, ranks.first) as live:

        def show(epoch: Epoch) -> None:
            live(epoch.number, {"cross_entropy": epoch.cross_entropy, "triplet": epoch.triplet})

        for epoch in going.epochs:
            show(epoch)
        total, desc = plan.epochs * plan.iterations, f"pre-training peer {seed}"
        for ended in (bar := Progress(going.left(), desc=desc, total=total, unit="it", initial=going.iterations)):
            if ended is not None:
                bar.note(epoch=f"{ended.number}", ce=f"{ended.cross_entropy:.3f}", triplet=f"{ended.triplet:.3f}")
                show(ended)
            if going.iterations < total:
                checkpoint.between(ranks.agreed(stop), going.tensors, going.note, f"iteration {going.iterations}")
    if ranks.first:
        write_curve(curve, going.epochs)
        best = going.best
        peer = Peer(form, best.classifier.out_features, height, width, 0, {"pretrain": made_by}, mean, std)
        write_peer(out, best, best, peer)
    ranks.end()
    checkpoint.done()
    return str(out)


if __name__ == "__main__":
    run(main)
