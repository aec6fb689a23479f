"""The pipelines with few labels: they run, what runs again for what, who reads true labels, data of one's own."""

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mutual.base import errors
from mutual.base.documents import read_yaml
from mutual.base.threads import threads
from mutual.classification.params import ClassificationParams
from mutual.machine.device import CPU
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import SegmentationParams
from mutual.segmentation.predictions import PseudoLabels, predicted
from mutual.segmentation.ragged import Pictures
from mutual.segmentation.splits import read_split
from tests.tiny_demo import commit, dvc, sh, stages_run
from tools.imports import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("classification", "segmentation")
each_task = pytest.mark.parametrize("task", TASKS)
TINY: dict[str, dict[str, Any]] = {
    "classification": {
        "seeds": [1, 2],
        "batch_size": 32,
        "labelled_epochs": 20,
        "all_epochs": 1,
        "phase_epochs": 1,
    },
    "segmentation": {
        "drawn_train": 12,
        "drawn_validation": 3,
        "drawn_test": 4,
        "shrink": 4,
        "seeds": [1, 2],
        "labelled_images": 4,
        "network.stem": 8,
        "views.crop_height": 32,
        "views.crop_width": 16,
        "batch_size": 4,
        "labelled_epochs": 12,
        "all_epochs": 2,
        "phase_epochs": 1,
        "labelled_lr": 0.01,
    },
}
CHAINS = {
    "classification": {"curriculum-1": 0.5, "dmt-1": 0.5},
    "segmentation": {"dmt-1": 0.5},
}
FIRST = {
    "classification": ["code", "prepare", "split"],
    "segmentation": ["code", "drawn/dvc.yaml:draw", "prepare", "split"],
}


def changed(text: str, values: dict[str, Any]) -> str:
    """A file of parameters with other values; ``network.stem`` is a key below another."""
    for key, value in values.items():
        name, written = key.split(".")[-1], value if isinstance(value, list | dict) else str(value)
        pattern = rf"(?m)^({' ' * 2 * key.count('.')}{name}:).*\n(?:{' ' * 2 * (key.count('.') + 1)}.*\n)*"
        text, count = re.subn(pattern, rf"\g<1> {written}\n", text)
        assert count == 1, key
    return text


def params_of(folder: Path, task: str) -> Path:
    return folder / "semi" / task / "params.yaml"


def data_of(folder: Path, task: str) -> Path:
    return folder / "semi" / task / "data"


def phases(steps: dict[str, float]) -> str:
    """phases.yaml with these shares."""
    lines = []
    for name, share in steps.items():
        chain, number = name.split("-")
        after = "labelled" if number == "1" else f"{chain}-{int(number) - 1}"
        lines.append(f"  {name}: {{method: {chain}, after: {after}, share: {share}}}\n")
    return "".join(["phases:\n", *lines])


class Ran(NamedTuple):
    """What a pipeline came to in a clone of its own: each is a project of DVC by itself, they run side by side."""

    output: str  # what DVC printed
    again: list[str]  # the stages that a second time ran
    status: str  # of git, after the second time
    tracked: list[str]
    forced: tuple[bytes, list[str], bytes]  # the lock, the stages that ran whether or not they had to, the lock
    experiment: list[str]  # the stages that an experiment ran
    kept: Path  # parameters, phases, artefacts and results as they were before it


# a parameter of a method; a phase more
EXPERIMENTS = {
    "classification": "methods.dmt.gamma1=0",
    "segmentation": "phases.yaml:+phases.dmt-2={method:dmt,after:dmt-1,share:1}",
}
FORCED = ["label@dmt-1", "train@dmt-1"]


