"""The presets: complete, valid, and put into params.yaml without touching anything but values."""

import itertools
import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml as as_dvc
from ruamel.yaml import YAML

from mutual.base.documents import read_yaml
from mutual.base.errors import InputError
from mutual.base.params import read_params, read_rounds
from tests.tiny_demo import dvc, sh
from tools import preset

TOP = Path(__file__).parent.parent
DEMO: dict[str, Any] = YAML(typ="safe", pure=True).load((TOP / "params.yaml").read_text(encoding="utf-8"))
NAMES = sorted(path.stem for path in (TOP / "presets").iterdir())
ROUNDS = {name: 50 if name.endswith("mmt-plus") else 40 for name in NAMES} | {"demo": 5, "demo-too-far": 10}

# what each preset is, as the demo's values and the differences from these: spelled out, as a run would be described
AUTHORS = {
    "image_height": 256,
    "image_width": 128,
    "backbone": "resnet50",
    "weights": "imagenet",
    "bn_groups": 4,
    "padding": 10,
    "pretrain_epochs": 80,
    "pretrain_iterations": 100,
    "pretrain_lr": 3.5e-4,
    "pretrain_warmup_epochs": 10,
    "pretrain_milestones": [40, 70],
    "pretrain_eval_epochs": 40,
    "clusters": 500,
    "kmeans_iterations": 300,
    "dbscan_rho": 1.6e-3,
    "iterations": 400,
    "alpha": 0.999,
    "soft_tri_weight": 0.8,
    "erase_probability": 0.5,
}
ROOTS = {
    "market1501": "data/raw/Market-1501-v15.09.15",
    "dukemtmc": "data/raw/DukeMTMC-reID",
    "msmt17": "data/raw/MSMT17_V1",
}


def data(source: str, target: str) -> dict[str, Any]:
    sets = {"source": source, "target": target}
    own = {f"{side}_{key}": name for side, name in sets.items() for key in ("name", "layout")}
    return own | {f"{side}_root": ROOTS[name] for side, name in sets.items()}


TASKS = {
    "dukemtmc2market1501": AUTHORS | data("dukemtmc", "market1501"),
    "market15012dukemtmc": AUTHORS | data("market1501", "dukemtmc"),
    "dukemtmc2msmt17": AUTHORS | data("dukemtmc", "msmt17") | {"clusters": 1000},
    "market15012msmt17": AUTHORS | data("market1501", "msmt17") | {"clusters": 1500},
}
MMT_PLUS = {"pooling": "gem", "clustering": "dbscan", "dbscan_eps": 0.7, "k1": 30, "backbone_lr_scale": 0.2}
SMALL = {"image_height": 128, "image_width": 64, "padding": 5, "weights": "none", "precision": "bf16"}
MANY = {
    "demo_source_pids": 700,
    "demo_target_pids": 500,
    "demo_test_pids": 300,
    "demo_images_per_source_pid": 20,
}
DEMOS: dict[str, dict[str, Any]] = {
    "demo": {},
    "demo-too-far": {"iterations": 100},
    "demo-long": AUTHORS | SMALL | MANY,
}
DIFFERENCES = DEMOS | TASKS | {f"{task}-mmt-plus": values | MMT_PLUS for task, values in TASKS.items()}


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


def values(path: Path) -> dict[str, Any]:
    """A params.yaml as DVC reads it."""
    found: dict[str, Any] = as_dvc(path.read_text(encoding="utf-8"), str(path))
    return found


# --- what is in them -------------------------------------------------------------------------------------------------


def test_every_task_has_both_presets() -> None:
    assert set(NAMES) == set(DIFFERENCES)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_what_it_is_and_changes_something(name: str) -> None:
    path = TOP / "presets" / f"{name}.yaml"
    assert path.read_text(encoding="utf-8").startswith("# ")
    content = read_yaml(path, preset.Preset)
    assert content.rounds == ROUNDS[name]
    if content.start is not None:
        inherited: dict[str, Any] = {}
        for file in preset.lineage(name)[:-1]:
            inherited |= values(file)["params"]
        unchanged = {key for key, value in content.params.items() if inherited[key] == value}
        # one that another explains, or could be believed to change
        assert unchanged <= {"clusters"}


def test_the_demo_names_every_key_that_any_preset_changes() -> None:
    changed = {key for name in NAMES for key in read_yaml(TOP / "presets" / f"{name}.yaml", preset.Preset).params}
    assert set(read_yaml(TOP / "presets/demo.yaml", preset.Preset).params) == changed


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
    assert values(folder / "params.yaml") == DEMO | DIFFERENCES[name]
    assert list(values(folder / "params.yaml")) == list(DEMO)
    read_params()
    rounds = [f"r{number:02d}" for number in range(ROUNDS[name] + 1)]
    assert read_rounds() == {name: start for start, name in itertools.pairwise(rounds)}
    assert f"rounds.r{ROUNDS[name] + 1:02d}={rounds[-1]}'" in (folder / "rounds.yaml").read_text(encoding="utf-8")
    assert comments(after) == comments(before)
    assert "weight_decay: 5e-4\n" in after
    use("demo", monkeypatch)
    assert (folder / "params.yaml").read_text(encoding="utf-8") == before


