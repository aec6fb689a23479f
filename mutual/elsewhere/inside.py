"""A network inside a file of tensors: under which prefix it stands, and what is left beside it."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.networks.weights import required, shown

# of several copies: the average rather than what was averaged, MoCo's query encoder, the first of OpenUnReID's peers
PREFERRED = (r"(^|[._])(teacher|mean_net|ema)[._]", r"(^|\.)encoder_q\.", r"(^|\.)state_dict_1\.")


@dataclass(frozen=True)
class Inside:
    """``tensors`` by our names (batch counters may lack), found under ``prefix``; ``left`` are the file's others."""

    prefix: str
    tensors: dict[str, Tensor]
    left: list[str]


def prefixes(state: Mapping[str, Tensor], names: Mapping[str, str]) -> Counter[str]:
    """How many of the required ``names`` stand in ``state`` behind each prefix, "" or one that ends with a dot."""
    wanted = set(required(names))
    depth = max(name.count(".") for name in wanted) + 1
    counts: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for k in range(1, min(depth, len(parts)) + 1):
            if ".".join(parts[-k:]) in wanted:
                counts[name[: len(name) - len(".".join(parts[-k:]))]] += 1
    return counts


def taken_from(state: Mapping[str, Tensor], names: Mapping[str, str], prefix: str, heads: Collection[str]) -> Inside:
    """What stands behind ``prefix``, by our names where ``names`` (theirs -> ours) has them; ``heads`` are left."""
    tensors, left = {}, []
    for name, tensor in state.items():
        theirs = name.removeprefix(prefix)
        if name.startswith(prefix) and (theirs in names or theirs.split(".")[0] not in heads):
            tensors[names.get(theirs, theirs)] = tensor
        else:
            left.append(name)
    return Inside(prefix, tensors, left)


def find(state: Mapping[str, Tensor], names: Mapping[str, str], heads: Collection[str] = ()) -> Inside | None:
    """The network whose tensors have these ``names`` (theirs -> ours), whole and with nothing else but ``heads``.

    A head is told by the first part of its name, as in ``fc.weight``.
    Several copies are told apart by :data:`PREFERRED`. Raises :class:`InputError` where that leaves two that differ.
    """
    counts = prefixes(state, names)
    whole = [prefix for prefix in counts if counts[prefix] == len(required(names))]
    found = [taken_from(state, names, prefix, heads) for prefix in whole]
    found = [inside for inside in found if inside.tensors.keys() <= set(names.values())]
    for pattern in PREFERRED:
        found = [inside for inside in found if re.search(pattern, inside.prefix)] or found
    for other in found[1:]:
        if not all(same(other.tensors[name], tensor) for name, tensor in found[0].tensors.items()):
            raise InputError(
                f"expected one network, there are {shown([inside.prefix for inside in found], 4)}: save one alone"
            )
    return found[0] if found else None


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal in every entry."""
    comparable = all(tensor.layout == torch.strided and tensor.device.type == "cpu" for tensor in (a, b))
    return comparable and a.dtype == b.dtype and torch.equal(a, b)


def left_out(inside: Inside) -> str:
    """What of the file is not used, grouped by where it parts from the network, as "heads (3 tensors), queue"."""
    counts: Counter[str] = Counter()
    place = inside.prefix.split(".")
    for name in inside.left:
        parts = name.split(".")
        shared = next((i for i, part in enumerate(parts) if i >= len(place) or part != place[i]), len(parts) - 1)
        counts[".".join(parts[: shared + 1])] += 1
    return shown([name + (f" ({count} tensors)" if count > 1 else "") for name, count in counts.items()], 4)
