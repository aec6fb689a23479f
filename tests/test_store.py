"""Outputs are there whole or not at all."""

import contextlib
import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from mutual.base.errors import InputError
from mutual.base.store import (
    ask_room,
    existing,
    folder_beside,
    read_array,
    read_json,
    read_text,
    write_array,
    write_json,
    write_text,
    written_beside,
)

TOP = Path(__file__).parent.parent


def test_text_is_written_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "Zürich\nBern\n")
    assert path.read_bytes() == "Zürich\nBern\n".encode()
    assert [found.name for found in path.parent.iterdir()] == ["a.txt"]


def test_json_keeps_its_order_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = {"b": 1, "a": [0.25, None, "x"], "c": {"z": 0, "y": 1}}
    write_json(path, content)
    assert read_json(path) == content
    assert path.read_text().startswith('{\n  "b": 1,\n  "a": [')
    assert path.read_text().endswith("}\n")


def test_an_array_comes_back_to_the_bit_and_read_only(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    array = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    write_array(path, array)
    found = read_array(path)
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_array(tmp_path / f"{name}.npy", np.arange(6).reshape(2, 3))
        write_json(tmp_path / f"{name}.json", {"x": 1.5})
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with written_beside(path) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_half()
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_before_anything_is_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written_beside(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_new_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with written_beside(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename within one folder cannot be half done
    assert path.read_text() == "new"


def test_objects_cannot_be_written_as_arrays(tmp_path: Path) -> None:
    # they would be pickled
    with pytest.raises(ValueError, match="Object arrays"):
        write_array(tmp_path / "a.npy", np.array([{}, None], object))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing.npy", "missing.json"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for read in (existing, read_array if name.endswith("npy") else read_json):
        with pytest.raises(InputError) as refused:
            read(path)
        assert str(refused.value) == f"{path}: not found"


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for ever
    (tmp_path / "link").symlink_to("nowhere")
    for read in (existing, read_array, read_json, read_text):
        for name, found in (("folder", "a folder"), ("pipe", "something else")):
            with pytest.raises(InputError) as refused:
                read(tmp_path / name)
            assert str(refused.value) == f"{tmp_path / name}: expected a file, found {found}"
        with pytest.raises(InputError, match="link: not found"):
            read(tmp_path / "link")


def assert_refused_array(path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_array(path)
    assert str(refused.value).startswith(f"{path}: expected a NumPy array")
    assert "\n" not in str(refused.value)


def test_damaged_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.arange(1000))
    whole = path.read_bytes()
    for length in (4000, 130, 60, 9, 6, 3, 0):
        path.write_bytes(whole[:length])
        assert_refused_array(path)
    path.write_bytes(b"no array at all, only some bytes")
    assert_refused_array(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{}, None], object), allow_pickle=True)
    assert_refused_array(path)


def test_a_file_longer_than_its_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.arange(1000))
    path.write_bytes(path.read_bytes() + b"x")
    assert_refused_array(path)


def test_every_damage_to_an_arrays_header_is_refused_or_seen_by_what_it_must_be(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_array(path, array)
    whole = path.read_bytes()
    for bit in range(8 * 128):  # all of the header
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            found = read_array(path, dtype=np.float32, shape=(3, 4))
            # a blank among the blanks at its end, or the order of the axes
            assert found.shape == (3, 4)
            assert sorted(found.ravel()) == list(range(12))


@pytest.mark.parametrize("shape", [(3, 4), (None, 4), (3, None), (None, None), None])
def test_an_array_of_the_expected_form_is_read(tmp_path: Path, shape: tuple[int | None, ...] | None) -> None:
    path = tmp_path / "a.npy"
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_array(path, array)
    np.testing.assert_array_equal(read_array(path, dtype=np.float32, shape=shape, finite=True), array)


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((3, 4)), "expected values of float32, found float64"),
        (np.zeros((3, 4), ">f4"), "expected values of float32, found >f4"),
        (np.zeros((3, 4), np.int64), "expected values of float32, found int64"),
        (np.zeros((3, 4), "U3"), "expected values of float32, found <U3"),
        (np.zeros(3, [("a", "f4")]), "expected values of float32, found [('a', '<f4')]"),
        (np.zeros((3, 5), np.float32), "expected an array of shape (any, 4), found (3, 5)"),
        (np.zeros(12, np.float32), "expected an array of shape (any, 4), found (12,)"),
        (np.zeros((1, 3, 4), np.float32), "expected an array of shape (any, 4), found (1, 3, 4)"),
        (np.zeros((), np.float32), "expected an array of shape (any, 4), found ()"),
        (np.ones((3, 4), np.float32, "F"), "expected rows one after the other, found columns (Fortran order)"),
        (np.full((3, 4), np.nan, np.float32), "expected finite values, found NaN or infinity"),
        (np.array([[0, 0, 0, -np.inf]], np.float32), "expected finite values, found NaN or infinity"),
    ],
)
def test_an_array_of_another_form_is_refused(tmp_path: Path, array: np.ndarray, fault: str) -> None:
    path = tmp_path / "a.npy"
    write_array(path, array)
    with pytest.raises(InputError) as refused:
        read_array(path, dtype=np.float32, shape=(None, 4), finite=True)
    assert str(refused.value) == f"{path}: {fault}"


