"""A graph of ONNX with its convolutions in 8 bits, calibrated on images."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mutual.base.progress import Progress
from mutual.export.extractor import INPUT
from mutual.export.programs import labelled, need, quiet

if TYPE_CHECKING:
    from onnx import ModelProto

CALIBRATED_ON = 256  # images
BATCH = 16  # all intermediate results of one are in memory at once
IN_8_BITS = ("Conv", "Relu", "MaxPool", "Add")  # of the backbones; pooling, neck and normalisation stay float32


def sample(images: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Up to 256 of the (N, H, W, 3) images, drawn without repeats, in their order."""
    chosen = stream.choice(len(images), min(CALIBRATED_ON, len(images)), replace=False)
    return np.asarray(images[np.sort(chosen)])


class Batches:
    """Hands out the images batch by batch, as ONNX Runtime's calibration asks for them."""

    def __init__(self, images: np.ndarray) -> None:
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        self.left = iter(Progress(batches, desc="calibrating", unit="batch"))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """What the graph takes; None at the end."""
        batch = next(self.left, None)
        return None if batch is None else {INPUT: batch}


def quantised(model: "ModelProto", images: np.ndarray, described: Mapping[str, str]) -> "ModelProto":
    """The graph with the backbones in 8 bits (static, QDQ), ranges being the smallest and largest on these images.

    Activations are unsigned. Weights have a scale a channel and 7 bits, so that processors that add products of bytes
    in 16 bits (x86 before VNNI) do not overflow, and all compute the same.
    """
    need("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "int8.onnx"  # it returns nothing
        quantize_static(
            model,
            path,
            Batches(images),
            op_types_to_quantize=list(IN_8_BITS),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return labelled(onnx.load(path), described)
