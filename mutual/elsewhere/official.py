"""Whole networks as other code names their tensors: that of the paper, and OpenUnReID, its authors' later one."""

import io
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.store import write_bytes
from mutual.elsewhere.foreign import read_tensors
from mutual.elsewhere.inside import Inside, find, left_out, prefixes, taken_from
from mutual.networks.weights import differences


def numbered(name: str, stem_relu: bool) -> str:
    """``layer1.0.conv1.weight`` -> ``3.0.conv1.weight``, or 4.… behind a stem with a ReLU.

    The authors' backbone is a sequence of conv1, bn1, a ReLU where the stem has one, max pooling and the four layers.
    """
    name = re.sub(r"^conv1\.", "0.", name)
    name = re.sub(r"^bn1\.", "1.", name)
    return re.sub(r"^layer([1-4])\.", lambda found: f"{int(found[1]) + 2 + stem_relu}.", name)


def official_name(own: str, stem_relu: bool) -> str:
    """``backbone.layer1.0.conv1.weight`` -> ``base.3.0.conv1.weight``, as the paper's code has it."""
    if own.startswith("backbone."):
        return "base." + numbered(own.removeprefix("backbone."), stem_relu)
    return re.sub(r"^neck\.", "feat_bn.", own)


def later_name(own: str) -> str:
    """``neck.weight`` -> ``head.feat_bn.weight``, as OpenUnReID has it; its backbones keep torchvision's names."""
    return re.sub(r"^neck\.", "head.feat_bn.", re.sub(r"^pooling\.", "global_pooling.", own))


def names_elsewhere(own: Collection[str], stem_relu: bool) -> dict[str, str]:
    """The names that the tensors of our network ``own`` have elsewhere -> ours.

    The paper's for ResNets with average pooling (``stem_relu`` shows in their numbers). OpenUnReID's for generalised
    means, in front of which all of its ResNets have a stem with a ReLU, and for MobileNetV2, which neither has. Raises
    :class:`InputError` for a network that neither describes.
    """
    own = [name for name in own if ".source." not in name]  # dsbn's have no part in the target's features
    resnet, mean = "backbone.conv1.weight" in own, "pooling.p" not in own
    if resnet and mean:
        return {official_name(name, stem_relu): name for name in own}
    if resnet and not stem_relu:
        expected = "expected avg, or a network trained with stem_relu: true"
        raise InputError(f"pooling, stem_relu: no public code has gem behind a stem without a ReLU: {expected}")
    return {later_name(name): name for name in own}


def read_official(path: Path, own: Collection[str], stem_relu: bool) -> dict[str, Tensor]:
    """The tensors of a checkpoint of the paper's code or of OpenUnReID by our names, ``own`` those of the network.

    A mean teacher is preferred to its student, the first of two peers to the second; what is left out is printed.
    Nothing but tensors is unpickled. Raises :class:`InputError` for a file that needs more or is damaged, and for
    another network, whose stem the numbers or the naming tell.
    """
    state = read_tensors(path)
    own = [name for name in own if ".source." not in name]
    here = [{official_name(name, stem_relu): name for name in own}, {later_name(name): name for name in own}]
    for names in here:
        if inside := _found(path, state, names):
            if names is here[1] and "backbone.conv1.weight" in own and not stem_relu:
                raise InputError(f"{path}: stem_relu: OpenUnReID's ResNets have a ReLU in the stem: expected true")
            if inside.left:
                print(f"{path}: {inside.prefix.removesuffix('.') or 'the network'} is used; left: {left_out(inside)}")
            return inside.tensors
    if _found(path, state, {official_name(name, not stem_relu): name for name in own}):
        stem = f"by its numbers the stem has {'no' if stem_relu else 'a'} ReLU"
        raise InputError(f"{path}: stem_relu: {stem}: expected {str(not stem_relu).lower()}")
    identity = [{name: name for name in names} for names in here]
    counts = [(count, prefix, names) for names in identity for prefix, count in prefixes(state, names).items()]
    _, prefix, names = max(counts, key=lambda entry: entry[0], default=(0, "", identity[0]))
    fault = differences(names, taken_from(state, names, prefix, ()).tensors)
    raise InputError(f"{path}: not a checkpoint of the network in params.yaml: {fault}")


def write_official(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write ``{"state_dict": state}`` as the authors' test script reads it."""
    content = io.BytesIO()
    torch.save({"state_dict": {name: tensor.clone() for name, tensor in state.items()}}, content)
    write_bytes(path, content.getvalue())


def _found(path: Path, state: Mapping[str, Tensor], names: Mapping[str, str]) -> Inside | None:
    try:
        return find(state, names)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
