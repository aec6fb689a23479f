"""The authors' checkpoints into peer files and back.

``python -m tools.convert OFFICIAL.pth.tar OUT.safetensors`` makes a peer to evaluate or adapt further (``pretrained``
in params.yaml); ``python -m tools.convert PEER.safetensors OUT.pth.tar`` what the authors' test script reads. The
network is the one that params.yaml describes.
"""

import argparse
from functools import partial
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import read_params
from mutual.networks.official import official_name, read_official, write_official
from mutual.networks.peers import read_network, write_peer
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
    if params.backbone == "mobilenet_v2" or params.pooling != "avg":
        raise InputError("backbone, pooling: the authors' code has ResNets with average pooling alone")
    stem_relu = params.backbone == "resnet_ibn50a"
    if params.stem_relu and not stem_relu:
        raise InputError("stem_relu: the ReLU is in the authors' IBN network alone: expected false")
    build = partial(ReidNetwork, params.backbone)
    if args.given.suffix != ".safetensors" and args.made.suffix == ".safetensors":
        names = {official_name(name, stem_relu): name for name in build(1).state_dict()}
        state = read_official(args.given, names)
        network = build(class_count(state))
        load_state(network, state, f"{args.given}: of another network than params.yaml describes")
        write_peer(args.made, network, network, iterations=0)
    elif args.given.suffix == ".safetensors" and args.made.suffix in (".tar", ".pth"):
        own = read_network(args.given, args.role, build).state_dict()
        # the source's batch norms (dsbn) have no place in the authors' network and no part in the target's features
        state = {official_name(name, stem_relu): tensor for name, tensor in own.items() if ".source." not in name}
        write_official(args.made, state)
    else:
        raise InputError(f"{args.given} {args.made}: expected one .safetensors and one .pth.tar")
    print(f"{args.given} -> {args.made}")


if __name__ == "__main__":
    run(main)
