"""From peers' files to the bytes of an exported one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.export.extractor import Precision, description, read_extractor
from mutual.export.programs import as_onnx, as_pt2, need, traced
from mutual.export.quantisation import quantised, sample
from mutual.networks.peers import check_size, read_peer

SUFFIXES = (".onnx", ".pt2")


def check_kind(path: Path, precision: Precision) -> None:
    """Raise :class:`InputError` for a file that cannot be made, before the seconds that making it takes."""
    if path.parent.exists() and not path.parent.is_dir():
        raise InputError(f"{path.parent}: expected a folder, found a file")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".pt2" and precision == "int8":
        raise InputError(f"{path}: int8: expected a name that ends in .onnx, ONNX Runtime quantises")
    if path.suffix == ".onnx":
        need("onnx", "onnxscript", *(["onnxruntime"] if precision == "int8" else []))


def exported(
    peers: Sequence[Path],
    suffix: str,
    precision: Precision,
    version: str,
    images: np.ndarray | None,
    stream: np.random.Generator,
) -> bytes:
    """The bytes of an exported file with this suffix: the same for the same peers, packages and draw of ``stream``.

    ``version`` is the project's. ``images``, (N, H, W, 3) uint8, are those that int8 is calibrated on, and needed for
    nothing else. Raises :class:`InputError` for peers that do not fit together or to the images.
    """
    if images is not None:
        check_size(peers[0], {"the images to calibrate on": images})
    extractor, described = read_extractor(peers, half=precision == "fp16"), description(peers, precision, version)
    first = read_peer(peers[0])
    program = traced(extractor, first.height, first.width)
    if suffix == ".pt2":
        return as_pt2(program, described)
    model = as_onnx(program, described)
    if precision == "int8":
        assert images is not None
        model = quantised(model, sample(images, stream), described)
    return bytes(model.SerializeToString(deterministic=True))
