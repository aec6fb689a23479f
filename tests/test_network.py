"""The network against the authors' values and against torchvision's."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stages.reid.network import ReidNetwork, inference
from tests.golden import assert_close, golden
from tests.golden.fill_rule import image_batch, tensor_for

STORED = golden("model_resnet50")
SIZES = {"2x256x128": (2, 256, 128), "8x128x64": (8, 128, 64)}
DTYPES = {"f32": (torch.float32, 1e-4), "f64": (torch.float64, 1e-6)}


def own_name(official: str) -> str:
    """The official model is a sequence of conv, norm, pool and four layers, a norm and a classifier."""
    name = official.replace("feat_bn.", "neck.")
    name = re.sub(r"^base\.0\.", "backbone.conv1.", name)
    name = re.sub(r"^base\.1\.", "backbone.bn1.", name)
    return re.sub(r"^base\.([3-6])\.", lambda match: f"backbone.layer{int(match[1]) - 2}.", name)


@cache
def official_state() -> dict[str, Tensor]:
    shapes = [tuple(int(side) for side in re.findall(r"\d+", str(text))) for text in STORED["state_shapes"]]
    return {
        own_name(str(name)): torch.from_numpy(np.asarray(tensor_for(str(name), shape)))
        for name, shape in zip(STORED["state_names"], shapes, strict=True)
    }


def filled(dtype: torch.dtype) -> ReidNetwork:
    network = ReidNetwork("resnet50", 10).to(dtype)  # first: the rule's values are doubles
    network.load_state_dict(official_state())
    return network


def batch(size: str, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(image_batch(*SIZES[size])).to(dtype)


def test_fill_rule_gives_the_weights_behind_the_stored_values() -> None:
    # the stored sums are of the weights in single precision
    sums = [float(tensor.float().double().sum()) for tensor in official_state().values()]
    assert sums == pytest.approx(STORED["state_sums_f64"].tolist(), rel=1e-9, abs=1e-9)


def test_tensors_and_trained_parameters_are_the_official_ones() -> None:
    network = ReidNetwork("resnet50", 10)
    shapes = {name: str(tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    official = zip(STORED["state_names"], STORED["state_shapes"], strict=True)
    assert shapes == {own_name(str(name)): str(shape) for name, shape in official}
    trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    flags = zip(STORED["param_names"], STORED["param_requires_grad"], strict=True)
    assert trained == {own_name(str(name)): bool(flag) for name, flag in flags}
    assert sum(parameter.numel() for parameter in network.parameters()) == int(STORED["n_params"])


@pytest.mark.parametrize("precision", list(DTYPES))
@pytest.mark.parametrize("size", list(SIZES))
def test_inference_feature_is_the_authors(size: str, precision: str) -> None:
    dtype, tolerance = DTYPES[precision]
    with torch.inference_mode():
        features = inference(filled(dtype)).embed(batch(size, dtype))
    assert_close(features, STORED[f"eval_feat_{size}_{precision}"], tolerance)


@pytest.mark.parametrize("size", list(SIZES))
def test_training_pass_is_the_authors_in_single_precision(size: str) -> None:
    network = filled(torch.float32).train()
    with torch.no_grad():
        pooled, logits = network(batch(size, torch.float32))
    assert_close(pooled, STORED[f"train_pool_{size}_f32"], 1e-4)
    assert_close(logits, STORED[f"train_logits_{size}_f32"], 1e-4)


@pytest.mark.parametrize("size", list(SIZES))
def test_training_pass_and_gradients_are_the_authors_in_double_precision(size: str) -> None:
    network = filled(torch.float64).train()
    pooled, logits = network(batch(size, torch.float64))
    (logits.square().mean() + pooled.square().mean()).backward()
    assert_close(pooled, STORED[f"train_pool_{size}_f64"], 1e-6)
    assert_close(logits, STORED[f"train_logits_{size}_f64"], 1e-6)

    parameters = dict(network.named_parameters())
    largest = float(np.nanmax(STORED[f"train_gradnorms_{size}_f64"]))
    for name, expected in zip(STORED["param_names"], STORED[f"train_gradnorms_{size}_f64"], strict=True):
        gradient = parameters[own_name(str(name))].grad
        if np.isnan(expected):
            assert gradient is None, f"{name} should be frozen"
        else:
            assert gradient is not None
            # some gradients are zero but for rounding, which no relative bound can hold
            assert float(gradient.norm()) == pytest.approx(float(expected), rel=1e-6, abs=1e-12 * largest), name
    for name in ("base.0.weight", "feat_bn.weight", "classifier.weight"):
        assert_close(parameters[own_name(name)].grad, STORED[f"train_grad_{name}_{size}_f64"], 1e-6)

    moved = [
        network.state_dict()[own_name(str(name))].flatten()
        for name in STORED["state_names"]
        if str(name).endswith(("running_mean", "running_var"))
    ]
    counted = torch.cat(moved)
    assert_close(counted, STORED[f"train_running_after_{size}_f64"], 1e-6)
