"""Where long work stands, kept now and then outside of what the stage makes: a kill costs the time since then.

DVC deletes a stage's outputs before it runs, so that a checkpoint is none of them: it lies below ``.resume/``, and goes
when the stage is done. A stage goes on from it only where its parameters, inputs and code are the same; as each
iteration is a function of these alone, the result then has the same bytes as without the interruption.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from mutual.base.errors import Stopped
from mutual.base.launched import processes
from mutual.base.stopping import Stop
from mutual.base.store import ask_room, sweep, write_bytes
from mutual.base.threads import threads
from mutual.machine.gpus import in_queue

PLACE = Path(".resume")
ABANDONED = 14 * 24 * 3600  # seconds after which nobody comes back to a checkpoint
WORTH = 5  # seconds of work that are sooner done again than kept
SHARE = 50  # times as long as it takes to write one is waited for the next: at most 2 % of the time
MADE_OF, MACHINE, NOTE = "made_of", "machine", "note"


class Found(NamedTuple):
    """Where the work stands."""

    tensors: dict[str, Tensor]
    note: dict[str, Any]  # what can be written as JSON


class Checkpoint:
    """The one of a stage, by the stage's ``name``; a new one takes the place of the old one.

    ``made_of``: see :mod:`mutual.machine.making`. ``seconds`` go by between two of them at least; with 0 none is
    written, nor is one read. Of processes that share one work all read it, and one ``writes``.
    """

    def __init__(self, name: str, made_of: str, seconds: float, device: torch.device, writes: bool = True) -> None:
        self.name, self.made_of, self.seconds, self.writes = name, made_of, seconds, writes
        shared = f", {processes()} processes" if processes() > 1 else ""
        self.machine = f"{machine_of(device)}, torch {torch.__version__}, {threads()} threads{shared}"
        self.path = place_of(name, made_of)
        self.began = monotonic()
        self.next = self.began + seconds

    def found(self) -> Found | None:
        """What an earlier run left, where this one can go on from it; what else it left is thrown away, in a line."""
        if not self.seconds or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                told = json.loads(file.metadata()[NOTE])
                same, machine = told[MADE_OF] == self.made_of, told[MACHINE]
                tensors = {key: file.get_tensor(key) for key in list(file.keys())} if same else {}
        except FileNotFoundError:  # another process of those that share the work has just thrown it away
            return None
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
            self.thrown_away("it is damaged")
            return None
        if not same:
            self.thrown_away("its parameters, inputs or code were others")
            return None
        if machine != self.machine:
            print(f"{self.path}: made by {machine}, here {self.machine}: the bytes are those of neither alone")
        return Found(tensors, told[NOTE])

    def thrown_away(self, reason: str) -> None:
        """Say so, and delete it."""
        print(f"{self.path}: not gone on from: {reason}")
        self.done()

    @property
    def due(self) -> bool:
        """Whether it is time to :meth:`keep`."""
        return self.writes and self.seconds > 0 and monotonic() >= self.next

    def keep(self, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> bool:
        """Write where the work stands; False, and a line, where that is not possible: it goes on all the same."""
        started = monotonic()
        ours = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        told = json.dumps({MADE_OF: self.made_of, MACHINE: self.machine, NOTE: note})
        kept = True
        try:
            ask_room(self.path, sum(tensor.nbytes for tensor in ours.values()))
            write_bytes(self.path, save(ours, metadata={NOTE: told}))
        except Exception as error:
            print(f"{self.path}: no checkpoint: {error}", file=sys.stderr)
            kept = False
        ended = monotonic()
        self.next = ended + max(self.seconds, SHARE * (ended - started))
        return kept

    def keep_whole(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep work that is done, of a stage that has more of it to do."""
        if self.seconds > 0 and monotonic() - self.began >= min(self.seconds, WORTH):
            self.keep(tensors, {})

    def between(
        self,
        stop: Stop,
        tensors: Callable[[], Mapping[str, Tensor]],
        note: Callable[[], Mapping[str, Any]],
        done: str,
    ) -> None:
        """Between two iterations: :meth:`keep` where it is time.

        Where a signal asked to stop, raise :class:`mutual.base.errors.Stopped`; ``done`` is what is done by now.
        """
        last = stop.by is not None and self.writes and self.seconds > 0
        kept = (self.due or last) and self.keep(tensors(), note())
        if stop.by is not None:
            there = "there" if kept else "an earlier point"
            lies = self.seconds > 0 and self.path.exists()
            onwards = f"the same command goes on from {there} ({self.path})" if lies else "nothing is kept"
            raise Stopped(f"{self.name}: stopped by {stop.by.name} after {done}: {onwards}", stop.by)

    def done(self) -> None:
        """Delete it: the stage has made what it makes, or cannot go on from it."""
        if self.writes:
            self.path.unlink(missing_ok=True)
            sweep(self.path)


