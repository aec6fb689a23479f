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
from mutual.few.phases import ALL, LABELLED, phase_of, read_phases
from mutual.noise.params import NoisyParams
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import SegmentationParams
from tools import noisy_preset, semi_preset
from tools.preset_files import Pipeline, phases_text

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = {"noisy": noisy_preset.NOISY, **semi_preset.TASKS}
FORMS: dict[str, type[View]] = {
    "noisy": NoisyParams,
    "classification": ClassificationParams,
    "segmentation": SegmentationParams,
}
EMBEDDED = {"noisy": "drawn", "classification": "digits", "segmentation": "drawn"}
ROWS = [(task, name) for task, pipeline in PIPELINES.items() for name in pipeline.files]
PHASED = [row for row in ROWS if row[0] != "noisy"]
AUTHORS = [0.2, 0.4, 0.6, 0.8, 1]  # shares of the phases of every method in the authors' code


@pytest.fixture(autouse=True)
def _top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def texts(task: str, name: str, text: str | None = None) -> dict[Path, str]:
    """What the files become with a preset, where the parameters are ``text`` or the project's."""
    pipeline = PIPELINES[task]
    return pipeline.texts(text or pipeline.params.read_text(encoding="utf-8"), pipeline.files[name])


def with_preset(task: str, name: str, text: str | None = None) -> str:
    return texts(task, name, text)[PIPELINES[task].params]


def chains_of(task: str, name: str) -> dict[str, list[tuple[str, float]]]:
    """The method and share of each phase of the preset, by chain."""
    found: dict[str, list[tuple[str, float]]] = {}
    for phase, step in parse_yaml(texts(task, name)[Path("semi", task, "phases.yaml")])["phases"].items():
        found.setdefault(phase_of(phase).chain, []).append((step["method"], step["share"]))
    return found


def own(task: str, name: str) -> dict[str, Any]:
    """What the preset's file says of the parameters."""
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
def test_the_projects_files_are_those_of_the_preset_with_embedded_data(task: str) -> None:
    found = texts(task, EMBEDDED[task])
    names = ["params.yaml"] if task == "noisy" else ["params.yaml", "phases.yaml"]
    assert [path.name for path in found] == names
    assert found == {path: path.read_text(encoding="utf-8") for path in found}


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


@pytest.mark.parametrize(("task", "name"), PHASED)
def test_figures_of_the_authors_are_of_runs_that_the_phases_have(task: str, name: str) -> None:
    assert set(own(task, name)["published"]) <= {*chains_of(task, name), LABELLED, ALL}


@pytest.mark.parametrize(("task", "name"), PHASED)
def test_every_method_has_the_phases_of_the_preset(task: str, name: str) -> None:
    """Where the authors have figures their own five; the embedded data have three, for the sake of time."""
    shares = [0.3, 0.6, 1] if name == EMBEDDED[task] else AUTHORS
    methods = ("curriculum", "dmt", "dst_cbc")
    chains = {"once": [("curriculum", 1)]} | {method: [(method, share) for share in shares] for method in methods}
    assert chains_of(task, name) == chains


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
    """Both tasks' parameters, phases and presets in a folder of their own, which is the current one."""
    for task in semi_preset.TASKS:
        names = ("params.yaml", "phases.yaml")
        for path in [*Path("semi", task, "presets").iterdir(), *(Path("semi", task, name) for name in names)]:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_is_put_in_and_the_other_task_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, "classification", "cifar10-4000")
    top = "semi/classification"
    assert capsys.readouterr().out == f"{top}/params.yaml and {top}/phases.yaml are those of cifar10-4000\n"
    assert {path: path.read_text() for path in map(Path, (f"{top}/params.yaml", f"{top}/phases.yaml"))} == texts(
        "classification", "cifar10-4000"
    )
    assert [len(chain) for chain in read_phases(folder / top / "phases.yaml")] == [1, 5, 5, 5]
    assert read_yaml(folder / "semi/classification/params.yaml")["published"] == {
        "labelled": 86.08,
        "curriculum": 94.02,
        "dmt": 94.21,
    }
    for name in ("params.yaml", "phases.yaml"):
        other = Path("semi/segmentation", name)
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


def test_a_method_that_was_deleted_is_missed_in_a_line() -> None:
    text = re.sub(r"(?m)^  dmt:\n(    .*\n)*", "", PIPELINES["classification"].params.read_text(encoding="utf-8"))
    assert "dmt:" not in text
    with pytest.raises(InputError, match=r"^semi/classification/presets/digits\.yaml: methods\.dmt\..*weights"):
        texts("classification", "digits", text)


