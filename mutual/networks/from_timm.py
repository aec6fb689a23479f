"""Backbones of timm (https://huggingface.co/docs/timm), hundreds of them. An extra: imported where one is asked for."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from mutual.base.errors import InputError, shown
from mutual.images.normalisation import Normalisation
from mutual.machine.device import COLUMNS_FOR_BFLOAT16

PREFIX = "timm/"  # of their names in params.yaml


def is_timm(backbone: object) -> bool:
    """Whether this is the name of one of timm's: ``timm/vit_small_patch14_dinov2.lvd142m``."""
    return isinstance(backbone, str) and backbone.startswith(PREFIX)


class TimmBackbone(nn.Module):
    """A network of timm without its head, its weights random: what timm's ``forward_features`` gives.

    A feature map stays one. Of a transformer's sequence the tokens of the patches are a map of one column; with
    ``pooling`` "cls" the class token is a map of one place. ``size`` is the images' height and width, timm's own
    without it. ``model``'s tensors keep timm's names.

    Raises :class:`InputError` where timm is not installed or has no such network, and where that cannot see images of
    this size, gives several outputs, or nothing that ``pooling`` asks for.
    """

    def __init__(self, name: str, pooling: str, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.name = name
        self.pooling = pooling
        cfg = cfg_of(name)
        self.normalisation = Normalisation(tuple(cfg.mean), tuple(cfg.std))
        self.size = size or tuple(cfg.input_size[1:])
        self.model: Any = created(name, size)
        self._look()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, h, w)."""
        found = self.model.forward_features(images)
        if self.format == "NLC":
            tokens = found[:, :1] if self.pooling == "cls" else found[:, self.prefix :]
            return tokens.transpose(1, 2).unsqueeze(3)
        return found.permute(0, 3, 1, 2) if self.format == "NHWC" else found

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """(B, width) -> (B, width): some networks have their last norm only behind the mean over the places."""
        if self.last_norm is None:
            return pooled
        return self.last_norm(pooled[:, :, None, None]).flatten(1) if self.format == "NCHW" else self.last_norm(pooled)

    @property
    def last_norm(self) -> nn.Module | None:
        """timm's ``fc_norm``, or its ``head.norm`` where that comes first in the head."""
        if (after_tokens := getattr(self.model, "fc_norm", None)) is not None:
            return after_tokens
        head = dict(getattr(self.model, "head", nn.Identity()).named_children())
        first = next((name for name in head if name != "global_pool"), None)
        return head["norm"] if first == "norm" else None

    def resize(self, size: tuple[int, int]) -> None:
        """See images of another size from now on; position embeddings are resampled as timm does."""
        if size != self.size and cfg_of(self.name).fixed_input_size:
            told = f"{PREFIX}{self.name}: expected images of {self.size[0]} x {self.size[1]}"
            if not hasattr(self.model, "set_input_size"):
                raise InputError(f"{told}, for which it was built: timm cannot change it")
            _asked(f"{told} or a size that timm can change it to", lambda: self.model.set_input_size(img_size=size))
        self.size = size
        self._look()

    def _look(self) -> None:
        """Find out by one black image what the network gives: ``format``, ``width``, ``prefix``, ``columns``."""
        told, (height, width) = f"backbone: {PREFIX}{self.name}", self.size
        high, wide = patches(self.model)
        if height % high or width % wide:
            expected = f"image_height and image_width that are multiples of {high} and {wide}, its patches"
            raise InputError(f"{told}: expected {expected}, got {height} x {width}")
        training = self.training
        self.eval()
        with torch.no_grad():
            images = torch.zeros(1, 3, height, width)
            fault = f"{told}: cannot see images of {height} x {width}"
            found = _asked(fault, lambda: self.model.forward_features(images))
        self.train(training)
        self.width: int = self.model.num_features
        if not isinstance(found, Tensor) or found.ndim not in (3, 4):
            raise InputError(f"{told}: expected a network with one feature map or sequence of tokens")
        self.format = "NLC" if found.ndim == 3 else str(getattr(self.model, "output_fmt", "NCHW")).rpartition(".")[2]
        self.prefix = prefix_tokens(self.model) if self.format == "NLC" else 0
        if found.shape[self.format.index("C")] != self.width or 0 in found.shape:
            raise InputError(f"{told}: expected {self.width} channels, found an output of {tuple(found.shape)}")
        if self.pooling == "cls" and (self.format != "NLC" or getattr(self.model, "cls_token", None) is None):
            raise InputError(f"pooling: cls: {PREFIX}{self.name} has no class token: expected avg")
        if self.pooling == "gem" and self.format == "NLC":
            raise InputError(f"pooling: gem: {PREFIX}{self.name} gives tokens, of either sign: expected avg")
        if self.pooling != "cls" and self.format == "NLC" and found.shape[1] <= self.prefix:
            raise InputError(f"pooling: {self.pooling}: {PREFIX}{self.name} gives a class token alone: expected cls")
        # two of the map at least: where a 3 x 3 convolution makes one of two, oneDNN's bfloat16 is unsound
        stride = width // found.shape[self.format.index("W")] if self.format != "NLC" else 1
        self.columns = max(COLUMNS_FOR_BFLOAT16, 2 * stride)


