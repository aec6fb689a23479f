"""The presets: complete, valid, and put into params.yaml without touching anything but values."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mutual.base.errors import InputError
from mutual.base.params import Params, read_params, read_rounds
from tests.test_pipeline import dvc, sh
from tools import preset

TOP = Path(__file__).parent.parent
NAMES = sorted(path.name for path in (TOP / "presets").iterdir())
ROUNDS = {name: 5 if name == "demo" else 50 if name.endswith("mmt-plus") else 40 for name in NAMES}
TASKS = ("dukemtmc2market1501", "market15012dukemtmc", "dukemtmc2msmt17", "market15012msmt17")


def params(name: str) -> Params:
    return read_params(TOP / "presets" / name / "params.yaml", TOP / "presets" / name / "rounds.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's parameters, rounds and presets in a folder of their own, which is the current one."""
    for name in ("params.yaml", "rounds.yaml"):
        shutil.copy(TOP / name, tmp_path / name)
    shutil.copytree(TOP / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["preset", *([name] if name else [])])
    preset.main()


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


# --- what is in them -------------------------------------------------------------------------------------------------


def test_every_task_has_both_presets() -> None:
    assert set(NAMES) == {"demo", "demo-long", *TASKS, *(f"{task}-mmt-plus" for task in TASKS)}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_complete_and_in_the_order_of_params(name: str) -> None:
    text = (TOP / "presets" / name / "params.yaml").read_text(encoding="utf-8")
    own = (TOP / "params.yaml").read_text(encoding="utf-8")
    keys = [re.findall(r"^(\w+):", content, re.MULTILINE) for content in (text, own)]
    assert keys[0] == keys[1]
    assert set(keys[0]) == set(Params.model_fields)
    assert params(name).model_dump() == YAML(typ="safe").load(text)  # as DVC reads it
    assert text.startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_the_rounds_are_a_chain(name: str) -> None:
    rounds = read_rounds(TOP / "presets" / name / "rounds.yaml")
    assert rounds == {f"r{i:02d}": f"r{i - 1:02d}" for i in range(1, ROUNDS[name] + 1)}


@pytest.mark.parametrize("task", TASKS)
def test_names_and_folders_are_those_of_the_task(task: str) -> None:
    folders = {"market1501": "Market-1501-v15.09.15", "dukemtmc": "DukeMTMC-reID", "msmt17": "MSMT17_V1"}
    found = params(task)
    assert f"{found.source_name}2{found.target_name}" == task
    assert (found.source_layout, found.target_layout) == (found.source_name, found.target_name)
    assert found.source_root == f"data/raw/{folders[found.source_name]}"
    assert found.target_root == f"data/raw/{folders[found.target_name]}"


@pytest.mark.parametrize("task", TASKS)
def test_mmt_plus_differs_in_what_it_says(task: str) -> None:
    plain, plus = (params(name).model_dump() for name in (task, f"{task}-mmt-plus"))
    changed = {key: plus[key] for key in plain if plain[key] != plus[key]}
    clustering = {"clustering": "dbscan", "dbscan_eps": 0.7, "k1": 30}
    assert changed == clustering | {"pooling": "gem", "backbone_lr_scale": 0.2}


def test_the_authors_presets_differ_in_task_and_clusters() -> None:
    task_keys = {f"{side}_{key}" for side in ("source", "target") for key in ("name", "layout", "root")}
    values = [params(task).model_dump() for task in TASKS]
    assert [each["clusters"] for each in values] == [500, 500, 1000, 1500]
    assert {key for each in values for key in each if each[key] != values[0][key]} == task_keys | {"clusters"}


# --- putting one in --------------------------------------------------------------------------------------------------


def test_the_demo_is_what_the_project_comes_with(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use("demo", monkeypatch)
    for name in ("params.yaml", "rounds.yaml"):
        assert (folder / name).read_bytes() == (TOP / name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_only_values_change_and_the_demo_brings_them_back(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "params.yaml").read_text(encoding="utf-8")
    use(name, monkeypatch)
    after = (folder / "params.yaml").read_text(encoding="utf-8")
    assert read_params() == params(name)
    assert (folder / "rounds.yaml").read_bytes() == (folder / "presets" / name / "rounds.yaml").read_bytes()
    assert comments(after) == comments(before)
    assert "weight_decay: 5e-4\n" in after
    use("demo", monkeypatch)
    assert (folder / "params.yaml").read_text(encoding="utf-8") == before


def test_a_file_that_dvc_has_rewritten_gets_its_form_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "params.yaml"
    before = path.read_bytes()
    yaml = YAML()  # the settings of `dvc exp run -S`: no indentation of lists
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["alpha"] = 0.5
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    assert b"seeds:\n- 1\n- 2\n" in path.read_bytes()
    use("demo", monkeypatch)
    assert path.read_bytes() == before


def test_lists_of_another_length_keep_the_comment_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "params.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("  - 14\n  - 19\n", "  - 3\n  - 4\n  - 5\n"), encoding="utf-8")
    assert read_params().pretrain_milestones == [3, 4, 5]
    use("demo", monkeypatch)
    assert path.read_text(encoding="utf-8") == before


def test_without_a_name_they_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "params.yaml").read_bytes()
    use(None, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert "demo-long                     The demo at the size of a published task" in lines[1]
    assert (folder / "params.yaml").read_bytes() == before


def test_an_unknown_name_is_answered_with_the_known_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"^dukemtmc: not a preset, expected demo, demo-long, dukemtmc2market1501, .*$"
    ):
        use("dukemtmc", monkeypatch)


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("presets/demo-long/params.yaml", "alpha: 1", r"params\.yaml: alpha: missing|demo_seed: missing"),
        ("presets/demo-long/rounds.yaml", "rounds: {1: r00}", "expected round names"),
        ("params.yaml", "alpha: [", "not valid YAML"),
        ("params.yaml", "alpha: 0.5", "missing"),
    ],
)
def test_nothing_is_written_when_anything_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, fault: str
) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    before = {name: (folder / name).read_bytes() for name in ("params.yaml", "rounds.yaml")}
    with pytest.raises(InputError, match=fault):
        use("demo-long", monkeypatch)
    assert {name: (folder / name).read_bytes() for name in before} == before


# --- the pipeline that DVC makes of them -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the pipeline's description, no code and no data."""
    folder = tmp_path_factory.mktemp("pipeline")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(TOP / name, folder / name)
    shutil.copytree(TOP / "presets", folder / "presets")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").touch()
    assert sh(folder, "git", "init", "--quiet").returncode == 0
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_dvc_makes_every_stage_of_every_round(name: str, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pipeline)
    use(name, monkeypatch)
    graph = dvc(pipeline, "dag", "--mermaid")
    rounds = [f"r{i:02d}" for i in range(1, ROUNDS[name] + 1)]
    looped = [f"{stage}@{number}" for stage in ("extract", "cluster", "train", "evaluate") for number in rounds]
    once = ["synthesize", "prepare@source", "prepare@target", "pretrain@1", "pretrain@2", "direct", "report"]
    assert sorted(re.findall(r'\["(.+)"\]', graph)) == sorted(looped + once)
