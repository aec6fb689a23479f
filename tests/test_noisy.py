"""The pipeline with wrong labels: it runs, what runs again for what, and who reads true labels."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mutual.base.documents import read_yaml
from tests.tiny_demo import commit, dvc, sh, stages_run
from tools.imports import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
METHODS = ["hard_labels", "self", "core", "coteaching"]
TRAINED = [f"train@{method}" for method in METHODS]
TINY = {
    "drawn_pids": 4,
    "drawn_images": 5,
    "drawn_test_pids": 3,
    "drawn_test_images": 4,
    "start_pids": 4,
    "start_images": 4,
    "start_epochs": 2,
    "image_height": 32,
    "image_width": 16,
    "stem": 8,
    "batch_size": 8,
    "epochs": 3,
    "test_epochs": 2,
}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A clone of the project with tiny runs, reproduced and committed; and what DVC printed."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (".gitattributes", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    others = shutil.ignore_patterns("__pycache__", "dvc.lock", "cache", "tmp", "*.local", "data", "metrics")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=others)
    path = folder / "noisy/params.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in TINY.items():
        old = read_yaml(ROOT / "noisy/params.yaml")[key]
        text = text.replace(f"\n{key}: {old}\n", f"\n{key}: {value}\n")
    text = text.replace("\n  - 0.1\n  - 0.2\n  - 0.5\n", "\n  - 0.5\n").replace(
        "\n  - 4\n  - 5\n  - 6\n", "\n  - 1\n  - 2\n"
    )
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path) == read_yaml(ROOT / "noisy/params.yaml") | TINY | {"ratios": [0.5], "seeds": [1, 2]}
    assert sh(folder, "git", "init", "--quiet").returncode == 0
    commit(folder)
    output = dvc(folder / "noisy", "repro")
    commit(folder)
    return folder, output


@pytest.fixture
def project(first_run: tuple[Path, str]) -> Iterator[Path]:
    """The reproduced clone; afterwards it is as it was, whatever the test did."""
    yield first_run[0]
    assert sh(first_run[0], "git", "checkout", "--quiet", "--force", "HEAD").returncode == 0
    dvc(first_run[0] / "noisy", "checkout", "--force")


def test_from_drawing_to_the_table(first_run: tuple[Path, str]) -> None:
    folder, output = first_run
    ran = stages_run(output)
    assert ran[:2] == ["code", "drawn/dvc.yaml:draw"]
    assert set(ran[2:4]) == {"drawn/dvc.yaml:start", "prepare"}
    assert ran[4:6] == ["clean", "corrupt"]
    assert sorted(ran[6:10]) == sorted(TRAINED)
    assert ran[10:] == ["evaluate", "report"]
    table = (folder / "noisy/metrics/results.md").read_text(encoding="utf-8")
    assert "| labels | cross entropy | SELF | CORE | Co-teaching |" in table
    for row in ("true labels", "random, 0.5", "pattern, 0.5"):
        assert f"| {row} |" in table
    assert table in output
    lines = (folder / "noisy/metrics/epochs.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 4 * 3 * 2 * 2  # methods, cells, seeds, tested epochs
    assert stages_run(dvc(folder / "noisy", "repro")) == []
    assert sh(folder, "git", "status", "--porcelain").stdout == ""


@pytest.mark.long
def test_forced_again_every_byte_is_the_same_however_many_processes(project: Path) -> None:
    locks = [project / "noisy/dvc.lock", project / "noisy/drawn/dvc.lock"]
    before = [lock.read_bytes() for lock in locks]
    runs = {path: path.read_bytes() for path in sorted((project / "noisy/data/runs/core").rglob("*.npy"))}
    dvc(project / "noisy", "repro", "--force", "--single-item", "corrupt", "train@core")
    assert [lock.read_bytes() for lock in locks] == before
    # one thread in each of two processes, as one thread in one
    two = sh(project, "env", "OMP_NUM_THREADS=2", sys.executable, "-m", "noisy.train", "--method", "core")
    assert two.returncode == 0, two.stderr
    assert {path: path.read_bytes() for path in runs} == runs


@pytest.mark.long
def test_a_methods_own_parameter_trains_it_alone(project: Path) -> None:
    ran = stages_run(dvc(project / "noisy", "exp", "run", "--set-param", "methods.core.opening=0.3"))
    assert ran == ["train@core", "evaluate", "report"]


def test_a_run_reads_no_true_label(project: Path) -> None:
    """With other pids in the index training gives the same bytes."""
    index = project / "noisy/data/packed/train.csv"
    run = project / "noisy/data/runs/self/random-0.5/seed1/predicted.npy"
    before, text = run.read_bytes(), index.read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()]
    index.chmod(0o644)
    index.write_text("".join(f"{file},{'pid' if file == 'file' else 7},{camid}\n" for file, _, camid in rows))
    for split in ("query", "gallery"):
        (project / f"noisy/data/packed/{split}.csv").unlink()
    done = sh(project, sys.executable, "-m", "noisy.train", "--method", "self")
    assert done.returncode == 0, done.stderr
    assert run.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            "noisy.train --method vote",
            "--method: expected hard_labels, self, core, coteaching, as noisy/params.yaml has",
        ),
        ("noisy.clean --method vote", "method: vote: expected the name of a file in mutual/refineries"),
    ],
)
def test_a_mistake_ends_in_a_line(project: Path, command: str, line: str) -> None:
    done = sh(project, sys.executable, "-m", *command.split())
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: {line}")


def test_folders_of_the_authors_preparation_are_read(project: Path) -> None:
    """Market-1501 as pytorch/{train,train_all,query,gallery}/PID/NAME: pids by folder, cameras by name, no junk."""
    top = project / "noisy/data/folders"
    picture = next((project / "noisy/data/people").rglob("*.jpg"))
    names = {
        "train": ["0002/0002_c1s1_000451_03", "0007/0007_c2s1_000451_03"],
        "train_all": ["0002/0002_c1s1_000451_03"],
        "query": ["0003/0003_c1s1_000451_03"],
        "gallery": ["0003/0003_c3s1_000451_03", "0000/0000_c3s1_000451_03", "-1/-1_c3s1_000451_03"],
    }
    for split, files in names.items():
        for file in files:
            path = top / split / f"{file}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, path)
    params = project / "noisy/params.yaml"
    text = params.read_text(encoding="utf-8").replace("layout: dukemtmc", "layout: folders")
    text = text.replace("camera_names: none", "camera_names: market1501").replace("data/people", "data/folders")
    params.write_text(text, encoding="utf-8")
    done = sh(project, sys.executable, "-m", "noisy.prepare")
    assert done.returncode == 0, done.stderr
    assert "train_all/0002/0002_c1s1_000451_03.jpg" in done.stdout  # left out
    packed = {
        split: (project / f"noisy/data/packed/{split}.csv").read_text() for split in ("train", "query", "gallery")
    }
    assert [line.split(",")[1:] for line in packed["train"].splitlines()[1:]] == [["2", "1"], ["7", "2"]]
    assert [line.split(",")[1:] for line in packed["gallery"].splitlines()[1:]] == [["0", "3"], ["3", "3"]]
