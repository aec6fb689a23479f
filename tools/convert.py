"""Checkpoints of the paper's code and of OpenUnReID into peer files, and peers into such checkpoints.

The network is the one that params.yaml describes, and which way it goes is told by the suffixes:

  python -m tools.convert OFFICIAL.pth.tar models/theirs/peer1.safetensors
      reads a checkpoint that torch saved, writes a peer to evaluate or adapt further (pretrained in params.yaml)
  python -m tools.convert models/r05/peer1.safetensors student1.pth.tar --role student
      reads a peer, writes {"state_dict": tensors} by the names of the paper's code, for its test script. Where that
      has no such network (gem, mobilenet_v2) the names are OpenUnReID's: backbone.*, then as in torchvision,
      head.feat_bn.*, global_pooling.p and classifier.weight
"""

import argparse
from functools import partial
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import read_params
from mutual.networks.official import names_elsewhere, read_official, write_official
from mutual.networks.peers import read_network, write_peer
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import class_count, load_state


def main() -> None:
    """Convert the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", type=Path, metavar="GIVEN", help="the file to read")
    parser.add_argument("made", type=Path, metavar="MADE", help="the file to write")
    parser.add_argument(
        "--role", choices=["teacher", "student"], default="teacher", help="which network of a peer is read (teacher)"
    )
    args = parser.parse_args()
    params = read_params()
    stem_relu = params.stem_relu or params.backbone == "resnet_ibn50a"
    build = partial(ReidNetwork, params.backbone, stem_relu=stem_relu, pooling=params.pooling)
    if args.given.suffix != ".safetensors" and args.made.suffix == ".safetensors":
        state = read_official(args.given, build(1).state_dict(), stem_relu)
        network = build(class_count(state))
        load_state(network, state, f"{args.given}: unfit for the network in params.yaml")
        write_peer(args.made, network, network, iterations=0)
    elif args.given.suffix == ".safetensors" and args.made.suffix in (".tar", ".pth"):
        state = read_network(args.given, args.role, build).state_dict()
        write_official(args.made, {name: state[own] for name, own in names_elsewhere(state, stem_relu).items()})
    else:
        raise InputError(f"{args.given} {args.made}: expected one .safetensors and one .pth.tar")
    print(f"{args.given} -> {args.made}")


if __name__ == "__main__":
    run(main)
