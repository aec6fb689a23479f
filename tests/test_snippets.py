"""Every fenced block of README.md and docs/ is run by a test: those for a shell here, page by page, as a reader would.

They run in a project that is thin: the stages of dvc.yaml, but commands that write a line into each output, instead of
computing it. What the stages compute is the subject of test_pipeline.py.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mutual.base.documents import parse_yaml, read_yaml
from mutual.base.params import read_params, read_rounds
from tests.snippets import BLOCKS, ROOT, blocks, calls
from tests.tiny_demo import commit, set_params, sh, stages_run
from tools import preset

# Blocks that are run where the data and networks are that they need. Each of these tests takes all blocks of the page.
TESTED = {
    ("README.md", "python"): "test_export.py::test_the_example_computes_the_features_of_the_project",
    ("README.md", "yaml"): "test_snippets.py::test_the_parameters_of_real_data_are_valid",
    ("README.md", "mermaid"): "test_snippets.py::test_the_picture_of_the_pipeline_has_its_stages",
    ("README.md", ""): "test_snippets.py::test_the_list_of_the_house_names_what_is_there",
    ("docs/noisy.md", "mermaid"): "test_snippets.py::test_the_picture_of_the_pipeline_has_its_stages",
    ("docs/semi.md", "mermaid"): "test_snippets.py::test_the_picture_of_the_pipeline_has_its_stages",
    ("docs/backbones.md", "python"): "test_timm.py::test_the_lines_of_the_page_run",
    ("docs/extending.md", "diff"): "test_docs.py::test_a_diff_applies_to_the_code_as_it_is",
    ("docs/extending.md", "python"): "test_docs.py::test_what_a_diff_adds_works",
    ("docs/own-data.md", "csv"): "test_own_page.py::test_the_list_of_the_page",
    ("docs/own-data.md", "yaml"): "test_own_page.py::test_the_page_step_by_step",
    ("docs/page.md", "python"): "test_page.py::test_what_the_documentation_shows_holds",
    ("docs/presets.md", "yaml"): "test_snippets.py::test_the_preset_of_the_page_is_one",
    ("docs/search.md", "python"): "test_search.py::test_what_the_page_of_the_documentation_shows_works",
}
# Commands that take networks, pictures or the code itself. These tests run every line of the pages that calls one.
TOOLS = {
    "tools.check": "test_own_page.py::test_the_page_step_by_step",
    "tools.declare": "test_docs.py::test_a_parameter_touches_two_files_and_dvc_yaml_follows",
    "tools.embed": "test_search.py::test_what_the_page_of_the_documentation_shows_works",
    "tools.export": "test_export.py::test_the_lines_of_the_documentation_write_their_files",
    "tools.page": "test_page.py::test_the_runs_that_the_documentation_compares_with",
    "tools.search": "test_search.py::test_what_the_page_of_the_documentation_shows_works",
    # half an hour: the test runs a row
    "tools.bench": "test_bench.py::test_all_rows_are_written_and_named_ones_are_printed",
}
# Formulas are read and not run; test_docs.py holds the functions beside them against the code.
READ = {"math"}

PAGES = sorted({block.page for block in BLOCKS if block.language == "sh"})
# An experiment's stage check reads all parameters; what runs again for which is the subject of test_pipeline.py
CHECKED = ("dvc exp run", "dvc exp run check")
# What a reader replaces, or does in another folder, and what would take longer and show no more
REPLACED = {
    "README.md": [
        ("<commit>", "--force HEAD"),  # what is not committed goes
        ("rounds.r06=r05", "rounds.r04=r03"),
        CHECKED,
        ("dvc queue start", "dvc queue start --help"),  # works on in the background when the test has ended
        ("&& dvc repro", "&& dvc repro --dry"),
        ("dvc repro report", "dvc repro --dry report"),
    ],
    "docs/backbones.md": [CHECKED],
    "docs/export.md": [
        ("/mnt/share/mmt", "$PWD/../store"),
        ("https://example.org/our/fork", "file://$PWD/../origin"),
        ("dvc artifacts get", "cd .. && mkdir others && cd others && dvc artifacts get"),
        ("dvc get", "rm -r adapted && dvc get"),
    ],
    "docs/machines.md": [("dvc exp run", "dvc exp run --queue"), ("s3://our-bucket/mmt", "$PWD/../store")],
    "docs/noisy.md": [("make noisy", "make --dry-run noisy"), ("dvc exp run", "dvc exp run --queue")],
    "docs/semi.md": [("make semi", "make --dry-run semi"), ("dvc exp run", "dvc exp run --queue")],
    # three rounds instead of forty, and nothing new to commit
    "docs/presets.md": [
        ("dvc repro report", "dvc repro --dry report"),
        ("git commit", "git commit --allow-empty"),
        ("r40", "r03"),
        ("r39", "r02"),
        ("r38", "r01"),
        ("1 38", "01 01"),
    ],
}
# What stands for programs: python but for the tools above, the checks that this test is one of, what needs a network or
# a cluster
PROGRAMS = {
    "python": f'case "$2" in {"|".join(TOOLS)}) echo "$@" >>../calls.txt ;; *) exec "{sys.executable}" "$@" ;; esac',
    "ruff": "",
    "mypy": "",
    "pytest": "",
    "sbatch": "",
    "curl": 'touch "${2##*/}"',
}
# Writes each of the outputs that follow
FILL = """\
for out; do
    case $out in *.*) mkdir -p "${out%/*}" ;; *) mkdir -p "$out" && out=$out/file.csv ;; esac
    case $out in
    *.csv) echo round,iteration,mAP,rank1,nmi,ari,purity,clusters,value,loss && echo 1,1,.5,.5,.5,.5,.5,9,.5,.5 ;;
    *.json) echo '{"last_round": 5}' ;;
    *) echo "$DVC_STAGE" ;;
    esac >"$out"
