"""A peer on disk: its student and teacher in one safetensors file, which says itself what network they are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mutual.base.errors import InputError
from mutual.base.store import existing, write_bytes
from mutual.images.normalisation import MEAN, STD, Normalisation
from mutual.networks.from_timm import TimmBackbone
from mutual.networks.norms import in_parts
from mutual.networks.reid import ReidNetwork
from mutual.networks.weights import class_count, load_state

Role = Literal["student", "teacher"]
KEY = "peer"  # the one entry of the metadata: the order of several is not deterministic


@dataclass(frozen=True)
class Peer:
    """What a peer's file says of itself."""

    network: Mapping[str, Any]  # what builds it: see ReidNetwork.form
    classes: int  # rows of its classifier
    height: int  # of its images, pixels
    width: int
    iterations: int = 0  # of adaptation that it has behind it
    params: Mapping[str, Any] = field(default_factory=dict)  # by stage: the parameters that made it
    mean: Sequence[float] = MEAN  # images are normalised with, RGB of values in 0 .. 1
    std: Sequence[float] = STD


def peer_path(folder: Path, seed: int) -> Path:
    """Where the peer pre-trained from ``seed`` lies in a round's folder of models."""
    return folder / f"peer{seed}.safetensors"


def write_peer(path: Path, student: ReidNetwork, teacher: ReidNetwork, peer: Peer) -> None:
    """Write ``student.*`` and ``teacher.*`` tensors, and what they are as JSON in the metadata."""
    tensors = {
        f"{role}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for role, network in (("student", student), ("teacher", teacher))
        for name, tensor in network.state_dict().items()
    }
    write_bytes(path, save(tensors, metadata={KEY: json.dumps(asdict(peer), sort_keys=True)}))


def read_peer(path: Path) -> Peer:
    """What the file says of itself. Raises :class:`InputError` where it is damaged or says too little."""
    with _opened(path) as file:
        text = (file.metadata() or {}).get(KEY)
    expected = f"{path}: expected what network it is in the metadata"
    if text is None:
        raise InputError(f"{expected}; files of version 0.3 and before have none: make them anew")
    try:
        peer = Peer(**json.loads(text))
    except (TypeError, ValueError, RecursionError):
        raise InputError(expected) from None
    numbers = (peer.classes, peer.height, peer.width, peer.iterations)
    counted = all(type(number) is int and number >= 0 for number in numbers)
    seen = _is_rgb(peer.mean, least=0) and _is_rgb(peer.std, least=1e-6)
    if not (counted and seen and isinstance(peer.network, dict) and isinstance(peer.params, dict)):
        raise InputError(expected)
    return peer


def read_network(path: Path, role: Role, **changes: Any) -> ReidNetwork:
    """One network of a peer's file, on the CPU, in training mode; ``changes`` of its form, such as another dropout.

    Raises :class:`InputError` when the file is missing, damaged, or does not hold the network that it says.
    """
    peer = read_peer(path)
    with _opened(path) as file:
        names = list(file.keys())
        state = {name.removeprefix(f"{role}."): file.get_tensor(name) for name in names if name.startswith(f"{role}.")}
    if "classifier.weight" not in state:
        raise InputError(f"{path}: holds no {role}")
    if class_count(state) != peer.classes:
        raise InputError(f"{path}: expected the {peer.classes} classes of its metadata, the {role} has another number")
    try:
        network = ReidNetwork(**{**peer.network, **changes}, classes=peer.classes, size=(peer.height, peer.width))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a network that can be built: {error}") from None
    if any(".source." in name for name in state):
        in_parts(network, 1, domains=True)
    load_state(network, state, f"{path}: {role} of another network than the file says", exact=True)
    network.normalisation = Normalisation(peer.mean, peer.std)
    return network


