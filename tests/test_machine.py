"""Threads are one number, compiled code finds a place, and no result depends on what lay in memory before."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mutual.base import threads
from mutual.base.errors import InputError
from mutual.machine import processes
from mutual.machine.device import wide_enough_for_bfloat16
from mutual.machine.processes import cpus, in_order
from mutual.networks.reid import ReidNetwork
from tests.tasks import end_at_once, numbers

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = threads.NUMBERS
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def python(program: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own; None takes a variable away."""
    wanted = {**os.environ, **dict.fromkeys((*NUMBERS, *WAITING)), "PYTHONPATH": str(ROOT), **environment}
    env = {name: value for name, value in wanted.items() if value is not None}
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)


COUNTS = """
import stages  # as python -m stages.<name> does first
import json, os
import numba, numpy as np, torch
from mutual.clusters.encodings import encodings
from mutual.clusters.jaccard import jaccard_rows
from mutual.clusters.neighbours import nearest
from mutual.clusters.pairs import all_pairs, pairs_within
from mutual.clusters.sharing import pairs_that_share
from mutual.evaluation.ranking import rank_distances
from mutual.images.views import training_views
from mutual.machine.device import deterministic_device
from mutual.base.threads import threads
try:
    import faiss
except ImportError:
    faiss = None
counts = {}
def count(kind):
    counts[kind] = [torch.get_num_threads(), numba.get_num_threads()] + ([faiss.omp_get_max_threads()] if faiss else [])
device, rng = deterministic_device(), np.random.default_rng(0)
count("at first")
training_views(rng.integers(0, 256, (4, 8, 4, 3), dtype=np.uint8), rng, padding=1)
count("views")
rank_distances(rng.random((4, 6)), np.arange(4), np.arange(6), np.zeros(4, int), np.ones(6, int))
count("ranking")
features = torch.nn.functional.normalize(torch.randn(40, 8)).numpy()
encoded = encodings(features, nearest(features, 8, device), 6, 2)
count("encodings")
blocks = list(jaccard_rows(encoded, 40))
list(pairs_that_share(encoded))[0](0.5)
count("Jaccard distances")
pairs_within(all_pairs(blocks), 0.5)
count("pairs")
products = torch.randn(300, 300, requires_grad=True)
(products @ products).sum().backward()
count("products")
print(json.dumps([threads(), counts, os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]]))
"""


@pytest.mark.parametrize("wanted", ["2", None, *(pytest.param(each, marks=pytest.mark.long) for each in "13")])
def test_every_library_has_the_one_number_of_threads_whatever_has_run(wanted: str | None) -> None:
    done = python(COUNTS, OMP_NUM_THREADS=wanted)
    assert done.returncode == 0, done.stderr
    line, result = done.stdout.splitlines()
    number, counts, *waiting = json.loads(result)
    assert number == (threads.processors() if wanted is None else int(wanted))
    assert len(counts) == 7
    assert {count for each in counts.values() for count in each} == {number}
    assert waiting == ["passive", "30000"]
    assert line.endswith(f", {number} thread(s)")


def test_an_entry_point_seldom_looks_for_garbage_and_not_at_all_as_it_ends() -> None:
    show = "import atexit, gc; atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count() > 1000))"
    assert python(f"{show}; import stages").stdout == "50000 True\n"


def test_a_process_that_loaded_torchvision_ends_without_a_word() -> None:
    """Triton, which comes along, would tell of each of its types that nobody took away."""
    assert python("import stages, torchvision").stderr == ""


def test_a_librarys_own_variable_does_not_divide_them() -> None:
    show = "import stages, numba, torch; print(torch.get_num_threads(), numba.get_num_threads())"
    assert python(show, OMP_NUM_THREADS="2", **dict.fromkeys(NUMBERS[1:], "1")).stdout == "2 2\n"


def test_the_users_own_policy_of_waiting_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads.settle()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    threads.settle()
    assert [os.environ[name] for name in WAITING] == ["passive", "7"]


@pytest.mark.parametrize(("given", "number"), [("1", 1), (" 7 ", 7), ("4,2", 4), ("1024", 1024)])
def test_the_number_is_the_users(given: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads.threads() == number
    assert cpus() == min(number, 61)


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "1025", "²", "9" * 5000])
def test_what_is_no_number_of_threads_is_one_line(given: str) -> None:
    done = python("import stages.report", OMP_NUM_THREADS=given)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: OMP_NUM_THREADS: expected a whole number from 1 to 1024, got ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 200


