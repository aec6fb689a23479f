"""Every flipped bit is found, wherever it is; what is deleted is damaged, and what is good stays."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mutual.base.errors import InputError
from tools import hashing, verify
from tools.artefacts import as_listing
from tools.hashing import MISSING, UNREADABLE, hashed

PIPELINE = """
stages:
  make:
    cmd: mkdir -p data/folder/deep && echo 1 > data/folder/one && echo 2 > data/folder/deep/two && echo 3 > data/file
    outs:
      - data/folder
      - data/file
  count:
    cmd: echo 3 > count.txt
    outs:
      - count.txt:
          cache: false
"""
ELSEWHERE = """
stages:
  draw:
    wdir: ..
    cmd: echo 4 > data/drawn
    outs:
      - data/drawn
"""
OWN = """
stages:
  own:
    cmd: echo 5 > own.txt
    outs:
      - own.txt
"""
CACHE = Path(".dvc/cache/files/md5")


def dvc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects, one within the other, and all that they make."""
    top = tmp_path_factory.mktemp("made")
    for name, text in (("dvc.yaml", PIPELINE), ("drawn/dvc.yaml", ELSEWHERE), ("inner/dvc.yaml", OWN)):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(text, encoding="utf-8")
    for folder in (top / "inner", top):
        dvc(folder, "init", "--quiet", "--no-scm")
        dvc(folder, "repro", "--quiet", "--all-pipelines")
    return top


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test is."""
    copy = tmp_path / "project"
    shutil.copytree(made, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


def stored(content: bytes, suffix: str = "", project: Path = Path()) -> Path:
    """Where the cache has what has this content."""
    md5 = hashlib.md5(content).hexdigest()
    return project / CACHE / md5[:2] / f"{md5[2:]}{suffix}"


def flip(path: Path) -> None:
    """One bit, in a file that keeps its time, size and mode: DVC sees no change."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[0] ^= 4
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def listing() -> Path:
    (found,) = CACHE.glob("*/*.dir")
    return found


def looked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """What the tool prints."""
    monkeypatch.setattr(sys, "argv", ["verify", *options])
    error = ""
    try:
        verify.main()
    except InputError as raised:
        error = str(raised)
    lines = capsys.readouterr().out.splitlines()
    faults = [line for line in lines if not line.startswith(("all as", "deleted", "put"))]
    assert error.partition(" ")[0] == (str(len(faults)) if faults else "")
    assert bool(error) != any(line.startswith("all as dvc.lock says: ") for line in lines)
    return lines