def test_a_single_nan_is_found_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    array = np.zeros((70_000, 128), np.float32)  # three pieces
    for row in (0, 32_767, 32_768, 69_999):
        array[row, 7] = np.nan
        write_array(path, array)
        with pytest.raises(InputError, match="expected finite values"):
            read_array(path, finite=True)
        array[row, 7] = 0
    write_array(path, array)
    read_array(path, finite=True)


def test_empty_arrays_and_numbers_are_finite(tmp_path: Path) -> None:
    for array in (np.zeros((0, 4), np.float32), np.zeros((4, 0), np.float32), np.float32(1), np.arange(3)):
        write_array(tmp_path / "a.npy", np.asarray(array))
        found = read_array(tmp_path / "a.npy", finite=True)
        assert found.shape == np.shape(array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"a": 1',
        b"{'a': 1}",
        b'{"a": 1}\n{',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": 1, "a": 2}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_damaged_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_json(path)
    message = str(refused.value).removeprefix(f"{path}: ")
    assert message.startswith("expected JSON")
    assert message.isprintable()
    assert len(message) <= 220


class Figures(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clusters: Annotated[int, Field(ge=1)]
    eps: Annotated[float, Field(gt=0)] | None = None


def test_json_of_the_expected_form_is_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"clusters": 5, "eps": 1})
    assert read_json(path, Figures) == Figures(clusters=5, eps=1.0)
    write_json(path, {"a": [1, 2], "b": []})
    assert read_json(path, dict[str, list[float]]) == {"a": [1.0, 2.0], "b": []}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({}, "clusters: Field required"),
        ({"clusters": "5"}, "clusters: Input should be a valid integer, found '5'"),
        ({"clusters": True}, "clusters: Input should be a valid integer, found True"),
        ({"clusters": None}, "clusters: Input should be a valid integer, found None"),
        ({"clusters": -1}, "clusters: Input should be greater than or equal to 1, found -1"),
        ({"clusters": 5, "eps": 0}, "eps: Input should be greater than 0, found 0"),
        ({"clusters": 5, "q": 1}, "q: Extra inputs are not permitted, found 1"),
        ([1], "Input should be a valid dictionary or instance of Figures, found [1]"),
        (None, "Input should be a valid dictionary or instance of Figures, found None"),
    ],
)
def test_json_of_another_form_is_refused(tmp_path: Path, content: object, fault: str) -> None:
    path = tmp_path / "a.json"
    write_json(path, content)
    with pytest.raises(InputError) as refused:
        read_json(path, Figures)
    assert str(refused.value) == f"{path}: {fault}"


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from mutual.base.errors import run
from mutual.base.store import write_array, write_text

def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    {call}

