"""The network against the authors' values and against torchvision's."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mutual.networks.norms import in_parts
from mutual.networks.reid import GeneralisedMean, ReidNetwork, inference
from tests.golden import assert_close, golden
from tests.golden.fill_rule import image_batch, tensor_for

MODELS = ("resnet50", "resnet_ibn50a")
SIZES = {"2x256x128": (2, 256, 128), "8x128x64": (8, 128, 64)}
CASES = [(model, size) for model in MODELS for size in SIZES]


@cache
def stored(model: str) -> dict[str, np.ndarray]:
    return golden(f"model_{model}")


def own_name(model: str, official: str) -> str:
    """The official model is a sequence of conv, norm, pool and four layers, a norm and a classifier.

    The IBN network has a ReLU before the pool, which the others lack.
    """
    before_layers = 3 if model == "resnet_ibn50a" else 2
    name = official.replace("feat_bn.", "neck.")
    name = re.sub(r"^base\.0\.", "backbone.conv1.", name)
    name = re.sub(r"^base\.1\.", "backbone.bn1.", name)
    return re.sub(r"^base\.([3-7])\.", lambda match: f"backbone.layer{int(match[1]) - before_layers}.", name)


@cache
def official_state(model: str) -> dict[str, Tensor]:
    shapes = [tuple(int(side) for side in re.findall(r"\d+", str(text))) for text in stored(model)["state_shapes"]]
    return {
        own_name(model, str(name)): torch.from_numpy(np.asarray(tensor_for(str(name), shape)))
        for name, shape in zip(stored(model)["state_names"], shapes, strict=True)
    }


def filled(model: str, dtype: torch.dtype) -> ReidNetwork:
    with torch.device("meta"):  # no time for an initialisation that is overwritten
        network = ReidNetwork(model, 10)
    state = {
        name: tensor.to(dtype, copy=True) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in official_state(model).items()
    }
    network.load_state_dict(state, assign=True)
    return network


def batch(size: str, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(image_batch(*SIZES[size])).to(dtype)


@pytest.mark.parametrize("model", MODELS)
def test_fill_rule_gives_the_weights_behind_the_stored_values(model: str) -> None:
    # the stored sums are of the weights in single precision
    sums = [float(tensor.float().double().sum()) for tensor in official_state(model).values()]
    assert sums == pytest.approx(stored(model)["state_sums_f64"].tolist(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_tensors_and_trained_parameters_are_the_official_ones(model: str) -> None:
    found = stored(model)
    network = ReidNetwork(model, 10)
    shapes = {name: str(tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    official = zip(found["state_names"], found["state_shapes"], strict=True)
    assert shapes == {own_name(model, str(name)): str(shape) for name, shape in official}
    trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    flags = zip(found["param_names"], found["param_requires_grad"], strict=True)
    assert trained == {own_name(model, str(name)): bool(flag) for name, flag in flags}
    assert sum(parameter.numel() for parameter in network.parameters()) == int(found["n_params"])


@pytest.mark.parametrize(("model", "size"), CASES)
def test_inference_and_training_pass_are_the_authors_in_single_precision(model: str, size: str) -> None:
    images = batch(size, torch.float32)
    network = filled(model, torch.float32).eval()
    with torch.no_grad():
        features = network.embed(images)
        pooled, logits = network.train()(images)
    assert_close(features, stored(model)[f"eval_feat_{size}_f32"], 1e-4)
    assert_close(pooled, stored(model)[f"train_pool_{size}_f32"], 1e-4)
    # a batch norm over two images magnifies rounding: the authors' own logits are up to 5e-4 off their double precision
    single, double = (stored(model)[f"train_logits_{size}_{kind}"] for kind in ("f32", "f64"))
    assert_close(logits, single, max(1e-4, float(np.abs(single - double).max() / np.abs(double).max())))


@pytest.mark.parametrize(("model", "size"), CASES)
def test_inference_feature_is_the_authors_in_double_precision(model: str, size: str) -> None:
    with torch.inference_mode():
        features = inference(filled(model, torch.float64)).embed(batch(size, torch.float64))
    assert_close(features, stored(model)[f"eval_feat_{size}_f64"], 1e-6)


@pytest.mark.parametrize(("model", "size"), CASES)
def test_training_pass_and_gradients_are_the_authors_in_double_precision(model: str, size: str) -> None:
    found = stored(model)
    network = filled(model, torch.float64).train()
    pooled, logits = network(batch(size, torch.float64))
    (logits.square().mean() + pooled.square().mean()).backward()
    assert_close(pooled, found[f"train_pool_{size}_f64"], 1e-6)
    assert_close(logits, found[f"train_logits_{size}_f64"], 1e-6)

    parameters = dict(network.named_parameters())
    largest = float(np.nanmax(found[f"train_gradnorms_{size}_f64"]))
    for name, expected in zip(found["param_names"], found[f"train_gradnorms_{size}_f64"], strict=True):
        gradient = parameters[own_name(model, str(name))].grad
        if np.isnan(expected):
            assert gradient is None, f"{name} should be frozen"
        else:
            assert gradient is not None
            # some gradients are zero but for rounding, which no relative bound can hold
            assert float(gradient.norm()) == pytest.approx(float(expected), rel=1e-6, abs=1e-12 * largest), name
    for name in ("base.0.weight", "feat_bn.weight", "classifier.weight"):
        assert_close(parameters[own_name(model, name)].grad, found[f"train_grad_{name}_{size}_f64"], 1e-6)

    moved = [
        network.state_dict()[own_name(model, str(name))].flatten()
        for name in found["state_names"]
        if str(name).endswith(("running_mean", "running_var"))
    ]
    assert_close(torch.cat(moved), found[f"train_running_after_{size}_f64"], 1e-6)


# --- against torchvision ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_with_stem_relu_and_stride_1_torchvisions_network_computes_the_same(backbone: str) -> None:
    from torchvision import models  # slow to import

    with torch.device("meta"):
        theirs = models.get_model(backbone, num_classes=2)
    state = {
        name: torch.from_numpy(np.asarray(tensor_for(name, tuple(tensor.shape)))).to(tensor.dtype)
        for name, tensor in theirs.state_dict().items()
    }
    theirs.load_state_dict(state, assign=True)
    first = theirs.layer4[0]
    strided = first.conv1 if backbone in ("resnet18", "resnet34") else first.conv2
    assert strided.stride == first.downsample[0].stride == (2, 2)
    strided.stride = first.downsample[0].stride = (1, 1)

    ours = ReidNetwork(backbone, 2, stem_relu=True)
    ours.backbone.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("fc.")})
    theirs.avgpool, theirs.fc = nn.AdaptiveAvgPool2d(1), nn.Identity()
    images = torch.from_numpy(image_batch(2, 64, 32)).float()
    with torch.inference_mode():
        assert_close(ours.eval().pool(images), theirs.eval()(images).numpy(), 1e-5)


def test_mobilenet_is_torchvisions() -> None:
    from torchvision import models  # slow to import

    torch.manual_seed(0)
    ours, theirs = ReidNetwork("mobilenet_v2", 2).eval(), models.mobilenet_v2().eval()
    theirs.features.load_state_dict(ours.backbone.features.state_dict())  # type: ignore[union-attr]
    images = torch.from_numpy(image_batch(2, 64, 32)).float()
    with torch.inference_mode():
        feature_map = ours.backbone(images)
        assert feature_map.shape == (2, 1280, 2, 1)
        assert_close(ours.pool(images), theirs.features(images).mean((2, 3)).numpy(), 1e-6)


# --- parts -----------------------------------------------------------------------------------------------------------


def small(**settings: bool | float | str) -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork("resnet18", 5, **settings)  # type: ignore[arg-type]


IMAGES = torch.from_numpy(image_batch(4, 32, 16)).float()


@pytest.mark.parametrize(
    ("backbone", "width", "stride"),
    [
        ("resnet18", 512, 16),
        ("resnet34", 512, 16),
        ("resnet50", 2048, 16),
        ("resnet101", 2048, 16),
        ("resnet152", 2048, 16),
        ("resnet_ibn50a", 2048, 16),
        ("mobilenet_v2", 1280, 32),
    ],
)
def test_width_and_stride_of_the_feature_map(backbone: str, width: int, stride: int) -> None:
    with torch.device("meta"), torch.inference_mode():  # shapes are enough
        network = ReidNetwork(backbone, 2).eval()
        assert network.backbone.width == width
        assert network.backbone(torch.zeros(1, 3, 128, 64)).shape == (1, width, 128 // stride, 64 // stride)


def test_the_stems_relu_is_off_unless_asked_for() -> None:
    with torch.inference_mode():
        plain, with_relu, without = (
            network.eval().pool(IMAGES) for network in (small(), small(stem_relu=True), small(stem_relu=False))
        )
    assert torch.equal(plain, without)
    assert not torch.allclose(plain, with_relu)


def test_pooled_feature_is_the_mean_over_the_map_and_stands_before_the_neck() -> None:
    network = small().train()
    with torch.no_grad():
        network.neck.weight.mul_(3)
        feature_map = network.backbone(IMAGES)
        pooled, _ = network(IMAGES)
    torch.testing.assert_close(pooled, feature_map.flatten(2).mean(2))


def test_generalised_mean_by_hand() -> None:
    pooling = GeneralisedMean()
    feature_map = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]]])
    # p = 3: the cube root of (1 + 8 + 27 + 0) / 4 is that of 9
    torch.testing.assert_close(pooling(feature_map), torch.tensor([[9.0 ** (1 / 3), 2.0]]))
    with torch.no_grad():
        pooling.p.fill_(1.0)
        torch.testing.assert_close(pooling(feature_map), torch.tensor([[1.5, 2.0]]))
        pooling.p.fill_(50.0)
        torch.testing.assert_close(pooling(feature_map), torch.tensor([[3.0, 2.0]]), rtol=0.03, atol=0)


def test_the_generalised_means_exponent_is_trained_and_finite_below_zero() -> None:
    network = small(pooling="gem", precision="bf16").train()
    pooled, _ = network(IMAGES.repeat(1, 1, 1, 2))  # wide enough for bfloat16 on a CPU
    assert pooled.dtype == torch.float32
    pooled.square().sum().backward()
    exponent = network.get_parameter("pooling.p")
    assert exponent.grad is not None
    assert float(exponent.grad.abs()) > 0
    feature_map = torch.full((1, 2, 3, 3), -1.0, requires_grad=True)
    GeneralisedMean()(feature_map).sum().backward()
    assert feature_map.grad is not None
    assert bool(feature_map.grad.isfinite().all())


def test_logits_are_the_classifier_of_the_neck() -> None:
    network = small().eval()
    with torch.inference_mode():
        pooled, logits = network(IMAGES)
        neck = network.neck(pooled)
        torch.testing.assert_close(logits, neck @ network.classifier.weight.T)
        torch.testing.assert_close(network.embed(IMAGES), neck / neck.norm(dim=1, keepdim=True))


def test_features_have_length_one() -> None:
    with torch.inference_mode():
        torch.testing.assert_close(small().eval().embed(IMAGES).norm(dim=1), torch.ones(4))


def test_classifier_starts_small_and_has_no_bias() -> None:
    network = ReidNetwork("resnet18", 700)
    assert network.classifier.bias is None
    assert float(network.classifier.weight.detach().std()) == pytest.approx(0.001, rel=0.02)
    assert abs(float(network.classifier.weight.detach().mean())) < 1e-5


def test_necks_bias_is_zero_and_frozen() -> None:
    network = small()
    assert not network.neck.bias.requires_grad
    assert torch.equal(network.neck.bias, torch.zeros(512))
    assert [name for name, parameter in network.named_parameters() if not parameter.requires_grad] == ["neck.bias"]


def test_classifier_rows_become_the_normalised_centroids() -> None:
    network = small()
    centroids = torch.zeros(3, 512)
    centroids[0, 0], centroids[1, 1], centroids[2, :2] = 2.0, -0.5, torch.tensor([3.0, 4.0])
    network.set_classifier(centroids)
    weight = network.classifier.weight
    assert weight.shape == (3, 512)
    assert network.classifier.out_features == 3
    assert weight.requires_grad
    assert [weight[0, 0].item(), weight[1, 1].item()] == [1.0, -1.0]
    assert weight[2, :2].tolist() == pytest.approx([3 / 5, 4 / 5])


def test_dropout_changes_the_logits_only_and_in_training_only() -> None:
    network = small(dropout=0.5)
    with torch.no_grad():
        network.train()
        (pooled, logits), (pooled_again, logits_again) = network(IMAGES), network(IMAGES)
        assert torch.equal(pooled, pooled_again)
        assert not torch.equal(logits, logits_again)
        network.eval()
        assert torch.equal(network(IMAGES)[1], network(IMAGES)[1])


def test_dropout_stands_between_neck_and_classifier() -> None:
    plain, dropping = small().train(), small(dropout=0.5).train()
    for network in (plain, dropping):
        network.set_classifier(torch.eye(64, 512))  # shows what the classifier is given
    with torch.no_grad():
        given, (_, dropped) = plain(IMAGES)[1], dropping(IMAGES)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * given[kept])
    assert 0.3 < float(kept.double().mean()) < 0.7


def test_bfloat16_runs_the_backbone_only_and_stays_near() -> None:
    images = IMAGES.repeat(1, 1, 1, 2)  # wide enough for bfloat16 on a CPU
    with torch.no_grad():
        plain, (pooled, logits) = small().train()(images), small(precision="bf16").train()(images)
    assert pooled.dtype == logits.dtype == torch.float32
    assert not torch.equal(pooled, plain[0])
    # bfloat16 has 8 bits: a few hundredths after 18 layers
    assert float((pooled - plain[0]).abs().max() / plain[0].abs().max()) < 0.1


def test_tensorfloat32_is_float32_on_a_cpu() -> None:
    with torch.no_grad():
        for plain, found in zip(small().train()(IMAGES), small(precision="tf32").train()(IMAGES), strict=True):
            assert torch.equal(plain, found)


def test_inference_networks_are_frozen_and_do_not_move() -> None:
    network = inference(small())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    before = network.neck.num_batches_tracked.clone()  # type: ignore[union-attr]
    network.embed(IMAGES)
    assert torch.equal(network.neck.num_batches_tracked, before)  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "resnet_ibn50a", "mobilenet_v2"])
@pytest.mark.parametrize("groups", [1, 2])
def test_merged_batch_norms_change_no_feature(backbone: str, groups: int) -> None:
    torch.manual_seed(0)
    network = ReidNetwork(backbone, 2).double()
    in_parts(network, groups, domains=False)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():  # not the statistics and weights of a new network
            if ".bn" in name or "norm" in name or "running" in name:
                tensor.copy_(torch.rand(tensor.shape) + 0.5)
        network.eval()
        images = torch.randn(2, 3, 64, 32, dtype=torch.float64)
        expected = network.embed(images)
        merged = inference(network)
        torch.testing.assert_close(merged.embed(images), expected, rtol=1e-9, atol=1e-12)
    left = [module for module in merged.backbone.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    # but those that share a layer with instance norms
    assert len(left) == (0 if backbone != "resnet_ibn50a" else 13)
