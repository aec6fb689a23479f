"""What is stopped goes on where it stood, and ends with the bytes of what was not."""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch

from mutual.base.errors import Stopped
from mutual.base.stopping import stop_asked
from mutual.evaluation import features
from mutual.images.index import read_index
from mutual.learning import adaptation, pretraining
from mutual.machine import checkpoints
from mutual.machine.checkpoints import Checkpoint, fill_optimizer, of_optimizer, place_of
from mutual.machine.device import CPU
from mutual.machine.making import made_of
from tests.herd import SMALL, choose, draw_clustered, made, stage

TRAIN = "train --round r01 --start r00"
METHODS = ["mmt", "self", "dmt"]  # with nothing, a state of its own, and what it makes of the images as it begins
ITERATIONS = 6


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project up to the first clusters; rounds of six iterations, three epochs of four of pre-training."""
    folder = tmp_path_factory.mktemp("herd")
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        draw_clustered(patch, backbone=SMALL, iterations=str(ITERATIONS), dropout="0.5")
    return folder


@pytest.fixture
def project(herd: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, the current folder."""
    shutil.copytree(herd, tmp_path / "project")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
    with chdir(tmp_path / "project"):
        yield tmp_path / "project"
    signal.signal(signal.SIGINT, before)


def stopping(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: int, by: signal.Signals) -> None:
    """From now on, a signal comes during this call of a function."""
    real, count = getattr(module, name), 0

    def counting(*parts: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            os.kill(os.getpid(), by)
        return real(*parts)

    monkeypatch.setattr(module, name, counting)


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, until: int | None = None) -> list[int]:
    """Grows with every call of a function from now on, of which there are so many; then all ends as by a kill."""
    real = getattr(module, name)
    calls: list[int] = []

    def counting(*parts: Any) -> Any:
        if len(calls) == until:
            raise SystemError
        calls.append(len(calls))
        return real(*parts)

    monkeypatch.setattr(module, name, counting)
    return calls


def stopped(monkeypatch: pytest.MonkeyPatch, line: str) -> Stopped:
    with pytest.raises(Stopped) as found:
        stage(monkeypatch, line)
    return found.value


# --- stages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_round_goes_on_with_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    """Stopped in two places; SELF's state is in the middle of a pass there."""
    choose(method=method, alpha=0.9, **({"rounds": 2} if method == "dmt" else {}))
    stage(monkeypatch, TRAIN)
    whole = made("models/r01", "metrics/losses/r01.csv")
    assert not list(Path(".resume").glob("*"))
    shutil.rmtree("models/r01")
    Path("metrics/losses/r01.csv").unlink()
    for calls, done, by in ((2, 2, signal.SIGTERM), (3, 5, signal.SIGINT)):
        with monkeypatch.context() as patch:
            stopping(patch, adaptation, "step", calls, by)
            told = stopped(patch, TRAIN)
        assert str(told) == (
            f"train-r01: stopped by {by.name} after iteration {done}: the same command goes on from there "
            "(.resume/train-r01.safetensors)"
        )
        assert told.code == 128 + by
        assert not Path("models/r01").exists()
    capsys.readouterr()
    stage(monkeypatch, TRAIN)
    assert "r01: goes on from iteration 5 of 6\n" in capsys.readouterr().out
    assert made("models/r01", "metrics/losses/r01.csv") == whole
    assert not list(Path(".resume").glob("*"))


