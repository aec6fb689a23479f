"""How tensors enter a network: all of them, by name, in shape, and finite numbers of their kind; or none."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mutual.base.errors import InputError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def class_count(state: Mapping[str, Tensor]) -> int:
    """Rows of the classifier; 1 where it is a scalar, which :func:`load_state` then refuses by its shape."""
    return state["classifier.weight"].shape[:1].numel()


def load_state(module: nn.Module, state: Mapping[str, Tensor], what: str, exact: bool = False) -> None:
    """Load all tensors of ``state``, or none and raise an :class:`InputError` that names the first that does not fit.

    Floats of 16, 32 and 64 bits are converted to the module's, unless all are to be ``exact``ly as its own; ``what``
    begins the message. Refused are names that are missing or not expected (batch counters may lack, as in torchvision's
    older files), other shapes, numbers of another kind, infinite ones and NaN, and tensors without plain memory
    (sparse, quantised, without values).
    """
    own = module.state_dict()
    if fault := differences(own, state):
        raise InputError(f"{what}: {fault}")
    for name, tensor in state.items():
        fault = _fault(tensor, own[name], exact)
        if fault:
            raise InputError(f"{what}: {shown([name], 1)} {fault}")
    module.load_state_dict(state, strict=False)


def required(names: Iterable[str]) -> list[str]:
    """The names without those of batch counters: older files do not count the batches."""
    return [name for name in names if not name.endswith("num_batches_tracked")]


def differences(wanted: Mapping[str, object], given: Mapping[str, object]) -> str:
    """What is missing and what is not expected among the names, two of each and a number; empty where they agree."""
    missing = [name for name in required(wanted) if name not in given]
    unexpected = [name for name in given if name not in wanted]
    return "; ".join(
        f"{shown(names, 2)} {'are' if names[1:] else 'is'} {fault}"
        for names, fault in ((missing, "missing"), (unexpected, "not expected"))
        if names
    )


def shown(names: Sequence[str], most: int) -> str:
    """The first names and the number of the others, in a line whatever they hold."""
    first = [name if name.isprintable() and len(name) <= 80 else ascii(name)[:80] + "…" for name in names[:most]]
    return ", ".join(first) + (f" and {len(names) - most} more" if len(names) > most else "")


def _fault(given: Tensor, own: Tensor, exact: bool) -> str:
    """Why ``given`` cannot take the place of ``own``; empty where it can."""
    kind, wanted = (str(tensor.dtype).removeprefix("torch.") for tensor in (given, own))
    if given.is_quantized or given.layout != torch.strided:
        return f"is {'quantised' if given.is_quantized else 'sparse'}, expected a dense tensor of {wanted}"
    if given.is_meta:
        return "has no values (it was saved from the meta device)"
    # the shape first: a view of one number can be larger than any memory
    if given.shape != own.shape:
        return f"is {tuple(given.shape)}, expected {tuple(own.shape)}"
    convertible = FLOATS if own.is_floating_point() else WHOLE
    if given.dtype not in ((own.dtype,) if exact else convertible):
        return f"holds {kind}, expected {wanted}"
    if own.is_floating_point() and not (finite := given.to(own.dtype).isfinite()).all():
        return f"holds {int((~finite).sum())} numbers of {given.numel()} that are NaN, infinite or too large"
    return ""
