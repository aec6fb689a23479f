"""Networks on disk: a peer's student and teacher in one safetensors file."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mutual.base.errors import InputError
from mutual.base.store import existing, write_bytes
from mutual.networks.norms import in_parts
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import class_count, load_state

Role = Literal["student", "teacher"]


def peer_path(folder: Path, seed: int) -> Path:
    """Where the peer pre-trained from ``seed`` lies in a round's folder of models."""
    return folder / f"peer{seed}.safetensors"


def forget_unlisted_peers(folder: Path, seeds: Sequence[int]) -> None:
    """Delete peers of seeds that are not listed (any more): DVC would take them for part of the round.

    They are outputs of the pipeline: listing the seed again brings them back from DVC's cache.
    """
    for path in sorted(folder.glob("peer*.safetensors")):
        number = re.fullmatch(r"peer(\d+)\.safetensors", path.name)
        if number and int(number[1]) not in seeds:
            print(f"{path}: not one of seeds {list(seeds)}: removed from the workspace")
            path.unlink()


def write_peer(path: Path, student: ReidNetwork, teacher: ReidNetwork, iterations: int) -> None:
    """Write ``student.*`` and ``teacher.*`` tensors; ``iterations`` of adaptation done so far go into the metadata."""
    tensors = {
        f"{role}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for role, network in (("student", student), ("teacher", teacher))
        for name, tensor in network.state_dict().items()
    }
    # a single metadata entry: the order of several is not deterministic
    write_bytes(path, save(tensors, metadata={"iterations": str(iterations)}))


def read_iterations(path: Path) -> int:
    """Iterations of adaptation that the peer in this file has behind it."""
    with _opened(path) as file:
        iterations = (file.metadata() or {}).get("iterations", "")
    if not iterations.isdecimal():
        raise InputError(f"{path}: expected the number of `iterations` in the metadata")
    return int(iterations)


def read_network(path: Path, role: Role, build: Callable[[int], ReidNetwork]) -> ReidNetwork:
    """One network of a peer's file, on the CPU, in training mode; ``build`` makes it from the number of classes.

    Raises :class:`InputError` when the file is missing, damaged or holds another network than ``build`` makes.
    """
    with _opened(path) as file:
        names = list(file.keys())
        state = {name.removeprefix(f"{role}."): file.get_tensor(name) for name in names if name.startswith(f"{role}.")}
    if "classifier.weight" not in state:
        raise InputError(f"{path}: holds no {role}")
    network = build(class_count(state))
    if any(".source." in name for name in state):
        in_parts(network, 1, domains=True)
    load_state(network, state, f"{path}: {role} of another network than params.yaml describes")
    return network


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(existing(path), framework="pt")
    except SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file: {error}") from None