@pytest.mark.parametrize("calls", [1, 4, 7, 11])
def test_pretraining_goes_on_with_the_same_bytes(project: Path, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """In the middle of an epoch, at the end of one that was not tested, and after one that was."""
    outputs = ("models/r00/peer1.safetensors", "metrics/pretrain/peer1.csv")
    whole = made(*outputs)
    for path in outputs:
        Path(path).unlink()
    with monkeypatch.context() as patch:
        stopping(patch, pretraining, "train_step", calls, signal.SIGTERM)
        assert f"after iteration {calls}:" in str(stopped(patch, "pretrain --seed 1"))
    with monkeypatch.context() as patch:
        steps = counted(patch, pretraining, "train_step")
        stage(patch, "pretrain --seed 1")
    assert len(steps) == 12 - calls
    assert made(*outputs) == whole
    assert not list(Path(".resume").glob("*"))


def test_a_killed_round_goes_on_from_the_last_checkpoint(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill leaves is what was written before it."""
    stage(monkeypatch, TRAIN)
    whole = made("models/r01", "metrics/losses/r01.csv")
    choose(checkpoint_seconds=1e-9)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    with monkeypatch.context() as patch:
        before = counted(patch, adaptation, "step", until=4)
        with pytest.raises(SystemError):
            stage(patch, TRAIN)
    with monkeypatch.context() as patch:
        after = counted(patch, adaptation, "step")
        stage(patch, TRAIN)
    assert (len(before), len(after)) == (4, ITERATIONS - 4)
    assert made("models/r01", "metrics/losses/r01.csv") == whole


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("extract --round r01 --start r00", ["data/rounds/r01"]),
        ("evaluate --round r00", ["data/retrieval/r00", "metrics/rounds/r00.json"]),
        ("last", ["data/retrieval/last", "adapted"]),
    ],
)
def test_features_go_on_with_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, line: str, places: list[str]
) -> None:
    if line == "last":
        stage(monkeypatch, TRAIN)
    if line.startswith("evaluate"):  # some of the herd's images, by people that they show
        index = read_index(Path("data/packed/target/train.csv"))
        rows = [f"{file},{i % 4},{i % 2 + i // 4}" for i, file in enumerate(index.file[:16])]
        Path("known.csv").write_text("\n".join(["file,pid,camid", *rows]), encoding="utf-8")
        choose(test_labels="known.csv")
    choose(checkpoint_seconds=1e-9)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    monkeypatch.setattr(features, "BATCH", {"cpu": 4})  # several of each set
    with monkeypatch.context() as patch:
        every = counted(patch, features, "normalise")
        stage(patch, line)
    whole = made(*places)
    assert len(every) > 8
    assert not list(Path(".resume").iterdir())
    done = 0
    for calls in (2, len(every) - 3):  # within the first peer's first set, and after it
        with monkeypatch.context() as patch:
            stopping(patch, features, "normalise", calls, signal.SIGTERM)
            end = stopped(patch, line)
        done += calls
        assert re.search(r"stopped by SIGTERM after \d+ of \d+ images: the same command goes on from there", str(end))
        assert made(*places) == whole  # as they were: nothing is half written
        assert list(Path(".resume").iterdir())
    with monkeypatch.context() as patch:
        rest = counted(patch, features, "normalise")
        stage(patch, line)
    assert len(rest) == len(every) - done
    assert made(*places) == whole
    assert not list(Path(".resume").iterdir())


@pytest.mark.parametrize("change", ["parameters", "inputs", "code", "damage"])
def test_what_does_not_match_is_thrown_away_in_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, adaptation, "step", 2, signal.SIGTERM)
        stopped(patch, TRAIN)
    path = Path(".resume/train-r01.safetensors")
    match change:
        case "parameters":
            choose(lr="3.6e-4")
        case "inputs":
            Path("data/packed/target/train.npy").chmod(0o644)
            with Path("data/packed/target/train.npy").open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"\x07")
        case "code":
            monkeypatch.delitem(sys.modules, "stages.cluster")  # as if there were less
        case "damage":
            path.write_bytes(path.read_bytes()[:-100])
    capsys.readouterr()
    stage(monkeypatch, TRAIN)
    reason = "it is damaged" if change == "damage" else "its parameters, inputs or code were others"
    assert f"{path}: not gone on from: {reason}\n" in capsys.readouterr().out
    assert not path.exists()


def test_without_checkpoints_a_stop_keeps_nothing_and_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(checkpoint_seconds=0)
    stopping(monkeypatch, adaptation, "step", 2, signal.SIGTERM)
    assert str(stopped(monkeypatch, TRAIN)) == "train-r01: stopped by SIGTERM after iteration 2: nothing is kept"
    assert not Path(".resume").exists()


def test_a_full_disk_ends_no_training(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(checkpoint_seconds=1e-9)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_bytes", full)
    stage(monkeypatch, TRAIN)
    assert ".resume/train-r01.safetensors: no checkpoint: " in capsys.readouterr().err
    assert Path("models/r01/peer1.safetensors").exists()
    assert not list(Path(".resume").glob("*"))


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_asked() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.by is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.by == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGTERM)  # the same, said by somebody else
            now = time.monotonic()
            monkeypatch.setattr(time, "monotonic", lambda: now + 5)
            with pytest.raises(KeyboardInterrupt):  # asked twice
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# --- parts -----------------------------------------------------------------------------------------------------------


def test_an_optimizers_state_lies_in_memory_as_its_parameters_do() -> None:
    """A fused step goes through a parameter and its moments side by side, whatever their strides."""
    conv = torch.nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    optimizers = [torch.optim.Adam(conv.parameters(), 0.1, fused=True) for _ in range(2)]
    conv(torch.randn(2, 4, 5, 5)).square().sum().backward()
    optimizers[0].step()
    stored = {
        key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in of_optimizer(optimizers[0]).items()
    }
    fill_optimizer(optimizers[1], stored)
    for parameter in conv.parameters():
        one, other = (optimizer.state[parameter] for optimizer in optimizers)
        assert one.keys() == other.keys()
        for key, tensor in one.items():
            assert torch.equal(tensor, other[key])
            assert tensor.stride() == other[key].stride()


def test_time_spent_on_checkpoints_is_a_fiftieth_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = [0.0]
    monkeypatch.setattr(checkpoints, "monotonic", lambda: now[0])

    def slow(*_: Any, **__: Any) -> None:
        now[0] += 10

    monkeypatch.setattr(checkpoints, "write_bytes", slow)
    checkpoint = Checkpoint("one", "made of", 60, CPU)
    assert not checkpoint.due
    now[0] = 60.0
    assert checkpoint.due
    checkpoint.keep({}, {})
    now[0] = 70 + 499.0
    assert not checkpoint.due
    now[0] = 70 + 500.0
    assert checkpoint.due


def test_an_experiments_checkpoint_outlives_its_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "project/.dvc/tmp/exps/tmpabc"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    path = place_of("train-r01", "0123456789abcdef0123")
    assert path == tmp_path / "project/.resume/experiments/train-r01-0123456789abcdef.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    (path.parent / "other").mkdir()
    for name in ("train-r02-0.safetensors", ".train-r03-0.safetensors.7.tmp", "other"):  # .tmp: cut off by a kill
        (path.parent / name).touch()
        os.utime(path.parent / name, (0, 0))
    assert place_of("train-r01", "0123456789abcdef0123") == path
    assert sorted(left.name for left in path.parent.iterdir()) == ["other", path.name]


def test_what_a_kill_leaves_of_one_goes_when_the_stage_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the work may be too short for another checkpoint."""
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint("one", "made of", 60, CPU)
    assert checkpoint.keep({"a": torch.ones(9)}, {})
    (tmp_path / f".resume/.one.safetensors.{2**22 + 1}.tmp").touch()
    assert len(list(Path(".resume").iterdir())) == 2
    checkpoint.done()
    assert not list(Path(".resume").iterdir())


def test_what_it_is_made_of_is_values_inputs_and_names(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/one").write_text("1", encoding="utf-8")

    def found(**values: Any) -> str:
        return made_of(values, [tmp_path / "folder"])

    before = found(a=1, b=2)
    assert found(b=2, a=1) == before
    assert found(a=1, b=3) != before
    (tmp_path / "folder/one").rename(tmp_path / "folder/two")
    assert found(a=1, b=2) != before
    (tmp_path / "folder/two").rename(tmp_path / "folder/one")
    assert found(a=1, b=2) == before
    (tmp_path / "folder/one").write_text("2", encoding="utf-8")
    assert found(a=1, b=2) != before
