"""Pre-train one source network from one seed.

Reads the packed source and the target's training images, and `weights` or `pretrained` where they name files; writes
models/r00/peer<seed>.safetensors and metrics/pretrain/peer<seed>.csv.

Cross entropy and softmax-triplet loss on the labelled source. Each iteration also forwards unlabelled target images:
all that this changes are the running statistics of the batch norms (authors' code). With ``pretrained`` the peer of a
file is taken instead. Example: python -m stages.pretrain --seed 1
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.pretrain")

from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from mutual.base.errors import run
from mutual.base.params import read_params
from mutual.base.store import ask_room, write_text
from mutual.clusters.pseudo_labels import PseudoLabels
from mutual.elsewhere.initial import load_initial_backbone
from mutual.evaluation.accuracy import accuracy_on
from mutual.images.index import read_images, read_split, relabel
from mutual.learning.batches import Cut, Streams, TrainingSet, labelled_batches, unlabelled_views
from mutual.learning.pretraining import Epoch, Plan, pretrain
from mutual.machine.device import deterministic_device
from mutual.machine.streams import integer_seed
from mutual.networks.norms import in_parts
from mutual.networks.peers import Peer, adopted, peer_path, write_peer
from mutual.networks.reid import ReidNetwork
from stages.door import arguments
from stages.places import CURVES, MODELS, PACKED

CURVE = "epoch,lr,cross_entropy,triplet,source_mAP"


def main() -> None:
    """``--seed N``: the seed of this peer."""
    parser = arguments(__doc__, "stages.pretrain")
    parser.add_argument("--seed", type=int, required=True)
    seed: int = parser.parse_args().seed
    params, device = read_params(), deterministic_device()
    planned = params.pretraining.model_dump() | params.penalties.model_dump()
    form, batches = params.network.model_dump(), params.batches
    made_by = form | batches.model_dump() | planned | params.start.model_dump()
    source, target = PACKED / "source", PACKED / "target"
    images, index = read_split(source, "train")
    out, curve = peer_path(MODELS / "r00", seed), [CURVE]
    if params.start.pretrained != "none":
        given = peer_path(Path(params.start.pretrained), seed)
        network, peer = adopted(given, form)
        print(f"peer {seed}: {given}")
        write_text(CURVES / f"peer{seed}.csv", CURVE + "\n")
        write_peer(out, network, network, peer)
        return

    labels, streams = relabel(index.pid), Streams(seed)
    cut = Cut(batches.batch_size, batches.instances, batches.padding, device, batches.flip)
    labelled = TrainingSet(images, PseudoLabels(labels), index.camid)
    source_at = labelled_batches(labelled, streams, "source batches", ["source views"], cut)
    target_at = unlabelled_views(read_images(target / "train.npy"), streams, "target batches", "target views", cut)
    torch.manual_seed(integer_seed(seed, "pretrain network"))
    network = ReidNetwork(**form, classes=int(labels.max()) + 1)
    load_initial_backbone(network, params.network.backbone, params.start.weights)
    ask_room(
        out, 4 * sum(tensor.nbytes for tensor in network.state_dict().values())
    )  # two roles, there and in the cache
    in_parts(network, batches.bn_groups, domains=False)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    epochs = pretrain(
        network,
        source_at,
        target_at,
        Plan(**{key.removeprefix("pretrain_"): value for key, value in planned.items()}),
        partial(accuracy_on, source, device),
        partial(integer_seed, seed, "pretrain dropout", 0),
    )
    best = network
    total = params.pretraining.pretrain_epochs
    for epoch, best in (bar := tqdm(epochs, desc=f"pre-training peer {seed}", total=total, unit="epoch")):  # noqa: B007
        curve.append(line(epoch))
        bar.set_postfix(ce=f"{epoch.cross_entropy:.3f}", triplet=f"{epoch.triplet:.3f}")
    write_text(CURVES / f"peer{seed}.csv", "\n".join(curve) + "\n")
    _, height, width, _ = images.shape
    write_peer(out, best, best, Peer(form, best.classifier.out_features, height, width, params={"pretrain": made_by}))


def line(epoch: Epoch) -> str:
    """One epoch as CSV."""
    tested = "" if epoch.accuracy is None else f"{epoch.accuracy:.6f}"
    return f"{epoch.number},{epoch.lr:.6g},{epoch.cross_entropy:.6f},{epoch.triplet:.6f},{tested}"


if __name__ == "__main__":
    run(main)