def test_all_is_well(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Files: one, two, file, count.txt, drawn, own.txt. Objects: not count.txt's, but the folder's listing."""
    (line,) = looked(monkeypatch, capsys)
    assert "5 outputs of 2 projects: 6 files, 6 objects of the cache" in line


FLIPPED = {
    "data/file": "changed: data/file: delete it, then `dvc checkout data/file`",
    "data/drawn": "changed: data/drawn: delete it, then `dvc checkout data/drawn`",
    "data/folder/deep/two": "changed: data/folder: deep/two: delete it, then `dvc checkout data/folder`",
    "count.txt": "changed: count.txt: delete it, then `dvc repro count` makes it again",
    "inner/own.txt": "changed: inner/own.txt: delete it, then `cd inner && dvc checkout own.txt`",
}


@pytest.mark.parametrize("name", FLIPPED)
def test_a_bit_of_the_workspace(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    flip(Path(name))
    assert looked(monkeypatch, capsys) == [FLIPPED[name]]
    assert looked(monkeypatch, capsys, "--repair") == [FLIPPED[name]]  # nothing of the cache is touched


def test_each_bit_of_the_cache(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever object: it is named, replaced by the workspace's copy, and read-only as before."""
    every = sorted(path for cache in (CACHE, "inner" / CACHE) for path in cache.glob("??/*"))
    good = {path: path.read_bytes() for path in every}
    assert len(every) == 6
    for path in every:
        flip(path)
        (line,) = looked(monkeypatch, capsys)
        assert line.startswith("damaged in the cache: ")
        assert f"({path}): make verify REPAIR=1 puts a copy in its place from the workspace" in line
        assert [line.split(":")[0] for line in looked(monkeypatch, capsys, "--repair")[1:]] == [
            "deleted",
            "put into the cache",
        ]
        assert {each: each.read_bytes() for each in every} == good
        assert path.stat().st_mode & 0o777 == 0o444
        assert sorted(path.parent.iterdir()) == [path]
        looked(monkeypatch, capsys)


def test_dvc_hands_on_a_flipped_bit_and_makes_it_again_after_repair(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = stored(b"3\n")
    flip(kept)
    Path("data/file").unlink()
    good = {path: path.stat().st_ino for path in CACHE.glob("??/*") if path != kept}
    dvc(project, "checkout", "data/file")
    assert Path("data/file").read_bytes() == b"7\n"  # so it is; the rest of the test is of what is done about it
    again = "`dvc pull data/file` fetches it, or `dvc repro make` makes it again"
    assert looked(monkeypatch, capsys, "--repair") == [
        f"changed: data/file: delete it, then {again}",
        f"damaged in the cache: data/file ({kept}): make verify REPAIR=1 deletes it, then {again}",
        f"deleted: {kept}",
    ]
    assert {path: path.stat().st_ino for path in CACHE.glob("??/*")} == good
    Path("data/file").unlink()
    dvc(project, "repro", "make")
    assert Path("data/file").read_bytes() == b"3\n"
    looked(monkeypatch, capsys)


def test_without_a_cache_the_workspace_is_verified_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And fills the cache again, where it is whole; of a folder that is not nobody knows what it was."""
    shutil.rmtree(CACHE)
    lines = looked(monkeypatch, capsys)
    assert sorted(line.split(" (")[0] for line in lines) == [
        "missing in the cache: data/drawn",
        "missing in the cache: data/file",
        "missing in the cache: data/folder: 2 files, deep/two the first and the listing",
    ]
    assert all(line.endswith("): make verify REPAIR=1 copies it from the workspace") for line in lines)
    looked(monkeypatch, capsys, "--repair")
    looked(monkeypatch, capsys)
    assert dvc(project, "status") == "Data and pipelines are up to date.\n"
    shutil.rmtree(CACHE)
    flip(Path("data/folder/one"))
    lines = looked(monkeypatch, capsys)
    assert any(line.startswith("changed: data/folder: it is not what dvc.lock has") for line in lines)


def test_what_is_nowhere_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a fresh clone."""
    shutil.rmtree(CACHE)
    shutil.rmtree("data")
    (line,) = looked(monkeypatch, capsys)
    assert line.startswith("missing: .: 3 of 4 outputs, in the workspace and in the cache: ")
    assert line.endswith(": dvc pull, or dvc repro")


def test_more_and_fewer_files_than_a_folder_should_have(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/folder/one").unlink()
    Path("data/folder/three").write_text("3", encoding="utf-8")
    Path("data/file").unlink()
    Path("data/file").mkdir()
    assert sorted(looked(monkeypatch, capsys)) == [
        "cannot be read: Is a directory: data/file: look to its rights and to the disk",
        "changed: data/folder: three, not in dvc.lock: delete what you do not want there",
        "missing: data/folder: one: `dvc checkout data/folder`",
    ]


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_links_into_the_cache(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Both sides are the same bytes: none can mend the other."""
    place, kept = Path("data/file"), stored(b"3\n")
    place.unlink()
    if kind == "symlink":
        place.symlink_to(kept.resolve())
    else:
        place.hardlink_to(kept)
    looked(monkeypatch, capsys)
    flip(kept)
    lines = looked(monkeypatch, capsys, "--repair")
    assert [line.split(":")[0] for line in lines] == ["changed", "damaged in the cache", "deleted"]
    assert not kept.exists()


@pytest.mark.parametrize("content", ["", "schema: '2.0'\nstages:\n  make", "<<<<<<< HEAD\n"])
def test_a_lock_that_cannot_be_read_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """The other project is looked at."""
    Path("dvc.lock").write_text(content, encoding="utf-8")
    flip(Path("inner/own.txt"))
    first, second = looked(monkeypatch, capsys)
    assert first.startswith("unreadable: dvc.lock: ")
    assert second == FLIPPED["inner/own.txt"]


def test_what_no_output_needs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage that dvc.yaml has no more, and with ``--all`` what only another commit has."""
    other = stored(b"other")
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"othes")
    drawn = stored(b"4\n")
    Path("drawn/dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    looked(monkeypatch, capsys)
    flip(drawn)
    assert looked(monkeypatch, capsys) == [f"damaged: {drawn}: make verify REPAIR=1 deletes it; no output needs it now"]
    assert len(looked(monkeypatch, capsys, "--all")) == 2
    looked(monkeypatch, capsys, "--all", "--repair")
    assert not drawn.exists()
    assert not other.exists()
    looked(monkeypatch, capsys, "--all")


def test_a_listing_is_dvcs_to_the_byte(project: Path) -> None:
    content = listing().read_bytes()
    files = {row["relpath"]: row["md5"] for row in json.loads(content)}
    assert set(files) == {"one", "deep/two"}
    assert as_listing(dict(reversed(files.items()))) == content


def test_hashes_of_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than wait for a thread at a time, empty and large ones, and those that are not there."""
    monkeypatch.setattr(hashing, "AHEAD", 4)
    contents = {tmp_path / str(number): bytes([number]) * (number**4) for number in range(40)}
    for path, content in contents.items():
        path.write_bytes(content)
    expected = {path: hashlib.md5(content).hexdigest() for path, content in contents.items()}
    absent = [tmp_path / "none", tmp_path / "0/below"]
    found = hashed([*contents, *absent, tmp_path])
    assert found.pop(tmp_path).startswith(UNREADABLE)
    assert found == expected | dict.fromkeys(absent, MISSING)
