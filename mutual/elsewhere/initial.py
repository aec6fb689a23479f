"""The backbone's initial weights: ImageNet's, none, or those in a file of anybody's ResNet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, get_args

import torch
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.base.params import NONE, Backbone
from mutual.elsewhere.foreign import read_tensors
from mutual.elsewhere.inside import Inside, find, left_out, prefixes, taken_from
from mutual.elsewhere.official import numbered
from mutual.elsewhere.timm_files import as_timm_reads, downloaded
from mutual.machine.streams import integer_seed
from mutual.networks.backbones import backbone as backbone_named
from mutual.networks.from_timm import TimmBackbone
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import load_state

# what stands behind a backbone, as torchvision, timm, torchreid, fast-reid, MoCo, DeepLab-v2 and kin name it
HEADS = {
    *("bottleneck", "bn_neck", "bnneck", "classifier", "embedding", "fc", "feat", "feat_bn", "head", "head_dist"),
    *("heads", "last_linear", "layer5", "logits", "neck", "predictor", "projection_head", "projector"),
}


def initial_network(
    form: Mapping[str, Any], classes: int, weights: str, seed: int, size: tuple[int, int] | None = None
) -> ReidNetwork:
    """The network that pre-training starts from: random, drawn by ``seed``, with the backbone of ``weights``.

    ``size`` is the height and width of the images that it will see.
    """
    torch.manual_seed(integer_seed(seed, "pretrain network"))
    network = ReidNetwork(**form, classes=classes, size=size)
    load_initial_backbone(network, form["backbone"], weights)
    return network


class WithBackbone(Protocol):
    """A network of which a part is called its backbone."""

    @property
    def backbone(self) -> nn.Module:
        """It."""


def load_initial_backbone(network: WithBackbone, backbone: str, weights: str) -> None:
    """Fill the backbone from ``weights``: "imagenet" (torchvision's or timm's, downloaded by it), "none", a file.

    A file (.safetensors, or as saved by torch under another suffix) holds the tensors by torchvision's or timm's names
    or by the numbers of the authors' code, alone or as a part of a larger network or checkpoint, whatever stands before
    the names. Heads are not used; what is left out is printed. Raises :class:`InputError` for a file that is missing,
    damaged, or has other tensors than the backbone.
    """
    if weights == NONE:
        return
    body = network.backbone.model if isinstance(network.backbone, TimmBackbone) else network.backbone
    state = _imagenet(network.backbone, backbone) if weights == "imagenet" else _file(Path(weights))
    own = body.state_dict()
    try:
        inside = _inside(state, own)
    except InputError as error:
        raise InputError(f"weights: {weights}: {error}") from None
    if not _same_shapes(inside, own) and (made := _as_timm_reads(state, network.backbone)):
        inside = made
        print(f"weights: {weights}: tensors renamed or resampled for {backbone} as timm does")
    what = f"unfit for {backbone}"
    if inside is None:
        other = next((name for name in get_args(Backbone) if name != backbone and _fits(state, name)), None)
        what = f"not the weights of {backbone}" + (f" but of {other}" if other else "")
        inside = _nearest(state, own)
    load_state(body, inside.tensors, f"weights: {weights}: {what}")
    if inside.left:
        print(
            f"weights: {weights}: {inside.prefix.removesuffix('.') or 'the backbone'} is used; left: {left_out(inside)}"
        )


def _imagenet(made: nn.Module, backbone: str) -> Mapping[str, Tensor]:
    if isinstance(made, TimmBackbone):
        return downloaded(made)
    if backbone == "resnet_ibn50a":
        raise InputError("weights: imagenet: torchvision has none of resnet_ibn50a: expected a file, or none")
    # imported here: torchvision takes longer to import than torch
    from torchvision.models import get_model_weights

    entry = get_model_weights(backbone)["IMAGENET1K_V1"]  # what the authors started from
    try:
        return entry.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"weights: imagenet: torchvision could not load {entry.url}: {error}") from None


def _file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise InputError(f"weights: {path}: not found: expected imagenet, none, or a .safetensors or .pth file")
    try:
        return read_tensors(path)
    except InputError as error:
        raise InputError(f"weights: {error}") from None


def _names(own: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """The names that a backbone's tensors go by elsewhere -> ours: torchvision's, and two ways of numbering."""
    numbers = [{numbered(name, stem_relu): name for name in own} for stem_relu in (False, True)]
    return [{name: name for name in own}, *numbers]


def _inside(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Inside | None:
    return next((inside for names in _names(own) if (inside := find(state, names, HEADS))), None)


def _nearest(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Inside:
    """What of the file has most names in common with the backbone, to tell what is missing and what is there."""
    counts = [(count, prefix, names) for names in _names(own) for prefix, count in prefixes(state, names).items()]
    _, prefix, names = max(counts, key=lambda entry: entry[0], default=(0, "", {}))
    return taken_from(state, names, prefix, HEADS)


def _fits(state: Mapping[str, Tensor], backbone: str) -> bool:
    with torch.device("meta"):  # names and shapes are enough
        own = backbone_named(backbone, stem_relu=False).state_dict()
    try:
        inside = _inside(state, own)
    except InputError:  # several copies of it
        return True
    return _same_shapes(inside, own)


def _same_shapes(inside: Inside | None, own: Mapping[str, Tensor]) -> bool:
    return inside is not None and all(tensor.shape == own[name].shape for name, tensor in inside.tensors.items())


def _as_timm_reads(state: Mapping[str, Tensor], backbone: nn.Module) -> Inside | None:
    """What timm makes of the file, where it is the backbone, whole and in shape, and one of timm's."""
    if not isinstance(backbone, TimmBackbone):
        return None
    own = backbone.model.state_dict()
    for tensors in as_timm_reads(state, _nearest(state, own).prefix, backbone):
        if _same_shapes(inside := _inside(tensors, own), own):
            return inside
    return None