def run_tiny(task: str, folder: Path, kept: Path) -> Ran:
    """In two empty folders, of which the first becomes the clone."""
    for name in (".gitattributes", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    others = shutil.ignore_patterns("__pycache__", "dvc.lock", "cache", "tmp", "*.local", "data", "metrics")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=others)
    path = params_of(folder, task)
    path.write_text(changed(path.read_text(encoding="utf-8"), TINY[task]), encoding="utf-8")
    path.with_name("phases.yaml").write_text(phases(CHAINS[task]), encoding="utf-8")
    assert sh(folder, "git", "init", "--quiet").returncode == 0
    commit(folder)
    project = folder / "semi" / task
    output = dvc(project, "repro")
    commit(folder)
    again = stages_run(dvc(project, "repro"))
    status = sh(folder, "git", "status", "--porcelain").stdout
    tracked = sh(folder, "git", "ls-files", f"semi/{task}").stdout.splitlines()
    shutil.copytree(project, kept / "semi" / task, ignore=shutil.ignore_patterns(".dvc", "*.py"))
    for path in (kept / "semi").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = (project / "dvc.lock").read_bytes()
    forced = stages_run(dvc(project, "repro", "--force", "--single-item", *FORCED)) if task == "segmentation" else []
    after = (project / "dvc.lock").read_bytes()
    experiment = stages_run(dvc(project, "exp", "run", "--set-param", EXPERIMENTS[task]))
    return Ran(output, again, status, tracked, (before, forced, after), experiment, kept)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    folders = [(tmp_path_factory.mktemp(f"{task}_clone"), tmp_path_factory.mktemp(f"{task}_kept")) for task in TASKS]
    with ThreadPoolExecutor(len(TASKS)) as pool:
        found = pool.map(lambda task, both: run_tiny(task, *both), TASKS, folders)
        return dict(zip(TASKS, found, strict=True))


@pytest.fixture
def project(ran: dict[str, Ran], tmp_path: Path) -> Iterator[Path]:
    """A folder with parameters, phases and artefacts of the tiny runs, the current one; nothing of it is DVC's."""
    for of in ran.values():
        shutil.copytree(of.kept, tmp_path, dirs_exist_ok=True)
    with chdir(tmp_path):
        yield tmp_path
    torch.set_num_threads(threads())


class Done(NamedTuple):
    """How a door ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs an entry point in this process, in the current folder: as its file is run, but without Python's start."""

    def run(command: str) -> Done:
        name, *arguments = command.split()
        main = importlib.import_module(f"semi.{name}").main
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", [name, *arguments])
            capsys.readouterr()
            code: int | str | None = 0
            try:
                errors.run(main)
            except SystemExit as ended:
                code = ended.code
        out, err = capsys.readouterr()
        # what Python does with a text
        return Done(1, out, f"{err}{code}\n") if isinstance(code, str) else Done(code or 0, out, err)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """All files below it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def set_params(task: str, **values: Any) -> None:
    path = params_of(Path(), task)
    text = path.read_text(encoding="utf-8")
    path.write_text(changed(text, {key.replace("__", "."): value for key, value in values.items()}), encoding="utf-8")


# --- by DVC ----------------------------------------------------------------------------------------------------------


@each_task
def test_tiny_parameters_are_the_projects_but_for_the_size(ran: dict[str, Ran], task: str) -> None:
    found, expected = read_yaml(params_of(ran[task].kept, task)), read_yaml(params_of(ROOT, task))
    for key, value in TINY[task].items():
        *above, name = key.split(".")
        (expected[above[0]] if above else expected)[name] = value
    assert found == expected


@each_task
def test_from_the_data_to_the_table(ran: dict[str, Ran], task: str) -> None:
    order = stages_run(ran[task].output)
    steps = list(CHAINS[task])
    each = [f"{stage}@{name}" for name in steps for stage in ("label", "train", "evaluate")]
    runs = [f"{stage}@{name}" for stage in ("supervise", "test") for name in ("labelled", "all")]
    assert sorted(order) == sorted([*FIRST[task], *runs, *each, "report"])
    assert order[: len(FIRST[task])] == FIRST[task]
    assert order[-1] == "report"
    place = {stage: i for i, stage in enumerate(order)}
    for name in ("labelled", "all"):
        assert place[f"supervise@{name}"] < place[f"test@{name}"]
    for name in steps:
        chain, number = name.split("-")
        before = "supervise@labelled" if number == "1" else f"train@{chain}-{int(number) - 1}"
        path = [place[stage] for stage in (before, f"label@{name}", f"train@{name}", f"evaluate@{name}")]
        assert path == sorted(path)
    text = (ran[task].kept / f"semi/{task}/metrics/results.md").read_text(encoding="utf-8")
    assert text in ran[task].output
    for row in ("labels only", "DMT", "all labels"):
        assert re.search(rf"(?m)^\| {row} \| [0-9.]+ ± [0-9.]+ \|", text)
    rows = pd.read_csv(ran[task].kept / f"semi/{task}/metrics/runs.csv")
    assert len(rows) == (2 + len(steps)) * 2 * (2 if task == "segmentation" else 1)  # runs, seeds, networks
    assert rows[["validation", "test"]].notna().all(axis=None)
    assert rows.set_index("run").loc[steps, ["used", "right"]].notna().all(axis=None)


@each_task
def test_a_second_time_nothing_runs_and_git_has_it_all(ran: dict[str, Ran], task: str) -> None:
    assert ran[task].again == []
    assert ran[task].status == ""
    names = ["dvc.lock", "metrics/results.md", "metrics/summary.json", "metrics/runs.csv"]
    assert {f"semi/{task}/{name}" for name in names} <= set(ran[task].tracked)
    assert not any("/data/" in path for path in ran[task].tracked)


def test_forced_again_the_lock_is_the_same(ran: dict[str, Ran]) -> None:
    before, stages, after = ran["segmentation"].forced
    assert stages == FORCED
    assert before == after


def test_a_methods_own_parameter_runs_its_phases_alone(ran: dict[str, Ran]) -> None:
    """The labels stay as they are, and curriculum's phase is not concerned."""
    assert ran["classification"].experiment == ["train@dmt-1", "evaluate@dmt-1", "report"]


