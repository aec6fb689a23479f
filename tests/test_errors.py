"""How a stage ends when something is wrong."""

import errno
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mutual.base.errors import InputError, one_line, run, shown

ROOT = Path(__file__).parents[1]


def raising(error: BaseException) -> None:
    raise error


def test_a_users_mistake_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(InputError("alpha: expected less than 1, got 2")))
    assert (
        ended.value.code == "error: alpha: expected less than 1, got 2"
    )  # printed by the interpreter, which exits with 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line(number: int) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(OSError(number, "no room", "models/r01/peer1.safetensors")))
    assert ended.value.code == "error: models/r01/peer1.safetensors: cannot be written: no room"


def test_a_forbidden_file_is_one_line() -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(PermissionError(errno.EACCES, "denied", "params.yaml")))
    assert ended.value.code == "error: params.yaml: denied"


def test_a_gpu_without_enough_memory_is_one_line() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the manual")
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(error))
    reason = "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert ended.value.code == f"error: batch_size: the GPU's memory is not enough: {reason}"


def test_an_operation_that_a_gpu_does_in_another_order_each_time_is_one_line() -> None:
    error = RuntimeError("pool_backward_cuda does not have a deterministic implementation, but you set it.\nYou can")
    expected = "on a GPU pool_backward_cuda is not deterministic: expected another backbone, or a CPU"
    assert told(error) == f"error: backbone: {expected}"


def test_a_machine_without_enough_memory_is_one_line() -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(MemoryError()))
    assert ended.value.code == "error: this machine's memory is not enough"


def told(error: BaseException) -> str:
    """What the user reads."""
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(error))
    assert isinstance(ended.value.code, str)
    return ended.value.code


@pytest.mark.parametrize("error", [InputError, lambda text: OSError(errno.EIO, text, text)])
@pytest.mark.parametrize("text", ["x" * 10**6, "two\nlines\r\n" * 50, "\u202e\x1b[2J\x00\ud800" * 99, "\t " * 5000])
def test_a_message_is_one_short_line_that_a_terminal_shows(error: Callable[[str], Exception], text: str) -> None:
    line = told(error(f"params.yaml: {text}: expected less"))
    assert line.startswith("error: params.yaml: ")
    assert line.endswith("expected less")
    assert len(line) <= 200
    assert line.isprintable()


def test_of_a_long_line_the_middle_is_left_out() -> None:
    assert one_line("a" * 30, 30) == "a" * 30
    assert one_line("a" * 20 + "b" * 20 + "c" * 20, 30) == "a" * 17 + "..." + "c" * 10


def deep() -> object:
    found: object = 1
    for _ in range(100_000):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        ("five", "'five'"),
        ([1, "two"], "[1, 'two']"),
        ({"a": None}, "{'a': None}"),
        (["x" * 500] * 500, "['xxxx"),
        ("x" * 10**6, "'xxx"),
        (10**5000, "<int"),
        (deep(), "[[[[...]]]]"),
        ("a\nb", "'a\\nb'"),
        ("\ud800", "'\\ud800'"),
    ],
    ids=range(10),
)
def test_a_value_is_shown_in_few_characters(value: object, text: str) -> None:
    assert shown(value).startswith(text)
    assert len(shown(value)) <= 60
    assert shown(value).isprintable()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug"), KeyError("a bug")])
def test_anything_else_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        run(lambda: raising(error))


def test_an_interrupt_exits_as_a_shell_expects() -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(KeyboardInterrupt()))
    assert ended.value.code == 130


def test_success_does_not_exit() -> None:
    done = []
    run(lambda: done.append(1))
    assert done == [1]


def test_a_reader_that_has_read_enough_ends_it_without_a_word() -> None:
    code = "from mutual.base.errors import run\nrun(lambda: [print(i) for i in range(100_000)] and None)"
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | head -2"
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "0\n1\n"
    assert done.stderr == ""