def patches(model: Any) -> tuple[int, int]:
    """Height and width that images are cut into; 1 where the first convolution overlaps, to which any size is right."""
    cut = getattr(getattr(model, "patch_embed", None), "proj", None)
    if isinstance(cut, nn.Conv2d) and cut.kernel_size == cut.stride:
        return cut.kernel_size[0], cut.kernel_size[1]
    return 1, 1


def prefix_tokens(model: Any) -> int:
    """Tokens before those of the patches: class token, registers."""
    class_token = int(getattr(model, "cls_token", None) is not None)
    return int(getattr(model, "num_prefix_tokens", class_token))


def timm_for(name: str) -> Any:
    """The package, imported here alone: it takes seconds. ``name`` is the network that it is asked for."""
    try:
        import timm
    except ImportError as error:
        raise InputError(f"backbone: {PREFIX}{name}: needs timm: pip install timm ({error})") from None
    return timm


def cfg_of(name: str) -> Any:
    """What timm knows of the network: mean, std, input size, where its weights lie.

    ``name`` is an architecture, or one with the tag of its weights. Raises :class:`InputError` for an unknown one.
    """
    timm = timm_for(name)
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    told = f"backbone: {PREFIX}{name}: unknown to timm {timm.__version__}"
    if architecture not in known:
        near = get_close_matches(architecture, known, n=3)
        raise InputError(told + (f": did you mean {' or '.join(PREFIX + each for each in near)}?" if near else ""))
    tagged = timm.list_models(f"{architecture}.*", include_tags=True)
    if tag and name not in tagged:
        tags = ", ".join(each.removeprefix(architecture) for each in tagged if "." in each)
        raise InputError(f"{told}: expected one of its weights, {tags or 'of which it has none'}")
    return timm.models.get_pretrained_cfg(name)


def created(name: str, size: tuple[int, int] | None, pretrained: bool = False) -> nn.Module:
    """timm's network without a classifier, for images of this size. Raises :class:`InputError`."""
    timm, sized = timm_for(name), {"img_size": size} if size and cfg_of(name).fixed_input_size else {}
    build = lambda: timm.create_model(name, pretrained=pretrained, num_classes=0, **sized)  # noqa: E731
    return build() if pretrained else _asked(f"backbone: {PREFIX}{name}: cannot be built for {size}", build)


def _asked(fault: str, call: Callable[[], Any]) -> Any:
    """What timm's code gives; whatever it raises becomes one line: a size that does not fit raises almost anything."""
    try:
        return call()
    except InputError:
        raise
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(f"{fault}: {type(error).__name__} {shown(first_line)}") from None
