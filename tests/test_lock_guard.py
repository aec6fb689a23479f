"""Wherever a kill leaves dvc.lock, or the list of files in use, cut off, DVC reads what is there afterwards.

What it would take is left alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.lock import make_lock
from dvc.rwlock import RWLockFileCorruptedError, rwlock
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import parse_yaml

from mutual.base.errors import InputError
from tools import lock_guard

WHOLE = """schema: '2.0'
stages:
  make:
    cmd: echo 1 > one
    deps:
    - path: make.py
      hash: md5
      md5: f1e8799d083faf3e2658270cf1899235
      size: 4244
    params:
      params.yaml:
        seeds:
        - 1
        - 2
    outs:
    - path: one
      hash: md5
      md5: c1c35e494beacdb3a1884e569e486513.dir
      size: 15
      nfiles: 3
  again:
    cmd: echo 2
"""
BEFORE = WHOLE.replace("size: 15", "size: 16")
COPY = Path(".dvc/tmp/lock_guard/dvc.lock")
IN_USE = Path(".dvc/tmp/rwlock")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project without a lock, where the test is."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lock_guard"])
    return tmp_path


def write(text: str, path: str | Path = "dvc.lock") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def read(path: str | Path = "dvc.lock") -> str:
    return Path(path).read_text(encoding="utf-8")


def committed(text: str) -> None:
    write(text)
    user = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], ["add", "dvc.lock"], [*user, "commit", "--quiet", "--message", "lock"]):
        subprocess.run(["git", *command], check=True)


def refused_by_dvc(text: str) -> bool:
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
    except Exception:  # whatever it is, it ends `dvc repro`
        return True
    return False


def cuts() -> Iterator[str]:
    for length in range(len(WHOLE)):
        yield WHOLE[:length]


def test_wherever_it_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    """What DVC refuses becomes the copy, what it takes stays and is the next copy."""
    refused = 0
    for text in cuts():
        write(WHOLE)
        lock_guard.main()
        write(text)
        lock_guard.main()
        bad = refused_by_dvc(text)
        refused += bad
        assert read() == (WHOLE if bad else text)
        assert not refused_by_dvc(read())
        assert read(COPY) == read()
        assert capsys.readouterr().out.startswith("dvc.lock: " if bad else "") or not bad
    assert 50 < refused < len(WHOLE) - 50  # both happen


def test_a_good_lock_is_copied_and_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write(WHOLE)
    before = Path("dvc.lock").stat()
    lock_guard.main()
    assert read(COPY) == WHOLE
    copied = COPY.stat()
    lock_guard.main()
    after = Path("dvc.lock").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert COPY.stat().st_ino == copied.st_ino  # the same is not written again
    assert capsys.readouterr().out == ""


def test_an_empty_one_becomes_the_copy_before_gits(capsys: pytest.CaptureFixture[str]) -> None:
    committed(BEFORE)
    write(WHOLE)
    lock_guard.main()
    write("")
    lock_guard.main()
    assert read() == WHOLE
    assert capsys.readouterr().out.startswith("dvc.lock: empty: put back as it was before the last run; ")


@pytest.mark.parametrize("copy", [None, "", "stages:"])
def test_without_a_good_copy_it_becomes_gits(capsys: pytest.CaptureFixture[str], copy: str | None) -> None:
    committed(BEFORE)
    if copy is not None:
        write(copy, COPY)
    write("schema: '2.0'\nstages:\n  make:\n")
    lock_guard.main()
    assert read() == BEFORE
    (line,) = capsys.readouterr().out.splitlines()
    assert ": put back as git has it; dvc repro brings back from its run cache what was done since" in line


@pytest.mark.parametrize("git", [None, "", "  "])
def test_without_either_it_is_deleted(capsys: pytest.CaptureFixture[str], git: str | None) -> None:
    if git is not None:
        committed(git)
    Path("dvc.lock").write_bytes(b"schema: '2.0'\nstages:\n  \xff")
    lock_guard.main()
    assert not Path("dvc.lock").exists()
    assert ": deleted: neither a copy nor git has a good one; " in capsys.readouterr().out
    lock_guard.main()  # where there is none there is nothing to do
    assert capsys.readouterr().out == ""


def test_each_project_keeps_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A lock in a folder of the project, and that of a project within it; neither in folders that tools make."""
    write("", "inner/.dvc/config")
    places = ["dvc.lock", "demo/dvc.lock", "inner/dvc.lock", "inner/deep/dvc.lock"]
    for number, place in enumerate(places):
        write(WHOLE.replace("15", str(number)), place)
    write("", ".venv/dvc.lock")
    lock_guard.main()
    copies = sorted(str(path.relative_to(Path.cwd())) for path in Path.cwd().rglob("lock_guard/**/dvc.lock"))
    assert copies == [
        ".dvc/tmp/lock_guard/demo/dvc.lock",
        ".dvc/tmp/lock_guard/dvc.lock",
        "inner/.dvc/tmp/lock_guard/deep/dvc.lock",
        "inner/.dvc/tmp/lock_guard/dvc.lock",
    ]
    for place in places:
        write("", place)
    lock_guard.main()
    assert [read(place) for place in places] == [WHOLE.replace("15", str(number)) for number in range(4)]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == places


