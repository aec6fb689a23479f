"""An extractor as a program: PyTorch's own (.pt2), or a graph of ONNX."""

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from mutual.base.errors import InputError
from mutual.export.extractor import INPUT, OUTPUT, Extractor

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 23  # ONNX 1.18; ONNX Runtime reads it from 1.23 on
MOST_BYTES = 2**31 - 2**20  # of parameters: an ONNX file is one protobuf message, which ends at 2 GB
DESCRIPTION = "description.json"  # where a .pt2 file says what it is


def traced(extractor: Extractor, height: int, width: int) -> ExportedProgram:
    """The extractor's operations for any number of images of this size; nothing of where its code lies."""
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)  # of one image the number would count as fixed
    with quiet():
        program = torch.export.export(extractor, (example,), dynamic_shapes=({0: Dim("N")},))
    graphs = [module.graph for module in program.graph_module.modules() if isinstance(module, GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes):
        node.meta.pop("stack_trace", None)
    return program


def as_pt2(program: ExportedProgram, described: Mapping[str, str]) -> bytes:
    """The bytes of a .pt2 file, with ``described`` in it as description.json."""
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={DESCRIPTION: json.dumps(described, indent=2)})
    return content.getvalue()


def as_onnx(program: ExportedProgram, described: Mapping[str, str]) -> "ModelProto":
    """The graph from ``images`` to ``features`` with its parameters, and ``described`` as its metadata.

    Raises :class:`InputError` where the packages that it takes are not installed, and above the 2 GB of an ONNX file.
    """
    need("onnx", "onnxscript")
    if sum(tensor.nbytes for tensor in program.state_dict.values()) > MOST_BYTES:
        raise InputError("the networks have more than the 2 GB of an ONNX file: expected fewer peers")
    with quiet():
        made = torch.onnx.export(
            program, input_names=[INPUT], output_names=[OUTPUT], opset_version=OPSET, verbose=False
        )
    assert made is not None  # what it answers where it is given no file
    return labelled(made.model_proto, described)


def labelled(model: "ModelProto", described: Mapping[str, str]) -> "ModelProto":
    """The model saying ``described`` and nothing else: exporters leave the stack of each node, with this disk's paths.

    Its free axis is called N.
    """
    from onnx.helper import set_model_props

    model.ClearField("metadata_props")
    set_model_props(model, dict(described))
    model.producer_name, _, model.producer_version = described["project"].partition(" ")
    graph = model.graph
    graph.ClearField("value_info")
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def need(*packages: str) -> None:
    """Raise :class:`InputError` for the first of the packages that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(f"{package}: not installed: expected `pip install onnx onnxruntime onnxscript` before")


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters tell of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