run(main)
"""


@pytest.mark.parametrize(
    "call",
    [
        'write_text(Path(sys.argv[1]), "x" * 100_000)',
        "write_array(Path(sys.argv[1]), np.zeros(100_000))",
        "write_array(Path(sys.argv[1]), np.zeros((100, 100)).T)",
    ],
    ids=["text", "array", "transposed array"],
)
def test_a_full_disk_ends_a_stage_with_one_line_and_keeps_the_old_output(tmp_path: Path, call: str) -> None:
    pytest.importorskip("resource", reason="no limits on file sizes here")
    path = tmp_path / "output"
    path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK.format(call=call), str(path)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"error: {path}: cannot be written")
    assert done.stderr.count("\n") == 1
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["output"]


# --- what a killed run leaves ---------------------------------------------------------------------------------------


def ended() -> int:
    """The number of a process that is no more."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize("name", ["a.txt", "a[1]*.txt"])
def test_the_leftovers_of_killed_writes_are_swept_when_the_output_is_written_again(tmp_path: Path, name: str) -> None:
    for pid in (os.getpid(), ended(), 10**30):
        (tmp_path / f".{name}.{pid}.tmp").write_text("half")
        (tmp_path / f".{name}.{pid}.old").mkdir()
    others = {".b.txt.77.tmp", f".{name}.b.77.tmp", f".{name}.old", f"{name}.77.tmp"}
    for other in others:
        (tmp_path / other).write_text("another's")
    write_text(tmp_path / name, "whole")
    assert {found.name for found in tmp_path.iterdir()} == {name} | others


def test_what_a_process_is_writing_stays_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = os.getppid()
    its = tmp_path / f".folder.{other}.tmp"
    its.mkdir()
    (its / "a").write_text("half")
    with folder_beside(tmp_path / "folder") as ours:
        (ours / "a").write_text("ours")
    assert (tmp_path / "folder/a").read_text() == "ours"
    assert (its / "a").read_text() == "half"
    assert capsys.readouterr().err == f"{tmp_path / 'folder'}: process {other} is writing it, too\n"


def test_leftovers_are_no_change_to_dvc() -> None:
    ignored = (TOP / ".dvcignore").read_text(encoding="utf-8").splitlines()
    assert {".*.tmp", ".*.old"} <= set(ignored)


# --- whole folders ---------------------------------------------------------------------------------------------------


def fill(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "out" / "data"
    with folder_beside(path) as temporary:
        fill(temporary, a="1", b="2")
        assert not path.exists()
    with folder_beside(path) as temporary:
        fill(temporary, a="3")
        assert contents(path) == {"a": "1", "b": "2"}
    assert contents(path) == {"a": "3"}
    assert [found.name for found in path.parent.iterdir()] == ["data"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    fill(path, a="old")

    def write_half() -> None:
        with folder_beside(path) as temporary:
            fill(temporary, a="new")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_half()
    assert contents(path) == {"a": "old"}
    assert [found.name for found in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    "write", [lambda path: write_text(path, "new"), lambda path: fill_folder(path)], ids=["file", "folder"]
)
def test_a_read_only_place_is_named_by_the_output(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file system mounted read-only answers: to a removal, too, of what is not there."""

    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for function in ("open", "mkdir", "unlink"):
        monkeypatch.setattr(os, function, refuse)
    monkeypatch.setattr("io.open", refuse)
    with pytest.raises(OSError, match="Read-only") as caught:
        write(tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out")


def fill_folder(path: Path) -> None:
    with folder_beside(path) as temporary:
        fill(temporary, a="1")


def test_a_file_of_a_folder_is_named_where_it_will_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, folder_beside(tmp_path / "out") as temporary:
        (temporary / "none" / "a").write_text("1")
    assert caught.value.filename == str(tmp_path / "out" / "none" / "a")


def test_room_is_asked_for_before_there_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def usage(place: Path) -> SimpleNamespace:
        asked.append(place)
        return SimpleNamespace(free=2_500_000_000)

    monkeypatch.setattr("shutil.disk_usage", usage)
    path = tmp_path / "models" / "r01"
    ask_room(path, 2_500_000_000)
    assert asked == [tmp_path]
    message = f"{path}: expected room for 4.0 GB on its disk, which has 2.5 GB free"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        ask_room(path, 4_000_000_000)


def test_no_disk_has_room_for_everything(tmp_path: Path) -> None:
    ask_room(tmp_path / "a", 0)
    with pytest.raises(InputError, match="expected room for"):
        ask_room(tmp_path / "a", 1 << 80)