def test_a_conflict_is_the_users_to_settle() -> None:
    write(WHOLE)
    lock_guard.main()
    text = WHOLE.replace("  again:", "<<<<<<< HEAD\n  again:\n=======\n  other:\n>>>>>>> branch")
    write(text)
    with pytest.raises(InputError, match=r"^dvc\.lock: expected no conflict of git's"):
        lock_guard.main()
    assert read() == text


def test_while_dvc_is_at_work_nothing_is_put_right() -> None:
    """It may be writing this moment. What is good is copied all the same."""
    place = Path(".dvc/tmp")
    place.mkdir(parents=True)
    with make_lock(str(place / "lock"), tmp_dir=str(place)):
        write(WHOLE)
        lock_guard.main()
        write("")
        with pytest.raises(InputError, match=r"^\.: DVC is at work there"):
            lock_guard.main()
        assert read() == ""
    lock_guard.main()
    assert read() == WHOLE


def by_dvc() -> None:
    """DVC takes a file for reading, and gives it back."""
    with rwlock(str(IN_USE.parent.resolve()), localfs, "dvc repro", hardlink=False, read=["/data/one"], write=[]):
        pass


def test_wherever_the_list_of_files_in_use_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    """Empty, within a number, a word of two bytes, before the last bracket: DVC can work again."""
    user = {"pid": 2**22 + 1, "cmd": "dvc repro größer"}
    whole = json.dumps({"write": {"/data/two": user}, "read": {"/data/one": [user]}}, ensure_ascii=False).encode()
    IN_USE.parent.mkdir(parents=True)
    for length in range(len(whole)):
        IN_USE.write_bytes(whole[:length])
        if length % 20 == 0:
            with pytest.raises((RWLockFileCorruptedError, UnicodeDecodeError)):
                by_dvc()
        lock_guard.main()
        assert not IN_USE.exists()
        assert capsys.readouterr().out.startswith(f"{IN_USE}: cut off: deleted")
    by_dvc()
    IN_USE.write_bytes(whole)
    lock_guard.main()
    assert IN_USE.read_bytes() == whole
    by_dvc()  # who was killed has nothing in use
    assert capsys.readouterr().out == ""


def test_the_list_is_left_alone_while_dvc_writes_it() -> None:
    IN_USE.parent.mkdir(parents=True)
    IN_USE.touch()
    with make_lock(str(IN_USE.with_name("rwlock.lock")), tmp_dir=str(IN_USE.parent)):
        with pytest.raises(InputError, match=r"^\.: DVC is at work there"):
            lock_guard.main()
        assert IN_USE.exists()
    lock_guard.main()
    assert not IN_USE.exists()
