"""Several processes share the work of a stage: what they make is what one makes, and none is lost with another."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import torch

from mutual.base.errors import InputError
from mutual.machine.ranks import ALONE, Ranks, join
from tests.herd import choose, draw_clustered, made, stage
from tests.ranks_run import ALL, by_processes, everything, features, found_near, launched, worst

TRAIN = ("-m", "stages.train", "--round", "r01", "--after", "r00")
LAST = ("-m", "stages.last")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A tiny project up to the first clusters, the current folder."""
    with pytest.MonkeyPatch.context() as patch, chdir(tmp_path):
        draw_clustered(patch, bn_groups="2", iterations="16", dropout="0.5")
        yield tmp_path


def test_two_processes_are_one_with_two_groups(tmp_path: Path) -> None:
    """All methods, with dropout and with the source; `make ranks` has four processes and float32, too."""
    alone, plain = everything(ALONE, 2, 6, ["float64"]), features(ALONE)
    found, ours, near, hashes = by_processes(2, tmp_path, 6, ["float64"])
    assert found.keys() == alone.keys()
    assert len(found) == ALL
    assert len(hashes) == 1  # the same weights in both processes
    for title, each in found.items():
        one = alone[title]
        assert worst(each.losses, one.losses) < 1e-10, title
        assert worst(each.weights, one.weights) < 1e-10, title
        assert worst(each.statistics, one.statistics) < 1e-10, title
    assert (ours == plain).all()
    assert (near == found_near(plain, ALONE)).all()


def done(count: int, *command: str) -> str:
    """What so many processes say that do it."""
    process = launched(count, *command, cwd=Path.cwd(), stdout=PIPE, stderr=PIPE)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert len(re.findall("(?m)^made ", said)) == 1  # they do not say all the same
    return said


def ended_by(number: signal.Signals) -> str:
    """What is said on stderr where the second of two processes is sent a signal once there is a checkpoint."""
    training = launched(2, *TRAIN, cwd=Path.cwd(), stdout=PIPE, stderr=PIPE)
    kept = Path(".resume/train-r01.safetensors")
    was = kept.stat().st_mtime_ns if kept.exists() else 0
    while not kept.exists() or kept.stat().st_mtime_ns == was:
        assert training.poll() is None, training.communicate()
        time.sleep(0.02)
    os.kill(rank_of(training.pid, 1), number)
    _, errors = training.communicate(timeout=60)
    assert training.returncode != 0
    assert not Path("models/r01").exists()
    return errors


def rank_of(parent: int, rank: int) -> int:
    """The process of this rank that torchrun started."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                above = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if above == parent and f"\0RANK={rank}\0".encode() in (place / "environ").read_bytes():
                    return int(place.name)
            except OSError:
                continue
    raise AssertionError("no such process")


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds a process by its environment")
def test_stages_share_their_work_and_lose_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that a process was killed in, or sent a signal, ends in a line and goes on.

    With as many processes to the same bytes, with another number to the same but for rounding.
    """
    stage(monkeypatch, "train --round r01 --start r00")
    alone = np.genfromtxt("metrics/losses/r01.csv", delimiter=",", skip_header=1)
    assert "goes on" not in done(2, *TRAIN)
    whole = made("models/r01", "metrics/losses/r01.csv")
    shared = np.genfromtxt("metrics/losses/r01.csv", delimiter=",", skip_header=1)
    np.testing.assert_allclose(shared[:3], alone[:3], rtol=1e-3)
    shutil.rmtree("models/r01")

    choose(checkpoint_seconds=1e-9)
    errors = ended_by(signal.SIGKILL)
    assert "another of the 2 processes has ended" in errors or "train-r01: stopped by SIGTERM after iteration" in errors
    errors = ended_by(signal.SIGTERM)
    assert "train-r01: stopped by SIGTERM after iteration" in errors
    assert "the same command goes on from there (.resume/train-r01.safetensors)" in errors
    shutil.copytree(".resume", "kept")
    assert "r01: goes on from iteration " in done(2, *TRAIN)
    assert made("models/r01", "metrics/losses/r01.csv") == whole
    assert not list(Path(".resume").iterdir())

    shutil.rmtree("models/r01")
    shutil.copytree("kept", ".resume", dirs_exist_ok=True)
    told = re.search(r"r01: goes on from iteration (\d+) of 16\n", done(1, *TRAIN))
    assert told
    until = int(told[1]) + 1  # differences grow from there on
    again = np.genfromtxt("metrics/losses/r01.csv", delimiter=",", skip_header=1)
    np.testing.assert_array_equal(again[: until - 1], shared[: until - 1])
    np.testing.assert_allclose(again[:until], shared[:until], rtol=1e-3)
    assert again.shape == shared.shape


def test_what_follows_the_last_round_has_the_same_bytes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DBSCAN's search is shared; k-means is the first process's."""
    stage(monkeypatch, "train --round r01 --start r00")
    choose(dbscan_eps=0.6, dbscan_min_samples=2, k1=6, k2=2)
    for clustering in ("kmeans", "dbscan"):
        choose(clustering=clustering)
        done(1, *LAST)
        alone = made("data/retrieval/last", "adapted/peers")
        done(2, *LAST)
        assert made("data/retrieval/last", "adapted/peers") == alone


def test_a_number_of_processes_that_does_not_fit_is_refused() -> None:
    assert Ranks(0, 2).groups(4) == 2
    with pytest.raises(InputError, match=r"^launcher: expected a number of processes that divides bn_groups 4: 3$"):
        Ranks(0, 3).groups(4)


def test_a_process_by_itself_has_all() -> None:
    assert join(torch.device("cpu")) is ALONE
    batch = torch.arange(6.0)
    assert ALONE.share(batch) is batch
    assert ALONE.whole(batch) is batch
    assert ALONE.runs_of(5) == [slice(0, 5)]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("parts", [1, 2])
def test_shares_are_equal_runs_of_each_part(count: int, parts: int) -> None:
    batch = torch.arange(12)
    shares = [Ranks(rank, count).share(batch, parts) for rank in range(count)]
    assert [len(share) for share in shares] == [12 // count] * count
    halves = batch.chunk(parts)
    for rank, share in enumerate(shares):
        expected = [half[rank * len(half) // count : (rank + 1) * len(half) // count] for half in halves]
        assert share.tolist() == torch.cat(expected).tolist()


@pytest.mark.parametrize("things", [0, 1, 5, 6, 7])
def test_runs_cover_all_in_order(things: int) -> None:
    runs = Ranks(0, 3).runs_of(things)
    assert [i for run in runs for i in range(things)[run]] == list(range(things))
    sizes = [run.stop - run.start for run in runs]
    assert max(sizes) - min(sizes) <= 1
