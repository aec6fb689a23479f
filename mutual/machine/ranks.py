"""Several processes, started by torchrun, that do the work of one stage together.

Each pushes its share of a batch through the networks. All gather what the networks say of the others' shares, compute
the losses of the whole batch, and sum their gradients: so every loss means what it means in one process, and students,
teachers and a refinery's state are the same in all. Batch norms see the share alone: what ``bn_groups`` cuts a batch
into in one process. The first process alone writes.
"""

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, distributed, nn

from mutual.base.errors import InputError
from mutual.base.launched import processes, rank
from mutual.base.stopping import Stop

MEETING = timedelta(minutes=10)  # until all are there
# one process tests or writes while the others wait; that one died they hear at once, from the launcher too
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Ranks:
    """This process among ``count``: the ``rank``-th, from 0.

    A batch of several ``parts`` of one length, such as the target's images and the source's, is shared out part by
    part: each process has an equal run of each. Raises :class:`InputError`, in all methods that wait for the others,
    where one of them has ended.
    """

    rank: int = 0
    count: int = 1
    group: Any = field(default=None, compare=False)  # PyTorch's, by which they speak

    def __deepcopy__(self, _: dict[int, Any]) -> "Ranks":
        """A network that is copied stays with the same processes."""
        return self

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """What tells its own files apart: nothing where it is alone."""
        return "" if self.count == 1 else f"-{self.rank + 1}of{self.count}"

    def groups(self, groups: int) -> int:
        """In how many of the ``groups`` that a batch norm normalises one by one its share falls.

        Raises :class:`InputError` where the processes cannot have equally many.
        """
        if groups % self.count:
            raise InputError(f"launcher: expected a number of processes that divides bn_groups {groups}: {self.count}")
        return groups // self.count

    def runs_of(self, count: int) -> list[slice]:
        """Which of ``count`` things in order each process works at; shares need not be equal."""
        ends = [count * each // self.count for each in range(self.count + 1)]
        return [slice(*both) for both in pairwise(ends)]

    def share(self, batch: Tensor, parts: int = 1) -> Tensor:
        """Its own of the (B, …) batch: (B / count, …)."""
        if self.count == 1:
            return batch
        return torch.cat([part.chunk(self.count)[self.rank] for part in batch.chunk(parts)])

    def whole(self, share: Tensor, parts: int = 1) -> Tensor:
        """(B / count, …) of each -> (B, …); gradients flow into its own share alone."""
        if self.count == 1:
            return share
        every = [torch.empty_like(share, requires_grad=False) for _ in range(self.count)]
        with self._together():
            distributed.all_gather(every, share.detach().contiguous(), group=self.group)
        every[self.rank] = share
        return torch.cat([each.chunk(parts)[part] for part in range(parts) for each in every])

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up what each has found by its share."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        with self._together():
            distributed.all_reduce(flat, group=self.group)
        for gradient, total in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(total.view(gradient.shape))

    def fill(self, rows: Tensor, runs: Sequence[slice]) -> None:
        """Give all processes the rows, on the CPU, of which each has made those of its run."""
        if self.count == 1:
            return
        for owner, run in enumerate(runs):
            if len(rows[run]):
                with self._together():
                    distributed.broadcast(rows[run], owner, group=self.group)

    def as_first(self, figure: float) -> float:
        """The first process's, to each of them."""
        if self.count == 1:
            return figure
        told = torch.tensor(figure, dtype=torch.float64)
        with self._together():
            distributed.broadcast(told, 0, group=self.group)
        return float(told)

    def agreed(self, stop: Stop) -> Stop:
        """What all know of a signal that one of them was sent: all stop after the same iteration.

        One that comes while they ask each other counts the next time.
        """
        if self.count == 1:
            return stop
        number = self._largest([float(stop.by or 0)])[0]
        agreed = Stop()
        if number:
            agreed.ask(int(number))
            stop.ask(int(number))  # others will send it here, too
        return agreed

    def check_same(self, figure: int, what: str) -> None:
        """Raise :class:`InputError`, in all, where they do not have the same ``figure``."""
        if self.count > 1:
            largest, smallest = self._largest([figure, -figure])
            if largest != -smallest:
                raise InputError(f"launcher: {what}: expected one folder for the processes of all machines")

    def end(self) -> None:
        """Wait until all are here, the first when it has written; then part."""
        if self.count > 1:
            self._largest([0.0])
            distributed.destroy_process_group()

    def _largest(self, figures: Sequence[float]) -> list[float]:
        told = torch.tensor(figures, dtype=torch.float64)
        with self._together():
            distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self.group)
        return told.tolist()

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if self.rank < 2 and hasattr(signal, "pthread_sigmask"):
                # the launcher ends this process, too, but not before it has said why: one of the first two lives
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            said = str(error).splitlines()[0]
            raise InputError(f"launcher: another of the {self.count} processes has ended: {said}") from None


ALONE = Ranks()


def join(device: torch.device) -> Ranks:
    """Meet the processes that the launcher started with this one, if it was no process by itself.

    On CPUs they speak by gloo; on GPUs, where each has one, by NCCL, and by gloo of what lies on the CPU.
    """
    if processes() == 1:
        return ALONE
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, timeout=MEETING)
        group = distributed.new_group(backend=backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"launcher: the processes cannot meet: {str(error).splitlines()[0]}") from None
    return Ranks(rank(), processes(), group)
