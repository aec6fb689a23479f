"""What a network does with its batch as a whole, where it is to see a part of it: batch norms, and dropout."""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mutual.machine.ranks import ALONE, Ranks


class PartBatchNorm(_BatchNorm):
    """A batch norm that normalises a training batch in ``groups`` equal, contiguous chunks.

    Only the first chunk moves the running statistics: what DataParallel does on as many GPUs, and what the published
    results come from. With ``source``, the second half of a training batch is the source's, which has weights and
    statistics of its own (domain-specific batch norm, Chang et al., 2019); in eval mode all images are the target's.
    What some of timm's batch norms do afterwards, ``drop`` and ``act``, follows here too.
    """

    def __init__(self, norm: _BatchNorm, groups: int, source: _BatchNorm | None) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.groups = groups
        self.source = None if source is None else PartBatchNorm(source, groups, None)
        self.drop, self.act = getattr(norm, "drop", None), getattr(norm, "act", None)
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) -> the same shape."""
        x = self._normalised(x)
        for after in (self.drop, self.act):
            x = x if after is None else after(x)
        return x

    def _normalised(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if self.source is not None:
            target, source = x.chunk(2)
            return torch.cat([*self._chunks(target), *self.source._chunks(source)])
        return torch.cat(self._chunks(x)) if self.groups > 1 else super().forward(x)

    def _chunks(self, x: Tensor) -> list[Tensor]:
        if len(x) % self.groups:
            raise ValueError(f"{len(x)} images cannot be cut into {self.groups} equal groups")
        first, *others = x.chunk(self.groups)
        unmoved = [F.batch_norm(chunk, None, None, self.weight, self.bias, True, 0.0, self.eps) for chunk in others]
        return [super().forward(first), *unmoved]

    def _check_input_dim(self, input: Tensor) -> None:
        """Feature maps and vectors are both welcome."""


class SharedDropout(nn.Dropout):
    """Dropout of a process's share of a batch: what one process draws for the whole batch, and of that its own."""

    def __init__(self, p: float, ranks: Ranks, parts: int) -> None:
        super().__init__(p)
        self.ranks, self.parts = ranks, parts

    def forward(self, input: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        if not self.training or not self.p:
            return input
        whole = F.dropout(input.new_ones(len(input) * self.ranks.count, *input.shape[1:]), self.p)
        return input * self.ranks.share(whole, self.parts)


def in_parts(network: nn.Module, groups: int, domains: bool, ranks: Ranks = ALONE) -> None:
    """Let every batch norm of the network normalise in ``groups`` chunks and, with ``domains``, the source apart.

    Where several processes share the batch, each has as many of the chunks, and of what dropout draws its part.

    Tensors keep their names; the source's are new, ``….source.*``, and start as copies. Where neither is asked for,
    batch norms stay as they are. A warning says where the network has no other than its neck's.
    """
    groups = ranks.groups(groups)
    dropout = getattr(network, "dropout", None)
    if ranks.count > 1 and isinstance(dropout, nn.Dropout):
        network.dropout = SharedDropout(dropout.p, ranks, 2 if domains else 1)
    norms = [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
    if norms == ["neck"] and (groups > 1 or domains):
        warnings.warn("bn_groups, dsbn: the backbone has no batch norm: they concern the neck's alone", stacklevel=2)
    for parent in list(network.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, _BatchNorm) and not isinstance(parent, PartBatchNorm):
                source = (getattr(norm, "source", None) or _copy(norm)) if domains else None
                if groups > 1 or source is not None or isinstance(norm, PartBatchNorm):
                    setattr(parent, name, PartBatchNorm(norm, groups, source))


def _copy(norm: _BatchNorm) -> _BatchNorm:
    twin = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum).to(norm.weight)
    twin.load_state_dict(norm.state_dict())
    twin.bias.requires_grad_(norm.bias.requires_grad)
    return twin
