"""The presets of a pipeline with one file of parameters: the same keys in each, valid, and put in without a trace."""

import re
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from mutual.base.documents import parse_yaml, read_yaml
from mutual.base.errors import InputError
from mutual.base.params import View
from mutual.classification.params import ClassificationParams
from mutual.few.phases import ALL, LABELLED, read_phases
from mutual.noise.params import NoisyParams
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import SegmentationParams
from tools import noisy_preset, semi_preset
from tools.preset_files import Pipeline

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = {"noisy": noisy_preset.NOISY, **semi_preset.TASKS}
FORMS: dict[str, type[View]] = {
    "noisy": NoisyParams,
    "classification": ClassificationParams,
    "segmentation": SegmentationParams,
}
EMBEDDED = {"noisy": "drawn", "classification": "digits", "segmentation": "drawn"}
ROWS = [(task, name) for task, pipeline in PIPELINES.items() for name in pipeline.files]


@pytest.fixture(autouse=True)
def _top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def with_preset(task: str, name: str, text: str | None = None) -> str:
    pipeline = PIPELINES[task]
    return pipeline.with_preset(text or pipeline.params.read_text(encoding="utf-8"), pipeline.files[name])


def own(task: str, name: str) -> dict[str, Any]:
    """What the preset's file says."""
    found: dict[str, Any] = read_yaml(PIPELINES[task].files[name])["params"]
    return found


def flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Values by the keys that lead to them, but for the authors' figures, which are one value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict) and key != "published"
        found |= flat(value, f"{above}{key}.") if inner else {above + key: value}
    return found


def test_every_task_has_its_presets() -> None:
    assert set(PIPELINES["classification"].files) == {"digits", *(f"cifar10-{n}" for n in (40, 250, 1000, 4000))}
    assert set(PIPELINES["segmentation"].files) == {
        "drawn",
        *(f"voc2012-{n}" for n in (99, 211, 530, 1464)),
        *(f"cityscapes-{n}" for n in (99, 371)),
    }


@pytest.mark.parametrize("task", PIPELINES)
def test_the_projects_parameters_are_those_of_the_preset_with_embedded_data(task: str) -> None:
    assert with_preset(task, EMBEDDED[task]) == PIPELINES[task].params.read_text(encoding="utf-8")


@pytest.mark.parametrize("task", PIPELINES)
def test_all_presets_of_a_task_name_the_same_keys_in_one_order(task: str) -> None:
    keys = {tuple(flat(own(task, name))) for name in PIPELINES[task].files}
    assert len(keys) == 1


@pytest.mark.parametrize("task", PIPELINES)
def test_nothing_is_left_of_another_preset(task: str) -> None:
    alone = {name: with_preset(task, name) for name in PIPELINES[task].files}
    for one, other in permutations(alone, 2):
        assert with_preset(task, other, alone[one]) == alone[other]


@pytest.mark.parametrize(("task", "name"), ROWS)
def test_a_preset_changes_what_it_names_and_no_comment(task: str, name: str) -> None:
    before = PIPELINES[task].params.read_text(encoding="utf-8")
    after = with_preset(task, name)
    wanted = flat(read_yaml(PIPELINES[task].params)) | flat(own(task, name))
    assert flat(parse_yaml(after)) == wanted
    assert [line for line in after.splitlines() if "#" in line] == [line for line in before.splitlines() if "#" in line]
    assert "weight_decay: 5e-4\n" in after
    FORMS[task].model_validate(parse_yaml(after))


@pytest.mark.parametrize(("task", "name"), [row for row in ROWS if row[0] != "noisy"])
def test_figures_of_the_authors_are_of_runs_that_the_phases_have(task: str, name: str) -> None:
    chains = {chain[0].chain for chain in read_phases(PIPELINES[task].params.with_name("phases.yaml"))}
    assert set(own(task, name)["published"]) <= chains | {LABELLED, ALL}