LR = "params: {lr: 0.2}\n"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ("shares: [1]\nparams: {lr: -1}\n", r"lr: Input should be greater than 0, found -1"),
        ("shares: [1]\nparams: {labels: 3}\n", r"labels: Extra inputs are not permitted"),
        ("shares: [1]\nparams: {batch_size: 8}\n", r"labelled_in_batch: expected less than batch_size, got 8"),
        ("shares: [1]\nparams: {published: {dmt: 101}}\n", r"published\.dmt: .*less than or equal to 100"),
        ("shares: [1]\n", r"params: Field required"),
        (LR, r"shares: Field required"),
        (f"shares: [1]\nrounds: 3\n{LR}", r"rounds: Extra inputs are not permitted"),
        (f"shares: []\n{LR}", r"shares: List should have at least 1 item"),
        (f"shares: 1\n{LR}", r"shares: Input should be a valid list"),
        (f"shares: [0, 1]\n{LR}", r"shares\.0: Input should be greater than 0, found 0"),
        (f"shares: [0.5, 1.5]\n{LR}", r"shares\.1: Input should be less than or equal to 1, found 1\.5"),
        (f"shares: [0.5, .nan]\n{LR}", r"shares\.1: Input should be a finite number"),
        (f"shares: [0.5, half]\n{LR}", r"shares\.1: Input should be a valid number"),
        (f"shares: [0.6, 0.3, 1]\n{LR}", r"shares: .*expected rising shares, got \[0\.6, 0\.3, 1\.0\]"),
        (f"shares: [0.5, 0.5]\n{LR}", r"shares: .*expected rising shares"),
    ],
)
def test_nothing_is_written_of_a_preset_with_a_wrong_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch, values: str, fault: str
) -> None:
    Path("semi/classification/presets/mine.yaml").write_text(f"# mine\n{values}", encoding="utf-8")
    with pytest.raises(InputError, match=rf"presets/mine\.yaml: .*{fault}") as told:
        use(monkeypatch, "classification", "mine")
    assert "\n" not in str(told.value)
    for name in ("params.yaml", "phases.yaml"):
        path = Path("semi/classification", name)
        assert (folder / path).read_bytes() == (ROOT / path).read_bytes()


def test_a_pipeline_without_phases_has_no_shares(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\nshares: [1]\nparams: {lr: 0.2}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.yaml: shares: Extra inputs are not permitted"):
        noisy_preset.NOISY.texts(noisy_preset.NOISY.params.read_text(encoding="utf-8"), file)


def test_phases_follow_the_methods_in_the_parameters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the user's own has its chain, too; a chain may end below 1."""
    params = Path("semi/classification/params.yaml")
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("  curriculum:\n", "  mine:\n"), encoding="utf-8")
    Path("semi/classification/presets/mine.yaml").write_text("# mine\nshares: [5e-2, 0.125]\nparams: {}\n")
    use(monkeypatch, "classification", "mine")
    phases = Path("semi/classification/phases.yaml")
    assert phases.read_text(encoding="utf-8").partition("phases:\n")[2] == (
        "  mine-1: {method: mine, after: labelled, share: 0.05}\n"
        "  mine-2: {method: mine, after: mine-1, share: 0.125}\n"
        "  dmt-1: {method: dmt, after: labelled, share: 0.05}\n"
        "  dmt-2: {method: dmt, after: dmt-1, share: 0.125}\n"
        "  dst_cbc-1: {method: dst_cbc, after: labelled, share: 0.05}\n"
        "  dst_cbc-2: {method: dst_cbc, after: dst_cbc-1, share: 0.125}\n"
    )
    assert "phases.dmt-3={method:dmt,after:dmt-2,share:1}'\n" in phases.read_text(encoding="utf-8")
    before = phases.read_bytes()
    params.write_text(text.replace("  curriculum:\n", "  all:\n"), encoding="utf-8")
    with pytest.raises(InputError, match=r"phases\.yaml: 'all-1': expected the name of a chain"):
        use(monkeypatch, "classification", "mine")
    assert phases.read_bytes() == before


def test_a_method_called_once_takes_the_place_of_all_labels_at_once() -> None:
    """Each chain is there one time."""
    text = phases_text(["once", "curriculum"], [0.5, 1])
    assert list(parse_yaml(text)["phases"]) == ["once-1", "once-2", "curriculum-1", "curriculum-2"]
    assert {step["method"] for name, step in parse_yaml(text)["phases"].items() if "once" in name} == {"once"}


def test_an_unknown_name_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=re.escape("nothing: not a preset: expected cityscapes-371 or")):
        use(monkeypatch, "segmentation", "nothing")
    with pytest.raises(SystemExit):  # argparse's: no such task
        use(monkeypatch, "drawn")


def test_a_mapping_that_is_replaced_whole_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\nparams:\n  figures: {b: 2}\n  others:\n    b: 2\n", encoding="utf-8")
    params = tmp_path / "params.yaml"
    text = "figures: {a: 1}\nothers:\n  a: 1\n  b: 1\n# the last key\nlast: 5e-4\n"
    pipeline = Pipeline(params, lambda content, path: None, ("figures",))
    assert pipeline.texts(text, file) == {
        params: "figures: {b: 2}\nothers:\n  a: 1\n  b: 2\n# the last key\nlast: 5e-4\n"
    }