def test_nothing_is_left_of_another_preset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = folder / "params.yaml", folder / "rounds.yaml"
    alone = {name: preset.texts(name) for name in NAMES}
    for name in random.Random(0).sample(NAMES * 2, 2 * len(NAMES)):
        use(name, monkeypatch)
        assert [file.read_text(encoding="utf-8") for file in files] == list(alone[name].values())


def test_what_no_preset_names_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("rerank: false", "rerank: true"), encoding="utf-8")
    use("demo-long", monkeypatch)
    assert read_params().evaluation.rerank


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
    assert read_params().pretraining.pretrain_milestones == [3, 4, 5]
    use("demo", monkeypatch)
    assert path.read_text(encoding="utf-8") == before


def test_a_preset_may_change_the_keys_of_a_method(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "params.yaml"
    before = path.read_text(encoding="utf-8")
    own = "params:\n  method: coteaching\n  coteaching:\n    forget_rate: 0.5\n"
    (folder / "presets/mine.yaml").write_text(f"# mine\nfrom: demo\nrounds: 5\n{own}", encoding="utf-8")
    use("mine", monkeypatch)
    found = read_params()
    assert (found.adaptation.method, found.coteaching.forget_rate, found.coteaching.forget_rounds) == (
        "coteaching",
        0.5,
        3,
    )
    after = before.replace("\nmethod: mmt\n", "\nmethod: coteaching\n").replace("forget_rate: 0.2", "forget_rate: 0.5")
    assert path.read_text(encoding="utf-8") == after


@pytest.mark.parametrize(
    ("own", "fault"),
    [
        ("  coteaching: 5\n", "coteaching: expected its keys below it: forget_rate"),
        ("  coteaching:\n    rate: 5\n", "coteaching.rate: unknown parameter"),
        ("  coteaching.forget_rate: 0.3\n", "coteaching.forget_rate: expected forget_rate below coteaching, indented"),
    ],
)
def test_a_preset_with_a_wrong_key_of_a_method_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, own: str, fault: str
) -> None:
    (folder / "presets/mine.yaml").write_text(f"# mine\nfrom: demo\nrounds: 5\nparams:\n{own}", encoding="utf-8")
    with pytest.raises(InputError, match=rf"mine\.yaml: {re.escape(fault)}"):
        use("mine", monkeypatch)


def test_without_a_name_they_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "params.yaml").read_bytes()
    use(None, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert "demo-long                     The demo at the size of a published task" in lines[1]
    assert (folder / "params.yaml").read_bytes() == before


def test_an_unknown_name_is_answered_with_those_most_like_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^dukemtmc2msmt: not a preset, did you mean dukemtmc2msmt17 or [\w-]+\?"):
        use("dukemtmc2msmt", monkeypatch)


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("presets/demo-long.yaml", "rounds: 5\nparams: {alpha: 1}", r"demo-long\.yaml: alpha: expected less than 1"),
        ("presets/demo-long.yaml", "rounds: 5\nparams: {alhpa: 1}", r"demo-long\.yaml: alhpa: unknown parameter, did"),
        ("presets/demo-long.yaml", "rounds: 0\nparams: {}", r"demo-long\.yaml: rounds: .*greater than or equal to 1"),
        ("presets/demo-long.yaml", "rounds: 5", r"demo-long\.yaml: params: .*required"),
        ("presets/demo-long.yaml", "rounds: 5\nparams: {}\nform: demo", r"demo-long\.yaml: form: .*not permitted"),
        ("presets/demo-long.yaml", "from: duke\nrounds: 5\nparams: {}", r"demo-long\.yaml: from: duke: not a preset"),
        ("presets/demo-long.yaml", "from: demo-long\nrounds: 5\nparams: {}", r"from: demo-long starts from this one"),
        ("presets/demo.yaml", "from: demo-long\nrounds: 5\nparams: {}", r"demo\.yaml: from: demo-long starts from"),
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
    once = [
        "code",
        "check",
        "check_target",
        "last",
        "prepare@source",
        "prepare@target",
        "pretrain@1",
        "pretrain@2",
        "direct",
        "page",
        "report",
    ]
    assert sorted(re.findall(r'\["(.+)"\]', graph)) == sorted(looped + once)
