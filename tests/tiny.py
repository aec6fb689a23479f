"""A network of a few numbers, for tests that are about files."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

from mutual.base.errors import InputError
from mutual.networks.reid import ReidNetwork

State = dict[str, Tensor]


class TinyNetwork(ReidNetwork):
    """The parts of the real one in a few numbers."""

    def __init__(self, classes: int, width: int = 4) -> None:
        nn.Module.__init__(self)
        layers = OrderedDict(conv1=nn.Conv2d(3, width, 3), bn1=nn.BatchNorm2d(width))
        self.backbone = nn.Sequential(layers)  # type: ignore[assignment]
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(width, classes, bias=False)


def random_tiny(classes: int = 5, width: int = 4) -> TinyNetwork:
    network = TinyNetwork(classes, width)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            nn.init.normal_(tensor)
        else:
            tensor.fill_(12345)
    return network


def assert_same_bits(ours: nn.Module, theirs: nn.Module) -> None:
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].numpy().tobytes() == b[name].numpy().tobytes(), name


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)