done
"""


def path_of(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def is_kept(path: str) -> bool:
    """Whether a dependency or output is one of the thin project: no code, and one or two files of each stage."""
    code = path.startswith("data/code")
    further = path.endswith(("source_features.npy", "agreement.json", "centroids.npy"))
    return not code and not further and ("/packed/" not in path or path.endswith("train.npy"))


def thinned(file: str) -> str:
    """A dvc.yaml whose stages depend on each other alone and fill their outputs; check is the real one.

    DVC takes most of its time to read and write what stages depend on.
    """
    content = read_yaml(ROOT / file)
    content["stages"].pop("code", None)
    for name, stage in content["stages"].items():
        stage = stage.get("do", stage)
        stage["deps"] = [path for path in stage["deps"] if is_kept(path)]
        stage["outs"] = [out for out in stage["outs"] if is_kept(path_of(out))]
        stage.pop("params", None)
        stage.pop("desc")
        outs = [path_of(out) for out in (*stage["outs"], *stage.get("metrics", ()))]
        if name == "synthesize":
            outs = [f"data/demo/{folder}/a.jpg" for folder in ("DukeMTMC-reID", "Market-1501-v15.09.15")] + outs[1:]
        if name == "last":
            outs = [f"data/retrieval/last/{file}" for file in ("believed.npy", "clustering.json")] + outs[1:]
        if name != "check":
            stage["cmd"] = " ".join(["sh fill.sh", *outs])
    return yaml.safe_dump(content, sort_keys=False)


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The thin project, reproduced and committed, in a folder with the repository that it is pushed to."""
    folder = tmp_path_factory.mktemp("thin") / "project"
    folder.mkdir()
    for name in (".gitattributes", ".gitignore", ".dvcignore", "none", "imagenet", "Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    others = shutil.ignore_patterns("__pycache__", "cache", "tmp", "*.local", "dvc.lock", "data", "metrics")
    for name in (".dvc", "demo", "presets", "mutual", "noisy", "semi", "stages", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=others)
    for file in ("dvc.yaml", "demo/dvc.yaml"):
        (folder / file).write_text(thinned(file), encoding="utf-8")
    (folder / "fill.sh").write_text(FILL, encoding="utf-8")
    for path in (folder / "presets").iterdir():
        path.write_text(re.sub(r"(?m)^rounds: .*", "rounds: 3", path.read_text(encoding="utf-8")), encoding="utf-8")
    # the comments of params.yaml go: DVC would read them, again and again
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "params.yaml").write_text("".join(line for line in lines if line[0] != "#"), encoding="utf-8")
    for data_set in ("DukeMTMC-reID", "Market-1501-v15.09.15"):
        (folder / "data/raw" / data_set).mkdir(parents=True)
        (folder / "data/raw" / data_set / "a.jpg").touch()
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    for name, line in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / ".venv/.complete").touch()
    for command in (
        ("git", "init", "--quiet", "--bare", "--initial-branch=main", "../origin"),
        ("git", "init", "--quiet", "--initial-branch=main"),
        ("git", "remote", "add", "origin", "../origin"),
    ):
        assert sh(folder, *command).returncode == 0
    commit(folder)
    done = shell(folder, "make preset NAME=demo && dvc repro")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(folder)
    assert sh(folder, "git", "push", "--quiet", "--set-upstream", "origin", "main").returncode == 0
    return folder