def test_a_further_phase_is_a_line_and_runs_alone(ran: dict[str, Ran]) -> None:
    assert ran["segmentation"].experiment == ["label@dmt-2", "train@dmt-2", "evaluate@dmt-2", "report"]


# --- the same bytes --------------------------------------------------------------------------------------------------


AFTER = {
    "classification": ["label dmt-1 --after labelled --share 0.5", "train dmt-1 --method dmt"],
    "segmentation": [
        "label dmt-1 --method dmt --after labelled --share 0.5",
        "train dmt-1 --method dmt --after labelled",
    ],
}


@pytest.mark.parametrize(("task", "processes"), [("classification", 1), ("segmentation", 1), ("segmentation", 2)])
def test_forced_again_every_byte_is_the_same_however_many_processes(
    project: Path, ran: dict[str, Ran], door: Any, monkeypatch: pytest.MonkeyPatch, task: str, processes: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(processes))
    commands = AFTER[task] if processes == 1 else AFTER[task][1:]  # a process takes seconds to start
    for command in commands:
        made = {"label": "labels", "train": "runs"}[command.split()[0]]
        shutil.rmtree(data_of(project, task) / made / "dmt-1")
        assert door(f"{task}.{command}").code == 0
        assert contents(data_of(project, task) / made / "dmt-1") == contents(
            data_of(ran[task].kept, task) / made / "dmt-1"
        )


def test_training_reads_no_true_label_of_an_unlabelled_image(project: Path, ran: dict[str, Ran], door: Any) -> None:
    data = data_of(project, "classification")
    lines = (data / "packed/train.csv").read_text(encoding="utf-8").splitlines()
    (data / "packed/train.csv").write_text(
        "\n".join([lines[0], *(f"{line.split(',')[0]},0" for line in lines[1:])]) + "\n", encoding="utf-8"
    )
    for name in ("test.csv", "test.npy"):
        (data / "packed" / name).unlink()
    before = data_of(ran["classification"].kept, "classification")
    for command in ("supervise --labels labelled", *AFTER["classification"]):
        assert door(f"classification.{command}").code == 0
    for made in ("runs/labelled", "labels/dmt-1", "runs/dmt-1"):
        assert contents(data / made) == contents(before / made)
    # what shall read them does
    assert door("classification.supervise --labels all").code == 0
    assert contents(data / "runs/all") != contents(before / "runs/all")


