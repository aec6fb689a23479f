"""How a stage ends when something is wrong."""

import errno

import pytest
import torch

from mutual.base.errors import InputError, run


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


def test_a_machine_without_enough_memory_is_one_line() -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: raising(MemoryError()))
    assert ended.value.code == "error: this machine's memory is not enough"


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