def shell(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run lines as a reader does who has the environment active, and answers yes to every question."""
    path = os.pathsep.join([str(folder / ".venv/bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    who = {f"GIT_{role}_{key}": "test" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | who | {"PATH": path, "OMP_NUM_THREADS": "1"},
        input="y\n" * 10,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_lines_for_a_shell_run(thin: Path, page: str, tmp_path: Path) -> None:
    folder, called = tmp_path / "project", tmp_path / "calls.txt"
    shutil.copytree(thin.parent, tmp_path, symlinks=True, dirs_exist_ok=True)
    called.touch()
    script = "\n".join(blocks(page, "sh"))
    for written, run in REPLACED.get(page, ()):
        assert written in script
        script = script.replace(written, run)
    done = shell(folder, "set -x\n" + script)
    assert done.returncode == 0, done.stdout + done.stderr
    if page == "docs/presets.md":  # the last line's promise
        assert stages_run(done.stdout.rpartition("Removed ")[2]) == ["last"]
    for line in called.read_text(encoding="utf-8").splitlines():  # of the tools above: what their tests call
        _, module, *arguments = line.split()
        assert arguments in [[], *calls(module)]


# --- what is in the blocks --------------------------------------------------------------------------------------------


def test_every_block_is_run_by_a_test() -> None:
    """A block of a language that its page has not had before needs a test that runs it, and a line in TESTED."""
    others = {(block.page, block.language) for block in BLOCKS if block.language not in {"sh", *READ}}
    assert others == set(TESTED)


@pytest.mark.parametrize("test", sorted({*TESTED.values(), *TOOLS.values()}))
def test_the_tests_that_run_blocks_are_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_the_tools_that_have_tests_of_their_own_stand_in_the_pages() -> None:
    assert [module for module in TOOLS if not calls(module)] == []


@pytest.fixture
def parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's parameters, rounds and presets in a folder of their own, which is the current one."""
    for name in ("params.yaml", "rounds.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_parameters_of_real_data_are_valid(parameters: Path) -> None:
    (text,) = blocks("README.md", "yaml")
    set_params(parameters, parse_yaml(text))
    params = read_params()
    assert (params.source.layout, params.target.layout) == ("dukemtmc", "market1501")
    assert (params.source.root, params.target.root) == (
        "/datasets/DukeMTMC-reID",
        "/datasets/Market-1501-v15.09.15",
    )


def test_the_preset_of_the_page_is_one(parameters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = blocks("docs/presets.md", "yaml")
    (parameters / "presets/mine.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["preset", "mine"])
    preset.main()
    assert len(read_rounds()) == 50
    assert read_yaml(parameters / "params.yaml")["pooling"] == "gem"
    assert read_params().target.name == "market1501"


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ("README.md", ("dvc.yaml", "demo/dvc.yaml")),
        ("docs/noisy.md", ("noisy/dvc.yaml", "noisy/drawn/dvc.yaml")),
        ("docs/semi.md", ("semi/segmentation/dvc.yaml", "semi/segmentation/drawn/dvc.yaml")),
    ],
)
def test_the_picture_of_the_pipeline_has_its_stages(page: str, files: tuple[str, str]) -> None:
    (text,) = blocks(page, "mermaid")
    stages = {name for file in files for name in read_yaml(ROOT / file)["stages"]}
    edges = [line for line in text.splitlines() if ">" in line]
    labels = re.sub(r"\|[^|]*\||\[[^]]*\]", " ", "\n".join(edges))  # of arrows and boxes
    assert set(re.findall(r"\w+", labels)) == stages - {"code"}  # which all of them depend on


def test_the_list_of_the_house_names_what_is_there() -> None:
    (text,) = blocks("README.md", "")
    names, rooms, within = set(), set(), ""
    for line in text.splitlines():
        column = re.split(r" {2,}", line.strip())[0]
        if not line.startswith(" "):
            names |= set(column.split())
            within = column
        elif within == "mutual/":
            rooms.add(column)
    made = {"data/", "models/"}  # by the pipeline
    assert [name for name in sorted(names - made) if not (ROOT / name).exists()] == []
    assert rooms == {f"{path.parent.name}/" for path in (ROOT / "mutual").glob("*/__init__.py")}
    tools = text[text.index("tools/") : text.index("demo/")].partition("by hand:")[2]
    assert [name for name in re.findall(r"\w+", tools) if not (ROOT / f"tools/{name}.py").exists()] == []
    stages = re.findall(r"\w+", text[text.index("stages/") :].partition(":")[0])[1:]
    assert sorted(stages) == sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py") if path.stem != "door")
