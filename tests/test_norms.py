"""Batch norms by parts: equal to running the parts one by one, and the source apart from the target."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mutual.networks.norms import PartBatchNorm, in_parts
from mutual.networks.reid import ReidNetwork


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 32, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network() -> ReidNetwork:
    torch.manual_seed(3)
    return ReidNetwork("resnet18", 5).double().train()


def grouped(groups: int, domains: bool = False) -> ReidNetwork:
    net = network()
    in_parts(net, groups, domains)
    return net


@pytest.mark.parametrize("groups", [2, 4])
def test_outputs_and_gradients_are_those_of_the_chunks_one_by_one(groups: int) -> None:
    batch = images(8)
    together, apart = grouped(groups), network()
    pooled, logits = together(batch)
    (pooled.square().sum() + logits.square().sum()).backward()
    parts = [apart(chunk) for chunk in batch.chunk(groups)]
    torch.testing.assert_close(pooled, torch.cat([part[0] for part in parts]))
    torch.testing.assert_close(logits, torch.cat([part[1] for part in parts]))
    torch.stack([part[0].square().sum() + part[1].square().sum() for part in parts]).sum().backward()
    for (name, ours), theirs in zip(together.named_parameters(), apart.parameters(), strict=True):
        if ours.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_only_the_first_chunk_moves_the_running_statistics() -> None:
    together, apart = grouped(4), network()
    together(images(8))
    apart(images(8)[:2])
    ours, theirs = together.state_dict(), apart.state_dict()
    assert list(ours) == list(theirs)
    name = "backbone.bn1.running_mean"  # of the layers above, chunks differ by rounding alone
    torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=0)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=name)


def test_in_eval_mode_groups_change_nothing() -> None:
    with torch.no_grad():
        assert torch.equal(grouped(4).eval().embed(images(5)), network().eval().embed(images(5)))


def test_one_group_is_left_as_it_is() -> None:
    assert not any(isinstance(module, PartBatchNorm) for module in grouped(1).modules())


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="6 images cannot be cut into 4 equal groups"):
        grouped(4)(images(6))


@pytest.mark.parametrize("groups", [1, 2])
def test_the_source_half_is_normalised_apart_and_moves_its_own_statistics(groups: int) -> None:
    target, source = images(4, 1), 3 + 2 * images(4, 2)
    together, of_target, of_source = grouped(groups, domains=True), grouped(groups), grouped(groups)
    pooled, _ = together(torch.cat([target, source]))
    torch.testing.assert_close(pooled[:4], of_target(target)[0])
    torch.testing.assert_close(pooled[4:], of_source(source)[0])
    state = together.state_dict()
    for name, tensor in of_target.state_dict().items():
        torch.testing.assert_close(state[name], tensor, msg=name)
    for name, tensor in of_source.state_dict().items():
        module, _, leaf = name.rpartition(".")
        if isinstance(of_source.get_submodule(module), _BatchNorm):
            torch.testing.assert_close(state[f"{module}.source.{leaf}"], tensor, msg=name)


def test_tests_see_the_targets_norms() -> None:
    net, plain = grouped(1, domains=True), network()
    for name, parameter in net.named_parameters():
        if ".source." in name:
            nn.init.constant_(parameter, 9.0)
    with torch.no_grad():
        assert torch.equal(net.eval().embed(images(3)), plain.eval().embed(images(3)))


def test_weights_of_the_source_are_trained_and_its_neck_has_no_bias_either() -> None:
    trained = {name for name, parameter in grouped(2, domains=True).named_parameters() if parameter.requires_grad}
    assert "backbone.bn1.source.weight" in trained
    assert "neck.source.weight" in trained
    assert "neck.source.bias" not in trained


def test_parts_can_be_changed_and_taken_back_without_touching_the_targets_tensors() -> None:
    net = grouped(2, domains=True)
    before = deepcopy({name: tensor for name, tensor in net.state_dict().items() if ".source." not in name})
    in_parts(net, 1, domains=False)
    after = net.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(isinstance(module, PartBatchNorm) and module.source is not None for module in net.modules())
