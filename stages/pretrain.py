"""Pre-train one source network from one seed: models/r00/peer<seed>.safetensors.

Cross entropy and softmax-triplet loss on the labelled source. Each iteration also forwards unlabelled target images:
all that this changes are the running statistics of the batch norms (authors' code).
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mutual.base.errors import InputError, run
from mutual.base.params import read_params
from mutual.base.store import read_array, write_text
from mutual.evaluation.features import extract
from mutual.evaluation.ranking import euclidean, rank_blocks
from mutual.images.index import read_index, relabel
from mutual.learning.adam import Adam
from mutual.learning.batches import labelled_views, unlabelled_views
from mutual.learning.schedule import warmup_multistep
from mutual.machine.device import deterministic_device
from mutual.machine.streams import integer_seed, numpy_stream
from mutual.networks.initial import load_initial_backbone
from mutual.networks.norms import in_parts
from mutual.networks.peers import peer_path, read_network, write_peer
from mutual.networks.reid import ReidNetwork, inference
from mutual.refineries.losses import hard_losses

SOURCE = Path("data/packed/source")
TARGET = Path("data/packed/target")
MODELS = Path("models/r00")
CURVES = Path("metrics/pretrain")
CURVE = "epoch,lr,cross_entropy,triplet,source_mAP"


def main() -> None:
    """``--seed N``: the seed of this peer."""
    parser = argparse.ArgumentParser(description="Pre-train one source network from one seed.")
    parser.add_argument("--seed", type=int, required=True)
    seed: int = parser.parse_args().seed
    params = read_params()
    device = deterministic_device()
    build = partial(
        ReidNetwork,
        params.backbone,
        stem_relu=params.stem_relu,
        pooling=params.pooling,
        dropout=params.dropout,
        precision=params.precision,
    )
    if params.pretrained != "none":
        adopt(Path(params.pretrained.replace("{seed}", str(seed))), seed, build)
        return

    index = read_index(SOURCE / "train.csv")
    labels = relabel(index.pid)
    source = labelled_views(
        read_array(SOURCE / "train.npy"),
        labels,
        index.camid,
        numpy_stream(seed, "source batches"),
        [numpy_stream(seed, "source views")],
        batch_size=params.batch_size,
        instances=params.instances,
        padding=params.padding,
        device=device,
    )
    target = unlabelled_views(
        read_array(TARGET / "train.npy"),
        numpy_stream(seed, "target batches"),
        numpy_stream(seed, "target views"),
        batch_size=params.batch_size,
        padding=params.padding,
        device=device,
    )

    torch.manual_seed(integer_seed(seed, "pretrain network"))
    network = build(int(labels.max()) + 1)
    load_initial_backbone(network, params.backbone, params.weights)
    in_parts(network, params.bn_groups, domains=False)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = Adam([(trained, 1.0)], params.pretrain_lr, params.weight_decay)

    best, best_map, curve = network, -1.0, [CURVE]
    for epoch in (bar := tqdm(range(params.pretrain_epochs), desc=f"pre-training peer {seed}", unit="epoch")):
        lr = warmup_multistep(epoch, params.pretrain_lr, params.pretrain_warmup_epochs, params.pretrain_milestones)
        optimizer.lr = lr
        ce, triplet = train_epoch(
            network, optimizer, source, target, params.pretrain_iterations, params.label_smoothing
        )
        if not np.isfinite(ce + triplet):
            raise InputError(
                f"pretrain_lr: the loss is not finite in epoch {epoch + 1}: expected a lower rate than {lr}"
            )
        source_map = ""
        if (epoch + 1) % params.pretrain_eval_epochs == 0 or epoch + 1 == params.pretrain_epochs:
            found = source_accuracy(network, device)
            source_map = f"{found:.6f}"
            if found > best_map:
                best, best_map = deepcopy(network), found
        curve.append(f"{epoch + 1},{lr:.6g},{ce:.6f},{triplet:.6f},{source_map}")
        bar.set_postfix(
            ce=f"{ce:.3f}", triplet=f"{triplet:.3f}", source_mAP=f"{best_map:.1%}" if best_map >= 0 else "-"
        )
    write_text(CURVES / f"peer{seed}.csv", "\n".join(curve) + "\n")
    write_peer(peer_path(MODELS, seed), best, best, iterations=0)


def adopt(path: Path, seed: int, build: Callable[[int], ReidNetwork]) -> None:
    """Take the teacher of a peer's file for this peer, instead of training one."""
    if not path.is_file():
        raise InputError(f"pretrained: {path}: not found, expected the file of peer {seed}")
    network = read_network(path, "teacher", build)
    print(f"peer {seed}: {path}")
    write_text(CURVES / f"peer{seed}.csv", CURVE + "\n")
    write_peer(peer_path(MODELS, seed), network, network, iterations=0)


def train_epoch(
    network: nn.Module,
    optimizer: Adam,
    source: Iterator[tuple[Tensor, Sequence[Tensor]]],
    target: Iterator[Tensor],
    iterations: int,
    label_smoothing: float,
) -> tuple[float, float]:
    """Run ``iterations`` optimiser steps; the means of the cross entropy and of the triplet loss."""
    network.train()
    history = []
    for _ in range(iterations):
        targets, (views,) = next(source)
        pooled, logits = network(views)
        with torch.no_grad():
            network(next(target))
        ce, triplet = hard_losses(pooled, logits, targets, label_smoothing)
        optimizer.zero_grad()
        (ce + triplet).backward()
        optimizer.step()
        history.append(torch.stack([ce.detach(), triplet.detach()]))
    mean = torch.stack(history).double().mean(0)
    return float(mean[0]), float(mean[1])


def source_accuracy(network: ReidNetwork, device: torch.device) -> float:
    """mAP, 0 .. 1, on the source's own query and gallery."""
    frozen = inference(deepcopy(network))
    sets = [(read_array(SOURCE / f"{s}.npy"), read_index(SOURCE / f"{s}.csv")) for s in ("query", "gallery")]
    (query, q), (gallery, g) = [(extract(frozen, images, device, "source test"), index) for images, index in sets]
    return rank_blocks(euclidean(query, gallery, device), q.pid, g.pid, q.camid, g.camid).mean_average_precision


if __name__ == "__main__":
    run(main)
