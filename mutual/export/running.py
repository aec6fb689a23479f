"""Exported files, run: what they compute, how close to the project's own, how fast."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mutual.base.errors import InputError, one_line
from mutual.base.store import existing
from mutual.export.extractor import INPUT, Extractor, digest
from mutual.export.programs import DESCRIPTION, need, quiet

Features = Callable[[np.ndarray], np.ndarray]  # (B, H, W, 3) uint8 -> (B, D) float32

BATCH = 16  # images at a time, as extraction has it on a CPU


def opened(path: Path, threads: int) -> tuple[Features, dict[str, str]]:
    """What an exported file computes, on the CPU with this number of threads, and what it says of itself.

    PyTorch's number of threads is set where the file is a .pt2. Raises :class:`InputError` for any other file, and one
    that is damaged.
    """
    existing(path)
    if path.suffix not in (".onnx", ".pt2"):
        raise InputError(f"{path}: expected a file that ends in .onnx or .pt2")
    if path.suffix == ".onnx":
        need("onnxruntime")
    try:
        with quiet():
            return _opened_onnx(path, threads) if path.suffix == ".onnx" else _opened_pt2(path, threads)
    except Exception as error:  # of a file that is damaged both raise errors of a dozen kinds
        raise InputError(f"{path}: expected a whole file of tools.export: {one_line(str(error))}") from None


def _opened_onnx(path: Path, threads: int) -> tuple[Features, dict[str, str]]:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    described = dict(session.get_modelmeta().custom_metadata_map)
    described["peers"]

    def features(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {INPUT: images})[0])

    return features, described


def _opened_pt2(path: Path, threads: int) -> tuple[Features, dict[str, str]]:
    extra: dict[str, Any] = {DESCRIPTION: ""}
    module = torch.export.load(path, extra_files=extra).module()
    return of_module(module, threads), json.loads(extra[DESCRIPTION])


def of_module(module: torch.nn.Module | Extractor, threads: int) -> Features:
    """What a module of PyTorch computes; the number of threads is set when it does."""

    def features(images: np.ndarray) -> np.ndarray:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images)).numpy())

    return features


def all_features(of: Features, images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 images -> (N, D) float32, batch by batch."""
    return np.concatenate([of(np.array(images[start : start + BATCH])) for start in range(0, len(images), BATCH)])


def agreement(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Of (N, D) features and the same computed elsewhere: the largest difference, and the smallest cosine."""
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(np.abs(ours - theirs).max()), float(((ours * theirs).sum(1) / lengths).min())


def images_per_second(of: Features, images: np.ndarray) -> float:
    """Over one pass through the images."""
    start = time.perf_counter()
    all_features(of, images)
    return len(images) / (time.perf_counter() - start)


def origin(path: Path) -> list[Path]:
    """The peers' files that an exported file says it was made of.

    Raises :class:`InputError` where one of them is not there, or is not the same any more.
    """
    described = opened(path, 1)[1]
    peers = json.loads(described["peers"])
    for peer in peers:
        place = Path(peer["file"])
        if not place.is_file() or digest(place) != peer["sha256"]:
            found = "it has changed" if place.exists() else "not found"
            raise InputError(f"{path}: made of {place}: expected this file as it was then, {found}")
    return [Path(peer["file"]) for peer in peers]
