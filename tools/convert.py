"""The authors' checkpoints into peer files and back.

``python -m tools.convert OFFICIAL.pth.tar OUT.safetensors`` makes a peer to evaluate or adapt further (``pretrained``
in params.yaml); ``python -m tools.convert PEER.safetensors OUT.pth.tar`` what the authors' test script reads. The
network is the one that params.yaml describes.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mutual.base.errors import InputError, run
from mutual.base.params import read_params
from mutual.networks.official import official_name, read_official, write_official
from mutual.networks.peers import Peer, read_network, read_peer, write_peer
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import class_count, load_state


def main() -> None:
    """Which way it goes is told by the suffixes."""
    parser = argparse.ArgumentParser(description="The authors' checkpoints into peer files and back.")
    parser.add_argument("given", type=Path, metavar="GIVEN")
    parser.add_argument("made", type=Path, metavar="MADE")
    parser.add_argument("--role", choices=["teacher", "student"], default="teacher", help="of the peer (teacher)")
    args = parser.parse_args()
    params = read_params()
    if args.given.suffix != ".safetensors" and args.made.suffix == ".safetensors":
        form = params.network.model_dump()
        stem_relu = has_stem_relu(form)
        names = {official_name(name, stem_relu): name for name in ReidNetwork(**form, classes=1).state_dict()}
        state = read_official(args.given, names)
        network = ReidNetwork(**form, classes=class_count(state))
        load_state(network, state, f"{args.given}: of another network than params.yaml describes")
        peer = Peer(form, class_count(state), params.size.image_height, params.size.image_width)
        write_peer(args.made, network, network, peer)
    elif args.given.suffix == ".safetensors" and args.made.suffix in (".tar", ".pth"):
        stem_relu = has_stem_relu(read_peer(args.given).network)
        own = read_network(args.given, args.role).state_dict()
        # the source's batch norms (dsbn) have no place in the authors' network and no part in the target's features
        state = {official_name(name, stem_relu): tensor for name, tensor in own.items() if ".source." not in name}
        write_official(args.made, state)
    else:
        raise InputError(f"{args.given} {args.made}: expected one .safetensors and one .pth.tar")
    print(f"{args.given} -> {args.made}")


def has_stem_relu(form: Mapping[str, Any]) -> bool:
    """Whether the authors' network of this form has a ReLU in its stem. Raises :class:`InputError` for none."""
    if form["backbone"] == "mobilenet_v2" or form["pooling"] != "avg":
        raise InputError("backbone, pooling: the authors' code has ResNets with average pooling alone")
    ibn: bool = form["backbone"] == "resnet_ibn50a"
    if form["stem_relu"] and not ibn:
        raise InputError("stem_relu: the ReLU is in the authors' IBN network alone: expected false")
    return ibn


if __name__ == "__main__":
    run(main)