def test_cifar_10_is_split_and_batched_as_the_authors_have_it() -> None:
    for images in (40, 250, 1000, 4000):
        found = own("classification", f"cifar10-{images}")
        assert 10 * found["labels_per_class"] == images
        assert found["labelled_in_batch"] == (16 if images == 1000 else 64)
        # no fewer batches than with one a pass over the labelled images, which is what the authors' passes are at least
        assert found["labelled_epochs"] * images >= 750 * min(images, 512)
        FORMS["classification"].model_validate(parse_yaml(with_preset("classification", f"cifar10-{images}")))


def test_networks_of_segmentation_start_where_the_authors_do() -> None:
    for name in ("voc2012-99", "voc2012-1464", "cityscapes-371"):
        params = SegmentationParams.model_validate(parse_yaml(with_preset("segmentation", name)))
        first, second = forms_of(params.network, params.classes)
        assert Path(first.weights) == Path("semi/segmentation/../../data/raw/resnet101COCO-41f33a49.pth")
        assert first.colours == "coco"
        assert (second.weights, second.colours) == (
            (first.weights, "coco") if name == "voc2012-99" else ("imagenet", "imagenet")
        )


# --- as a command ----------------------------------------------------------------------------------------------------


def use(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["semi_preset", *arguments])
    semi_preset.main()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both tasks' parameters and presets in a folder of their own, which is the current one."""
    for task in semi_preset.TASKS:
        for path in [*Path("semi", task, "presets").iterdir(), Path("semi", task, "params.yaml")]:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_is_put_in_and_the_other_task_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, "classification", "cifar10-4000")
    assert capsys.readouterr().out == "semi/classification/params.yaml is that of cifar10-4000\n"
    assert (folder / "semi/classification/params.yaml").read_text() == with_preset("classification", "cifar10-4000")
    assert read_yaml(folder / "semi/classification/params.yaml")["published"] == {
        "labelled": 86.08,
        "curriculum": 94.02,
        "dmt": 94.21,
    }
    other = Path("semi/segmentation/params.yaml")
    assert (folder / other).read_bytes() == (ROOT / other).read_bytes()


def test_without_a_name_they_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch)
    both = capsys.readouterr().out
    use(monkeypatch, "segmentation")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PIPELINES["segmentation"].files)
    assert "cityscapes-99   Cityscapes with 99 masks" in lines[1]
    assert both.splitlines()[0] == "classification:"
    assert all(line in both for line in lines)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ("  lr: -1\n", r"lr: Input should be greater than 0, found -1"),
        ("  labels: 3\n", r"labels: Extra inputs are not permitted"),
        ("  batch_size: 8\n", r"labelled_in_batch: expected less than batch_size, got 8"),
        ("  published: {dmt: 101}\n", r"published\.dmt: .*less than or equal to 100"),
    ],
)
def test_nothing_is_written_of_a_preset_with_a_wrong_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch, values: str, fault: str
) -> None:
    Path("semi/classification/presets/mine.yaml").write_text(f"# mine\nparams:\n{values}", encoding="utf-8")
    with pytest.raises(InputError, match=rf"presets/mine\.yaml: .*{fault}"):
        use(monkeypatch, "classification", "mine")
    before = ROOT / "semi/classification/params.yaml"
    assert (folder / "semi/classification/params.yaml").read_bytes() == before.read_bytes()


def test_an_unknown_name_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=re.escape("nothing: not a preset: expected cityscapes-371 or")):
        use(monkeypatch, "segmentation", "nothing")
    with pytest.raises(SystemExit):  # argparse's: no such task
        use(monkeypatch, "drawn")


def test_a_mapping_that_is_replaced_whole_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\nparams:\n  figures: {b: 2}\n  others:\n    b: 2\n", encoding="utf-8")
    text = "figures: {a: 1}\nothers:\n  a: 1\n  b: 1\n# the last key\nlast: 5e-4\n"
    pipeline = Pipeline(tmp_path / "params.yaml", lambda content, path: None, ("figures",))
    assert pipeline.with_preset(text, file) == (
        "figures: {b: 2}\nothers:\n  a: 1\n  b: 2\n# the last key\nlast: 5e-4\n"
    )