@pytest.mark.parametrize(("content", "most"), [("max 100000\n", None), ("50000 100000\n", 1), ("150000 100000", 2)])
def test_a_containers_share_of_the_processors_counts(content: str, most: int | None, tmp_path: Path) -> None:
    (quota := tmp_path / "cpu.max").write_text(content)
    everything = threads.processors(tmp_path / "none")
    assert everything == (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    assert threads.processors(quota) == min(everything, most or everything)


def test_a_worker_has_one_thread_and_this_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = numbers(0)
    assert list(in_order(numbers, [0, 1], 2, "tasks")) == [["1"] * len(NUMBERS)] * 2
    assert numbers(0) == before


@pytest.mark.parametrize(
    ("step", "number"), [("context.BaseContext.Event", errno.ENOSPC), ("process.BaseProcess.start", errno.EAGAIN)]
)
def test_a_worker_that_cannot_start_is_not_out_of_memory(
    step: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks are files in shared memory; processes are counted by the system."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"multiprocessing.{step}", refuse)
    with pytest.raises(InputError, match=r"^photographs: a process for it cannot start: ") as caught:
        list(in_order(numbers, [1, 2], 2, "photographs"))
    assert os.strerror(number) in str(caught.value)
    assert ("/dev/shm" in str(caught.value)) == (number == errno.ENOSPC)
    assert str(caught.value).endswith("OMP_NUM_THREADS=1 does without")


def test_a_worker_that_ends_before_its_task_is_not_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_start", end_at_once)
    with pytest.raises(InputError, match=r"^photographs: a process for it cannot start: it ended before"):
        list(in_order(numbers, [1, 2], 2, "photographs"))


# --- compiled code -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "home"), [(True, True), (True, False), (False, True), (False, False)])
def test_compiled_code_is_kept_where_there_is_a_place(
    code: bool, home: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a folder can be written is made up here: some users can write everywhere."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: home if tmp_path in (path, *path.parents) else code)
    for name in (*NUMBERS, *WAITING):
        monkeypatch.setenv(name, os.environ.get(name, "1"))  # put back afterwards
    threads.settle()
    if code or home:
        assert "NUMBA_CACHE_DIR" not in os.environ
    else:
        folder = Path(os.environ["NUMBA_CACHE_DIR"])
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        monkeypatch.delenv("NUMBA_CACHE_DIR")
        threads.settle()
        assert Path(os.environ["NUMBA_CACHE_DIR"]) == folder  # what one process compiled serves the next
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users are numbers on POSIX systems only")
def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken = threads._private_folder()
    taken.chmod(0o777)
    assert threads._private_folder() != taken
    taken.rmdir()
    taken.symlink_to(tmp_path, target_is_directory=True)
    assert not threads._private_folder().is_symlink()
    assert threads._private_folder().parent == tmp_path


# --- arithmetic ----------------------------------------------------------------------------------------------------

BLOCKS = [*(1 << k for k in range(4, 18) for _ in range(5)), 1 << 18, 1 << 20]


def poison(value: float) -> None:
    """Fill memory of many sizes and free it: it is the next that is handed out."""
    held = [torch.full((size,), value) for size in BLOCKS]
    held.clear()


def step(precision: str, width: int, value: float) -> Mapping[str, Tensor]:
    """Pooled features and gradients of a network, with freed memory full of ``value`` before each convolution."""
    torch.manual_seed(0)
    network = ReidNetwork("resnet18", 4, precision=precision).train().to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda *_: poison(value))
            module.register_full_backward_pre_hook(lambda *_: poison(value))
    pooled, _ = network(torch.randn(16, 3, 2 * width, width).contiguous(memory_format=torch.channels_last))
    pooled.square().mean().backward()
    found = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
    return {"pooled": pooled.detach(), **found}


@pytest.mark.filterwarnings("ignore:precision")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("width", [4, 8, 16, 24, 32])
def test_no_result_depends_on_what_lay_in_freed_memory(precision: str, width: int) -> None:
    """Bfloat16 failed at 16 columns with AMX, at 4 and 8 with AVX-512."""
    first, second = step(precision, width, float("nan")), step(precision, width, 1e38)
    assert len(first) > 60
    for name, value in first.items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value, second[name]), name


def test_narrow_images_are_computed_in_float32_and_that_is_said() -> None:
    images = torch.randn(2, 3, 32, 16)
    torch.manual_seed(0)
    half = ReidNetwork("resnet18", 4, precision="bf16").eval()
    torch.manual_seed(0)
    whole = ReidNetwork("resnet18", 4, precision="fp32").eval()
    with torch.no_grad():
        with pytest.warns(UserWarning, match="^precision: images of 16 columns are computed in fp32"):
            assert torch.equal(half.pool(images), whole.pool(images))
        wide = torch.randn(2, 3, 32, 32)
        assert not torch.equal(half.pool(wide), whole.pool(wide))
    assert wide_enough_for_bfloat16(torch.empty(1, 3, 8, 8, device="meta"))  # no CPU
