"""The adapted network for elsewhere: an ONNX file, or a program of PyTorch, from images to features.

Reads peers' files, of several the mean of their teachers' features, and writes OUT: .onnx or, by its suffix, .pt2. It
takes (N, H, W, 3) uint8 RGB images of the peers' size, as Pillow and NumPy give them, and normalises them itself.
Without --peers they are the last round's of rounds.yaml. int8 is calibrated on images of data/packed/target/train.npy.
Example: python -m tools.export adapted.onnx --peers models/r05/peer1.safetensors
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.export")

import tomllib
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import read_params, read_rounds
from mutual.base.store import read_text, written_beside
from mutual.export.files import check_kind, exported
from mutual.images.index import read_images
from mutual.machine.streams import numpy_stream
from mutual.networks.peers import peer_path
from stages import MODELS, PACKED
from stages.door import arguments
from tools.watched import check_unwatched


def main() -> str:
    """One file, written whole or not at all."""
    parser = arguments(__doc__, "tools.export")
    parser.add_argument("made", type=Path, metavar="OUT", help="the file to write: .onnx or .pt2")
    parser.add_argument("--peers", type=Path, nargs="+", metavar="FILE", help="peers' files (the last round's)")
    parser.add_argument("--precision", choices=["fp32", "fp16", "int8"], default="fp32", help="of the backbone (fp32)")
    args = parser.parse_args()
    check_kind(args.made, args.precision)
    check_unwatched("OUT", args.made, [args.made])  # such as models/r05, which the next run makes anew
    peers = args.peers or last_peers()
    with written_beside(args.made) as temporary:
        temporary.touch()  # where it cannot be, that is said before the work is done
        print(f"{', '.join(map(str, peers))} -> {args.made}", flush=True)
        images, seed = None, 0
        if args.precision == "int8":
            images, seed = read_images(PACKED / "target/train.npy"), read_params().peers.seed
        stream = numpy_stream(seed, "calibration")
        temporary.write_bytes(exported(peers, args.made.suffix, args.precision, version(), images, stream))
    return f"{args.made}, {args.made.stat().st_size / 1e6:.1f} MB,"


def last_peers() -> list[Path]:
    """The peers of the last round to run, by their seeds in params.yaml."""
    folder = MODELS / list(read_rounds())[-1]
    peers = [peer_path(folder, seed) for seed in read_params().peers.seeds]
    for path in peers:
        if not path.exists():
            raise InputError(f"{path}: not found: expected `dvc repro` before, or peers' files after --peers")
    return peers


def version() -> str:
    """The project's."""
    return str(tomllib.loads(read_text(Path("pyproject.toml")))["project"]["version"])


if __name__ == "__main__":
    run(main)