def test_training_reads_no_mask_of_an_unlabelled_picture(project: Path, ran: dict[str, Ran], door: Any) -> None:
    data, before = data_of(project, "segmentation"), data_of(ran["segmentation"].kept, "segmentation")
    set_params("segmentation", seeds="[1]")
    pictures = Pictures(data / "packed/train")
    labelled = read_split(data / "splits/seed1.csv", len(pictures)).labelled
    masks = np.concatenate(
        [
            pictures.mask(row).reshape(-1) if row in labelled else np.zeros(pictures.mask(row).size, np.uint8)
            for row in range(len(pictures))
        ]
    )
    assert (masks == 0).sum() > (np.load(data / "packed/train/masks.npy") == 0).sum()
    np.save(data / "packed/train/masks.npy", masks)
    for split in ("validation", "test"):
        shutil.rmtree(data / "packed" / split)
    for command in ("supervise --labels labelled", *AFTER["segmentation"]):
        assert door(f"segmentation.{command}").code == 0
    for made in ("runs/labelled/seed1", "labels/dmt-1/seed1", "runs/dmt-1/seed1"):
        assert contents(data / made) == contents(before / made)
    assert door("segmentation.supervise --labels all").code == 0
    assert contents(data / "runs/all/seed1") != contents(before / "runs/all/seed1")


@pytest.mark.parametrize(("method", "itself"), [("curriculum", False), ("dmt", False), ("dst_cbc", True)])
def test_a_network_learns_from_the_labels_of_the_other_one(project: Path, door: Any, method: str, itself: bool) -> None:
    set_params("segmentation", seeds="[1]")
    assert door(f"segmentation.label {method}-1 --method {method} --after labelled --share 1").code == 0
    data = data_of(project, "segmentation")
    pictures = Pictures(data / "packed/train")
    params = SegmentationParams(**read_yaml(params_of(project, "segmentation")))
    rows = read_split(data / "splits/seed1.csv", len(pictures)).unlabelled
    forms = forms_of(params.network, params.classes)
    said = {}
    for network, form in enumerate(forms, 1):
        made = form.read(data / f"runs/labelled/seed1/network{network}", CPU)
        said[network] = [map_.max(0)[0].numpy() for map_ in predicted(made, form, pictures, rows.tolist(), (0, 0), CPU)]
    for network in (1, 2):
        named = PseudoLabels(data / f"labels/{method}-1/seed1/network{network}", pictures, rows)
        for by in (1, 2):
            same = [np.array_equal(named.of(row)[1], sure) for row, sure in zip(rows.tolist(), said[by], strict=True)]
            assert all(same) if (by == network) is itself else not any(same)


# --- data of one's own -----------------------------------------------------------------------------------------------