class Checkpoints:
    """Those of a stage that does one work after the other: a :class:`Checkpoint` each."""

    def __init__(self, stage: str, made_of: str, seconds: float, device: torch.device) -> None:
        self.stage, self.made_of, self.seconds, self.device = stage, made_of, seconds, device
        self.every: list[Checkpoint] = []

    def of(self, work: str) -> Checkpoint:
        """The one of a work, which is begun now."""
        self.every.append(Checkpoint(f"{self.stage}-{work}", self.made_of, self.seconds, self.device))
        return self.every[-1]

    def done(self) -> None:
        """Delete them all: the stage has made what it makes."""
        for checkpoint in self.every:
            checkpoint.done()


def place_of(name: str, made_of: str) -> Path:
    """Where a stage's checkpoint lies.

    An experiment of DVC's queue has a workspace of its own, which goes when it fails: what it leaves lies in the
    project itself, by what it is made of, since several may run side by side. Nobody says when work is given up, nor
    when DVC's run cache has what would have been made: other checkpoints that are older than two weeks are deleted.
    """
    here = Path.cwd().parts
    queued = in_queue(Path.cwd())
    folder = Path(*here[: here.index(".dvc")]) / PLACE / "experiments" if queued else PLACE
    ours = folder / (f"{name}-{made_of[:16]}.safetensors" if queued else f"{name}.safetensors")
    for old in folder.glob("*"):  # and what is left of one, where a kill came while it was written
        with suppress(FileNotFoundError):  # another run swept it
            if old.is_file() and old != ours and time() - old.stat().st_mtime > ABANDONED:
                old.unlink()
                print(f"{old}: deleted: nobody came back to it for two weeks")
    return ours


def machine_of(device: torch.device) -> str:
    """What rounds its own way."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU with {torch.backends.cpu.get_cpu_capability()}"


def of_networks(role: str, networks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """All tensors of these networks, by names that tell them apart."""
    return {
        f"{role}.{i}.{key}": tensor
        for i, network in enumerate(networks)
        for key, tensor in network.state_dict().items()
    }


def fill_networks(role: str, networks: Sequence[nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Give the networks what :func:`of_networks` took."""
    for i, network in enumerate(networks):
        network.load_state_dict(below(f"{role}.{i}.", tensors))


def of_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """What it keeps of each parameter, which is none before the first step."""
    return {
        f"optimizer.{i}.{key}": tensor
        for i, parameter in enumerate(parameters_of(optimizer))
        for key, tensor in optimizer.state.get(parameter, {}).items()
    }


def fill_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give it what :func:`of_optimizer` took."""
    for i, parameter in enumerate(parameters_of(optimizer)):
        state = {}
        for key, tensor in below(f"optimizer.{i}.", tensors).items():
            # in memory as the parameter lies there, channels last: fused steps go through both side by side
            like = torch.empty_like(parameter) if tensor.shape == parameter.shape else torch.empty_like(tensor)
            state[key] = like.to(device=parameter.device, dtype=tensor.dtype).copy_(tensor)
        if state:
            optimizer.state[parameter] = state


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """All, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, by what follows."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
