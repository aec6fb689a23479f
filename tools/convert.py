"""Checkpoints of the paper's code and of OpenUnReID into peer files, and peers into such checkpoints.

Which way it goes is told by the suffixes. The network of a checkpoint is the one that params.yaml describes:

  python -m tools.convert OFFICIAL.pth.tar theirs/peer1.safetensors
      reads a checkpoint that torch saved, writes a peer to evaluate or adapt further (pretrained in params.yaml)
  python -m tools.convert models/r05/peer1.safetensors student1.pth.tar --role student
      reads a peer, writes {"state_dict": tensors} by the names of the paper's code, for its test script. Where that
      has no such network (gem, mobilenet_v2) the names are OpenUnReID's: backbone.*, then as in torchvision,
      head.feat_bn.*, global_pooling.p and classifier.weight
Example: python -m tools.convert OFFICIAL.pth.tar theirs/peer1.safetensors
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.convert")

from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import read_params
from mutual.elsewhere.official import names_elsewhere, read_official, write_official
from mutual.networks.from_timm import is_timm
from mutual.networks.peers import Peer, read_network, read_peer, write_peer
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import class_count, load_state
from stages.door import arguments


def main() -> None:
    """Convert the file that the command line names."""
    parser = arguments(__doc__, "tools.convert")
    parser.add_argument("given", type=Path, metavar="GIVEN", help="the file to read")
    parser.add_argument("made", type=Path, metavar="MADE", help="the file to write")
    parser.add_argument(
        "--role", choices=["teacher", "student"], default="teacher", help="which network of a peer is read (teacher)"
    )
    args = parser.parse_args()
    if args.given.suffix != ".safetensors" and args.made.suffix == ".safetensors":
        params = read_params()
        form = params.network.model_dump()
        check_known(form["backbone"])
        form["stem_relu"] |= form["backbone"] == "resnet_ibn50a"
        state = read_official(args.given, ReidNetwork(**form, classes=1).state_dict(), form["stem_relu"])
        network = ReidNetwork(**form, classes=class_count(state))
        load_state(network, state, f"{args.given}: unfit for the network in params.yaml")
        peer = Peer(params.network.model_dump(), class_count(state), params.size.image_height, params.size.image_width)
        write_peer(args.made, network, network, peer)
    elif args.given.suffix == ".safetensors" and args.made.suffix in (".tar", ".pth"):
        check_known(read_peer(args.given).network.get("backbone"))
        network = read_network(args.given, args.role)
        state, stem_relu = (
            network.state_dict(),
            network.form["stem_relu"] or network.form["backbone"] == "resnet_ibn50a",
        )
        write_official(args.made, {name: state[own] for name, own in names_elsewhere(state, stem_relu).items()})
    else:
        raise InputError(f"{args.given} {args.made}: expected one .safetensors and one .pth.tar")
    print(f"{args.given} -> {args.made}")


def check_known(backbone: object) -> None:
    """Raise :class:`InputError` for timm's networks: neither code has them."""
    if is_timm(backbone):
        raise InputError(f"backbone: {backbone}: expected a network of the paper's code or of OpenUnReID")


if __name__ == "__main__":
    run(main)
