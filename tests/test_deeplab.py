"""DeepLab-v2 against the authors' values, and the dilated ResNets against the strided ones."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mutual.networks.resnet import ResNet, resnet18, resnet50
from mutual.segmentation.deeplab import BACKBONES, DeepLab, DilatedSum, enlarged
from tests.golden import assert_close, golden
from tests.golden.fill_rule import image_batch, tensor_for

FOUND = golden("refineries/dmt_segmentation")


def shape_of(text: str) -> tuple[int, ...]:
    return tuple(int(side) for side in re.findall(r"\d+", text))


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {
        str(key): shape_of(str(text)) for key, text in zip(FOUND[f"{name}_names"], FOUND[f"{name}_shapes"], strict=True)
    }


def own_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def filled(names: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.asarray(tensor_for(name, shape))) for name, shape in names.items()}


def test_the_networks_tensors_and_its_map_are_the_authors() -> None:
    with torch.device("meta"):  # no time for an initialisation that is overwritten
        network = DeepLab("resnet101", 21)
    assert own_shapes(network) == shapes("deeplab")
    network.load_state_dict(filled(shapes("deeplab")), assign=True)
    network.eval()
    assert int(FOUND["deeplab_image_seed"]) == 7
    images = torch.from_numpy(image_batch(2, 65, 81))
    with torch.inference_mode():
        found = network.coarse(images)
        assert_close(found, FOUND["deeplab_eval_f64"], 1e-9)
        assert network(images[:1, :, :17, :19]).shape == (1, 21, 17, 19)


def head(summed: int) -> nn.Sequential:
    made = nn.Sequential(DilatedSum(16, 5, summed=summed)).double()
    assert own_shapes(made) == shapes("head")
    made.load_state_dict(filled(shapes("head")))
    return made


def test_the_head_sums_two_convolutions_as_the_authors_does() -> None:
    x = torch.from_numpy(FOUND["head_x"]).double()
    with torch.no_grad():
        assert_close(head(2)(x), FOUND["head_out_f64"], 1e-9)


def test_the_papers_head_sums_all() -> None:
    x, state = torch.from_numpy(FOUND["head_x"]).double(), filled(shapes("head"))
    wanted = sum(
        F.conv2d(x, state[f"0.convs.{i}.weight"], state[f"0.convs.{i}.bias"], padding=d, dilation=d)
        for i, d in enumerate((6, 12, 18, 24))
    )
    with torch.no_grad():
        assert_close(head(4)(x), np.asarray(wanted), 1e-12)


def test_convolutions_that_are_not_summed_are_not_trained() -> None:
    made = head(2)
    made(torch.from_numpy(FOUND["head_x"]).double()).sum().backward()
    assert [p.grad is None for p in made.parameters()] == [False] * 4 + [True] * 4


def test_the_head_starts_small() -> None:
    torch.manual_seed(1)
    for name, tensor in DilatedSum(64, 19).named_parameters():
        spread = 0.0 if name.endswith("bias") else 0.01
        assert float(tensor.detach().std(correction=0)) == pytest.approx(spread, rel=6 / tensor.numel() ** 0.5)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_the_backbones_have_torchvisions_tensors(name: str) -> None:
    from torchvision import models

    with torch.device("meta"):
        theirs = {k: v for k, v in own_shapes(getattr(models, name)()).items() if not k.startswith("fc.")}
        assert own_shapes(BACKBONES[name](True, output_stride=8)) == theirs


def test_a_dilated_resnet50_is_torchvisions() -> None:
    """The published rule: the first block of a layer has the dilation of the layer before."""
    from torchvision.models import resnet50 as published

    ours = settled(resnet50(True, output_stride=8))
    theirs = published(replace_stride_with_dilation=[False, True, True]).double().eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    images = torch.from_numpy(image_batch(1, 49, 35))
    with torch.inference_mode():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        assert_close(ours(images), theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x)))).numpy(), 1e-12)


def settled(network: ResNet) -> ResNet:
    """With norms of which none is the identity, in double precision."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert isinstance(tensor, Tensor)
                tensor.uniform_(0.5, 1.0, generator=generator)
    return network.double().eval()


@pytest.mark.parametrize("make", [resnet18, resnet50])
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_a_dilated_networks_values_are_the_strided_ones_at_more_places(
    make: Callable[..., ResNet], stride: int
) -> None:
    """Of two blocks a layer and more: every value of the strided map is in the dense one, at each 32 / stride-th."""
    torch.manual_seed(1)
    strided = settled(make(True, 4, 2))
    dense = settled(make(True, 4, output_stride=stride))
    dense.load_state_dict(strided.state_dict())
    images = torch.from_numpy(image_batch(1, 97, 71))
    step = 32 // stride
    with torch.inference_mode():
        found, wanted = dense(images), strided(images)
        assert found.shape[2:] == (-(-97 // stride), -(-71 // stride))
        assert_close(found[:, :, ::step, ::step], wanted.numpy(), 1e-12)


def test_without_an_output_stride_nothing_has_changed() -> None:
    torch.manual_seed(1)
    plain = resnet18(True, 4, 2)
    torch.manual_seed(1)
    same = resnet18(True, 4, output_stride=32)
    for (name, one), other in zip(plain.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    convolutions = [module for module in plain.modules() if isinstance(module, nn.Conv2d)]
    assert all(module.dilation == (1, 1) for module in convolutions)
    images = torch.from_numpy(image_batch(1, 64, 64)).float()
    assert torch.equal(plain.eval()(images), same.eval()(images))


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_small_pictures_keep_their_resolution(stride: int) -> None:
    network = DeepLab("resnet18", 7, stem=8, output_stride=stride, dilations=(1, 2, 4), summed=3).eval()
    images = torch.zeros(2, 3, 64, 32)
    assert network.coarse(images).shape == (2, 7, 64 // stride, 32 // stride)
    assert network(images).shape == (2, 7, 64, 32)


@pytest.mark.parametrize(
    ("before", "after"), [((9, 11), (65, 81)), ((3, 4), (3, 4)), ((1, 5), (7, 2)), ((4, 1), (1, 9))]
)
def test_maps_are_enlarged_as_torch_does(before: tuple[int, int], after: tuple[int, int]) -> None:
    maps = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, *before)))
    wanted = F.interpolate(maps, size=after, mode="bilinear", align_corners=True)
    assert_close(enlarged(maps, *after), wanted.numpy(), 1e-12)
    assert_close(enlarged(maps.float(), *after), wanted.numpy(), 1e-6)


def test_maps_of_less_precision_are_enlarged_in_single() -> None:
    maps = torch.tensor([[[[0.0, 1.0]]]], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = enlarged(maps, 1, 1001)
    assert found.dtype == torch.float32
    assert found[0, 0, 0].tolist() == pytest.approx(np.linspace(0, 1, 1001).tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"backbone": "vgg"}, "backbone: expected one of resnet18, resnet34, resnet50, resnet101, got vgg"),
        ({"output_stride": 3}, "output_stride: expected 2, 4, 8, 16 or 32, got 3"),
        ({"summed": 5}, "summed: expected 1 to 4, got 5"),
    ],
)
def test_other_forms_are_refused(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}$"):
        DeepLab(**{"backbone": "resnet18", "classes": 3, **values})