def saved(path: Path, values: np.ndarray | Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = values if isinstance(values, Image.Image) else Image.fromarray(values)
    picture.save(path, **options)


def one_folder_a_class(root: Path, train: int = 8) -> None:
    """Photographs of mixed sizes, in colour and grey, of two classes, in files of several kinds."""
    rng = np.random.default_rng(1)
    for split, number in (("train", train), ("test", 4)):
        for label, name in enumerate(("cats", "Öl & more")):
            for i in range(number):
                size = (int(rng.integers(9, 30)), int(rng.integers(9, 30)))
                values = rng.integers(100 * label, 100 * label + 100, (*size, 3), np.uint8)
                suffix, grey = ("png", "JPEG", "bmp", "Png")[i % 4], i % 3 == 0
                saved(root / split / name / f"{i}.{suffix}", values[..., 0] if grey else values)
    saved(root / "beside.png", np.zeros((5, 5), np.uint8))


def test_folders_of_ones_own_from_preparing_to_evaluating(project: Path, door: Any) -> None:
    data = data_of(project, "classification")
    shutil.rmtree(data)
    one_folder_a_class(project / "mine")
    set_params(
        "classification",
        layout="folders",
        root="../../mine",
        image_height=12,
        image_width=10,
        validation_per_class=1,
        batch_size=8,
        labelled_in_batch=2,
        augment="randaugment",
        padding=1,
        flip="true",
    )
    prepared = door("classification.prepare")
    assert prepared.code == 0, prepared.err
    assert "train: 16 images of 2 classes\ntest: 8 images of 2 classes\n" in prepared.out
    assert "beside.png" in prepared.out
    assert np.load(data / "packed/train.npy").shape == (16, 12, 10, 3)
    for command in (
        "split",
        "supervise --labels labelled",
        "label dmt-1 --after labelled --share 1",
        "train dmt-1 --method dmt",
        "evaluate dmt-1",
        "test labelled",
    ):
        done = door(f"classification.{command}")
        assert done.code == 0, done.err
    rows = pd.read_csv(data / "measured/dmt-1.csv")
    assert rows["used"].tolist() == [1, 1]
    assert rows["test"].between(0, 1).all()


BORDERS = {"classes": 4, "root": "../../mine", "shrink": 1, "labelled_images": 2, "batch_size": 3}


def pairs(root: Path) -> None:
    """Pictures of mixed sizes, in colour and grey; masks with a palette; class 3 is in one training picture alone."""
    rng = np.random.default_rng(2)
    sizes = [(40, 30), (30, 40), (21, 37), (33, 33), (40, 30), (25, 18)]
    for split, number in (("train", 6), ("test", 2)):
        for i in range(number):
            mask = np.full(sizes[i], i % 2, np.uint8)
            mask[5:12, 5:12], mask[12:14] = (3 if (split, i) == ("train", 5) else 2), 255
            values = np.minimum(60 * np.minimum(mask, 4)[..., None] + rng.integers(0, 50, (*sizes[i], 3)), 255)
            grey = i % 3 == 0
            values = values.astype(np.uint8)
            saved(root / f"images/{split}/{i}.{'png' if grey else 'jpg'}", values[..., 0] if grey else values)
            indexed = Image.fromarray(mask)
            indexed.putpalette(bytes(range(255, -1, -1)) * 3)
            saved(root / f"masks/{split}/{i}.png", indexed)


def test_pairs_of_ones_own_from_preparing_to_evaluating(project: Path, door: Any) -> None:
    data = data_of(project, "segmentation")
    shutil.rmtree(data)
    pairs(project / "mine")
    for i in range(2):  # nobody labelled these
        saved(project / f"mine/unlabelled/{i}.jpg", np.full((20 + i, 31, 3), 90, np.uint8))
    set_params("segmentation", **BORDERS, padded="[36, 36]")
    prepared = door("segmentation.prepare")
    assert prepared.code == 0, prepared.err
    assert "train: 8 pictures, validation: 0 pictures, test: 2 pictures" in prepared.out
    pictures = Pictures(data / "packed/train")
    assert set(pictures.mask(1).reshape(-1).tolist()) == {1, 2, 255}  # indices, not colours
    assert (pictures.mask(7) == 255).all()
    split = door("segmentation.split")
    assert split.code == 0
    shown = [5 in read_split(data / f"splits/seed{seed}.csv", 8).labelled for seed in (1, 2)]
    assert not all(shown)
    warnings = split.err.splitlines()
    for seed, is_shown in zip((1, 2), shown, strict=True):
        told = [line for line in warnings if line.startswith(f"warning: seed {seed}: no labelled picture shows class ")]
        assert any("3" in line.rpartition("class ")[2] for line in told) is not is_shown
    for command in (
        "supervise --labels labelled",
        "label dmt-1 --method dmt --after labelled --share 0.5",
        "train dmt-1 --method dmt --after labelled",
        "evaluate dmt-1 --method dmt --after labelled",
    ):
        done = door(f"segmentation.{command}")
        assert done.code == 0, done.err
    rows = pd.read_csv(data / "measured/dmt-1.csv")
    assert len(rows) == 4
    assert rows["validation"].isna().all()
    assert rows["test"].between(0, 1).all()
    assert rows["used"].between(0, 1, inclusive="neither").all()


# --- a mistake ends in a line ----------------------------------------------------------------------------------------


def mistake(done: Done, told: str) -> None:
    assert done.code == 1
    lines = [line for line in done.err.splitlines() if not line.startswith("\r") and line.strip()]
    assert lines[-1].startswith("error: ")
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert "Traceback" not in done.err
    assert told in lines[-1], lines[-1]


@pytest.mark.parametrize(
    ("values", "command", "told"),
    [
        (
            {"labels_per_class": 200},
            "split",
            "class 0: expected at least 205 training images, 200 with a label",
        ),
        ({"batch_size": 800, "labelled_in_batch": 1}, "train dmt-1 --method dmt", "batch_size: expected at most the"),
        ({"depth": 12}, "split", "semi/classification/params.yaml: depth: expected 6 n + 4, got 12"),
        ({"batch_size": 8}, "prepare", "labelled_in_batch: expected less than batch_size, got 8"),
        ({"root": "gone", "layout": "folders"}, "prepare", "semi/classification/gone"),
        (
            {},
            "train dmt-1 --method vote",
            "--method: expected curriculum, dmt, dst_cbc, as semi/",
        ),
        ({}, "train dmt --method dmt", "'dmt': expected the name of a chain and a number, such as dmt-1"),
        ({}, "label dmt-1 --after labelled --share 0", "--share: expected a number above 0 and at most 1, got '0'"),
        ({}, "label dmt-1 --after gone-1 --share 1", "phases.yaml: dmt-1: expected after: labelled, got 'gone-1'"),
        ({}, "label gone-2 --after gone-1 --share 1", "data/runs/gone-1/seed1/network.safetensors: not found"),
        ({"image_width": 9}, "split", "image_height, image_width: expected 8 x 8 with digits, got 8 x 9"),
        (
            {"published": "{dtm: 90}"},
            "report",
            "published: expected figures of labelled, curriculum, dmt, all, got dtm",
        ),
        (
            {"methods": "{dmt: {weights: agreement, gamma1: 1.0}}"},
            "split",
            "methods.dmt: expected gamma1 and gamma2",
        ),
        ({"methods": "{dmt: {weights: ones, gamma: 1.0}}"}, "split", "methods.dmt.gamma: unknown parameter"),
        ({"seeds": "[1, 3]"}, "test labelled", "semi/classification/data/splits/seed3.csv: not found"),
    ],
)
def test_a_mistake_in_classification_ends_in_a_line(
    project: Path, door: Any, values: dict[str, Any], command: str, told: str
) -> None:
    set_params("classification", **values)
    mistake(door(f"classification.{command}"), told)


@pytest.mark.parametrize(
    ("values", "command", "told"),
    [
        (
            {"labelled_images": 13},
            "split",
            "labelled_images: expected at most the 12 training images with",
        ),
        (
            {"labelled_images": 12},
            "split",
            "labelled_images: expected fewer than all of the 12",
        ),
        (
            {"batch_size": 12},
            "train dmt-1 --method dmt --after labelled",
            "batch_size: expected at most the 8 unlabelled images beside labelled_in_batch 2, got 12",
        ),
        ({"classes": 5}, "prepare", "expected labels 0 to 4 and 255, found"),
        ({"network__stem": 4}, "prepare", "network.stem: expected greater than or equal to 8, got 4"),
        (
            {"network__weights": "[imagenet, none]"},
            "prepare",
            "network: stem: expected 64, as networks",
        ),
        ({"network__weights": "[gone.pth, none]"}, "supervise --labels labelled", "semi/segmentation/gone.pth"),
        ({"network__stem": 16}, "label dmt-1 --method dmt --after labelled --share 1", "network.safetensors"),
        ({}, "label dmt-1 --method vote --after labelled --share 1", "--method: expected curriculum, dmt, dst_cbc, as"),
        ({}, "label dmt-1 --method dmt --after labelled --share 2", "--share: expected a number above 0 and at most 1"),
        (
            {"methods": "{dmt: {weights: own, labelled_by: other}}"},
            "split",
            "methods.dmt: expected gamma1 with",
        ),
        ({"methods": "{dmt: {weights: ones}}"}, "split", "methods.dmt.labelled_by: missing"),
    ],
)
def test_a_mistake_in_segmentation_ends_in_a_line(
    project: Path, door: Any, values: dict[str, Any], command: str, told: str
) -> None:
    set_params("segmentation", **values)
    mistake(door(f"segmentation.{command}"), told)


@each_task
def test_an_unknown_key_is_told_by_its_name(project: Path, door: Any, task: str) -> None:
    path = params_of(project, task)
    path.write_text(path.read_text(encoding="utf-8") + "gama1: 5\n", encoding="utf-8")
    mistake(door(f"{task}.split"), f"semi/{task}/params.yaml: gama1: unknown parameter")


@each_task
def test_phases_with_a_gap_are_refused(project: Path, door: Any, task: str) -> None:
    path = params_of(project, task).with_name("phases.yaml")
    path.write_text(phases({"dmt-1": 0.5, "dmt-3": 1}), encoding="utf-8")
    mistake(door(f"{task}.report"), f"semi/{task}/phases.yaml: dmt-3: expected dmt-2 before it")


def test_masks_that_are_none_are_refused(project: Path, door: Any) -> None:
    set_params("segmentation", **BORDERS)
    for name, mask, told in (
        ("smaller", np.zeros((39, 30), np.uint8), "masks/train/0.png: expected 30 x 40 pixels"),
        ("coloured", np.zeros((40, 30, 3), np.uint8), "masks/train/0.png: expected a mask of one channel"),
        ("beyond", np.full((40, 30), 4, np.uint8), "masks/train/0.png: expected labels 0 to 3 and 255, found 4"),
        ("gone", None, "images/train/0.png: it has no mask"),
    ):
        shutil.rmtree(project / "mine", ignore_errors=True)
        pairs(project / "mine")
        (project / "mine/masks/train/0.png").unlink()
        if mask is not None:
            saved(project / "mine/masks/train/0.png", mask)
        before = contents(data_of(project, "segmentation") / "packed")
        mistake(door("segmentation.prepare"), told)
        assert contents(data_of(project, "segmentation") / "packed") == before, name


def test_a_class_with_too_few_images_is_told_by_its_name(project: Path, door: Any) -> None:
    one_folder_a_class(project / "mine", train=3)
    set_params("classification", layout="folders", root="../../mine", image_height=12, image_width=10)
    assert door("classification.prepare").code == 0
    mistake(door("classification.split"), "class cats: expected at least 7 training images, 2 with a label and 5 for")


def test_run_as_users_do_a_mistake_is_a_line_too(tmp_path: Path) -> None:
    for package in PACKAGES:
        others = shutil.ignore_patterns("data", ".dvc", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=others)
    path = params_of(tmp_path, "classification")
    path.write_text(path.read_text(encoding="utf-8") + "gama1: 5\n", encoding="utf-8")
    done = sh(tmp_path, sys.executable, "-m", "semi.classification.split")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: semi/classification/params.yaml: gama1: unknown parameter\n"


def test_the_projects_parameters_and_phases_fit() -> None:
    for task, form in zip(TASKS, (ClassificationParams, SegmentationParams), strict=True):
        params = form(**read_yaml(params_of(ROOT, task)))
        steps = read_yaml(params_of(ROOT, task).with_name("phases.yaml"))["phases"]
        assert {step["method"] for step in steps.values()} <= params.methods.keys()
