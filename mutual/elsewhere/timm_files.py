"""timm's own weights of its networks, and files that timm reads though their tensors have other names or shapes."""

import sys
from collections.abc import Iterator, Mapping

from torch import Tensor

from mutual.base.errors import InputError
from mutual.networks.from_timm import TimmBackbone, cfg_of, created, timm_for


def downloaded(backbone: TimmBackbone) -> Mapping[str, Tensor]:
    """The tensors that timm has for this network, fitted to its images' size by timm; kept where timm keeps them.

    Raises :class:`InputError` where timm has none, or cannot fetch them: then the line names what to fetch by hand.
    """
    cfg = cfg_of(backbone.name)
    if not cfg.has_weights:
        raise InputError(f"weights: imagenet: timm has none of {backbone.name}: expected a file, or none")
    try:
        return created(backbone.name, backbone.size, pretrained=True).state_dict()
    except Exception as error:  # the hub, its client and torch each have kinds of their own
        told = f"weights: imagenet: timm could not load {address(backbone.name)}"
        raise InputError(f"{told}: fetch it, name the file ({type(error).__name__})") from None


def address(name: str) -> str:
    """Where timm's weights of a network lie."""
    cfg = cfg_of(name)
    if cfg.hf_hub_id:
        return f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/{cfg.hf_hub_filename or 'model.safetensors'}"
    return str(cfg.url)


def as_timm_reads(state: Mapping[str, Tensor], prefix: str, backbone: TimmBackbone) -> Iterator[dict[str, Tensor]]:
    """What timm makes of a file's tensors before it loads them, of all and of those behind ``prefix``.

    Each family has a function for it, which renames those of the network's authors and of older versions, drops what is
    computed today, and resamples position embeddings of another image size. Where it fails on the tensors, it gives
    nothing: they are none of that family's.
    """
    module = sys.modules[timm_for(backbone.name).models.model_entrypoint(backbone.name).__module__]
    read = getattr(module, "checkpoint_filter_fn", None)
    behind = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if read is None:
        return
    for tensors in [dict(state), behind] if prefix else [behind]:
        try:
            yield dict(read(tensors, backbone.model))
        except Exception:  # of another network's tensors these functions raise anything
            continue