def read_classifier(path: Path, role: Role) -> np.ndarray:
    """(C, D) float32: the classifier's rows, without the rest of the network. Raises as :func:`read_network` does."""
    with _opened(path) as file:
        if f"{role}.classifier.weight" not in set(file.keys()):
            raise InputError(f"{path}: holds no {role}")
        rows: np.ndarray = file.get_tensor(f"{role}.classifier.weight").float().numpy()
    return rows


def adopted(path: Path, form: Mapping[str, Any], size: tuple[int, int]) -> tuple[ReidNetwork, Peer]:
    """The teacher of a file, to be adapted in place of a network pre-trained here, and what it is from now on.

    Dropout and precision are those of ``form``; its other entries must be the file's. ``size``, height and width, is
    that of the images that it will see, which may be another one than before. Raises :class:`InputError`.
    """
    if not path.is_file():
        raise InputError(f"pretrained: {path}: not found: expected a folder with a file for each peer")
    peer = read_peer(path)
    for key in ("backbone", "stem_relu", "pooling"):
        if peer.network.get(key) != form[key]:
            told = f"{key} {form[key]} in params.yaml, {peer.network.get(key)} in the file"
            raise InputError(f"pretrained: {path}: another network than params.yaml describes: {told}")
    network = read_network(path, "teacher", dropout=form["dropout"], precision=form["precision"])
    if isinstance(network.backbone, TimmBackbone):
        network.backbone.resize(size)
    return network, replace(peer, network=dict(form), height=size[0], width=size[1], iterations=0)


def write_continued(
    before: Path,
    after: Path,
    student: ReidNetwork,
    teacher: ReidNetwork,
    iterations: int,
    params: Mapping[str, Any],
) -> None:
    """Write what the peer of a file has become in a round of ``iterations`` with these parameters."""
    peer = continued(before, student.classifier.out_features, iterations, params)
    write_peer(after, student, teacher, peer)


def continued(path: Path, classes: int, iterations: int, params: Mapping[str, Any]) -> Peer:
    """What the peer of this file is after a round of ``iterations`` with these parameters."""
    before = read_peer(path)
    return replace(
        before,
        classes=classes,
        iterations=before.iterations + iterations,
        params={**before.params, "adaptation": dict(params)},
    )


def iterations_of(paths: Sequence[Path]) -> int:
    """Iterations of adaptation that all these peers have behind them."""
    done = [read_peer(path).iterations for path in paths]
    for path, iterations in zip(paths, done, strict=True):
        if iterations != done[0]:
            raise InputError(f"{path}: {iterations} iterations done, expected {done[0]} as {paths[0].name} has")
    return done[0]


def normalisation_of(paths: Sequence[Path]) -> Normalisation:
    """What the images of all these peers are normalised with. Raises :class:`InputError` where they differ."""
    peers = [read_peer(path) for path in paths]
    for path, peer in zip(paths, peers, strict=True):
        if (peer.mean, peer.std) != (peers[0].mean, peers[0].std):
            expected = f"expected mean and std as {paths[0].name} has them, {peers[0].mean} and {peers[0].std}"
            raise InputError(f"{path}: {expected}, found {peer.mean} and {peer.std}")
    return Normalisation(peers[0].mean, peers[0].std)


def check_size(path: Path, images: Mapping[str, np.ndarray]) -> None:
    """Raise :class:`InputError` where a set of (N, H, W, 3) images has not the size that the peer's file says."""
    peer = read_peer(path)
    for name, packed in images.items():
        height, width = packed.shape[1:3]
        if (height, width) != (peer.height, peer.width):
            expected = f"expected {peer.height} x {peer.width} pixels as {path} has it"
            raise InputError(f"{name}: {expected}, found images of {height} x {width}")


def _is_rgb(values: object, least: float) -> bool:
    """Whether these are three numbers from ``least`` to 1, of images whose values are 0 .. 1."""
    return (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(type(v) is float and least <= v <= 1 for v in values)
    )


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(existing(path), framework="pt")
    except SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file: {error}") from None
