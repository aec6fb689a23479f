"""The pages of docs/ against the code: what they name is there, and the changes that they show apply and work."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import snippets
from tests.snippets import calls
from tools.imports import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
METHOD = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("docs/method.md", "docs/refineries.md"))
EXTENDING = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
SECTIONS = {part.split("\n", 1)[0]: part for part in re.split(r"(?m)^## ", EXTENDING)[1:]}
CODE = (*PACKAGES, "params.yaml", "rounds.yaml", "dvc.yaml", "pyproject.toml")

# runs the lines of every section by themselves, then the stage with the new clustering: section -> what went wrong
RUNNER = """
import json, re, sys, traceback
from pathlib import Path

def outcome(run):
    try:
        run()
    except BaseException:
        return traceback.format_exc()
    return ""

def stage():
    import numpy as np
    params = Path("params.yaml").read_text(encoding="utf-8")
    for key, value in (("clustering", "agglomeration"), ("clusters", 3)):
        params = re.sub(rf"(?m)^{key}: .*", f"{key}: {value}", params)
    Path("params.yaml").write_text(params, encoding="utf-8")
    for folder in ("data/rounds/r01", "data/packed/target", "models/r00"):
        Path(folder).mkdir(parents=True)
    rows = "".join(f"{i}.jpg,{i // 4},{i % 2}\\n" for i in range(12))
    Path("data/packed/target/train.csv").write_text("file,pid,camid\\n" + rows)
    noise = 0.01 * np.random.default_rng(1).standard_normal((12, 3), np.float32)
    np.save("data/rounds/r01/features.npy", np.repeat(np.eye(3, dtype=np.float32), 4, axis=0) + noise)
    np.save("data/rounds/r01/source_features.npy", np.zeros((0, 3), np.float32))
    Path("data/rounds/r01/agreement.json").write_text("{}")
    sys.argv = ["cluster", "--round", "r01", "--start", "r00"]
    from stages.cluster import main
    main()

sections = json.loads(Path("sections.json").read_text(encoding="utf-8"))
outcomes = {name: outcome(lambda: exec(lines, {"__name__": name})) for name, lines in sections.items()}
outcomes["stage"] = outcome(stage)
Path("outcomes.json").write_text(json.dumps(outcomes), encoding="utf-8")
"""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def changed(diff: str) -> list[str]:
    """The files that a diff changes or makes."""
    return re.findall(r"(?m)^\+\+\+ b/(.+)$", diff)


def named(file: Path) -> set[str]:
    """What a file defines at its top: functions, classes, their methods and fields as Class.name, constants."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            inside = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
            names |= {inside + target.id for target in targets if isinstance(target, ast.Name)}
            if inside and isinstance(part, ast.FunctionDef):
                names.add(inside + part.name)
    return names


def linked(text: str) -> list[tuple[str, str]]:
    """(name, path) of each name in a link to a file: [`name`](../path.py)."""
    links = re.findall(r"\[([^\]]*`[^\]]*)\]\(\.\./([\w/]+\.py)\)", text)
    return [(name, path) for label, path in links for name in re.findall(r"`([\w.]+)`", label)]


def patch(folder: Path, diff: str) -> subprocess.CompletedProcess[str]:
    """Apply a diff to a folder that belongs to no repository, wherever it lies."""
    outside = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "apply", "-"]
    return subprocess.run(command, cwd=folder, env=outside, input=diff, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the code with all diffs applied in order, and what git said of each section's."""
    folder = tmp_path_factory.mktemp("extended") / "project"
    folder.mkdir()
    others = shutil.ignore_patterns("__pycache__", ".dvc", "data")
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=others)
        else:
            shutil.copy(ROOT / name, folder / name)
    said = {}
    for section, text in SECTIONS.items():
        done = [patch(folder, diff) for diff in blocks(text, "diff")]
        said[section] = "".join(each.stderr for each in done if each.returncode)
    return folder, said


@pytest.fixture(scope="module")
def ran(applied: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder in which the lines of all sections ran, and what went wrong in each.

    In one process: loading PyTorch takes longer than they do.
    """
    folder = tmp_path_factory.mktemp("ran") / "project"
    shutil.copytree(applied[0], folder)
    lines = {section: "\n".join(blocks(text, "python")) for section, text in SECTIONS.items()}
    (folder / "sections.json").write_text(json.dumps(lines), encoding="utf-8")
    run = subprocess.run([sys.executable, "-c", RUNNER], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder, json.loads((folder / "outcomes.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, path in linked(text):
        assert name == Path(path).name or name in named(ROOT / path), f"{page.name}: {name} in {path}"
    made = {file for diff in blocks(text, "diff") for file in changed(diff)}
    files = set(
        re.findall(r"`((?:demo|experiments|mutual|noisy|presets|semi|stages|tests|tools)/[\w./-]+\.\w+)`", text)
    )
    assert [file for file in sorted(files - made) if not (ROOT / file).exists()] == []
    local = {target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target}
    assert [target for target in sorted(local) if not (page.parent / target).exists()] == []
    headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ (.+)$", text)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_the_method_names_every_module_that_it_is_made_of() -> None:
    paths = {path for _, path in linked(METHOD)}
    rooms = [ROOT / "mutual/refineries", ROOT / "mutual/learning"]
    modules = {str(file.relative_to(ROOT)) for room in rooms for file in room.glob("*.py")}
    assert {module for module in modules if not module.endswith("__init__.py")} <= paths


def test_the_method_names_every_loss() -> None:
    file = "mutual/refineries/losses.py"
    functions = {name for name in named(ROOT / file) if name.islower()}
    assert functions <= {name for name, path in linked(METHOD) if path == file}


def test_maths_is_closed() -> None:
    for page in PAGES:
        text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
        for paragraph in text.split("\n\n"):
            assert re.sub(r"`[^`]*`", "", paragraph).count("$") % 2 == 0, f"{page.name}: {paragraph}"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_diff_applies_to_the_code_as_it_is(applied: tuple[Path, dict[str, str]], section: str) -> None:
    assert blocks(SECTIONS[section], "diff")
    assert applied[1][section] == ""


@pytest.mark.parametrize("section", SECTIONS)
def test_what_a_diff_adds_works(ran: tuple[Path, dict[str, str]], section: str) -> None:
    assert ran[1][section] == ""


def test_the_stage_clusters_by_what_was_added(ran: tuple[Path, dict[str, str]]) -> None:
    folder, outcomes = ran
    assert outcomes["stage"] == ""
    rows = (folder / "data/rounds/r01/pseudo_labels.csv").read_text(encoding="utf-8").split()[1:]
    clusters = [row.rpartition(",")[2] for row in rows]
    assert [len(set(clusters[i : i + 4])) for i in (0, 4, 8)] == [1, 1, 1]
    assert len(set(clusters)) == 3
    assert len(clusters) == 12


def test_every_section_shows_that_it_works() -> None:
    assert all("assert " in "".join(blocks(text, "python")) for text in SECTIONS.values())


@pytest.mark.parametrize("language", ["diff", "python"])
def test_no_lines_stand_before_the_sections(language: str) -> None:
    within = [block for text in SECTIONS.values() for block in blocks(text, language)]
    assert within == snippets.blocks("docs/extending.md", language)


def test_the_changed_code_is_formatted_and_clean(applied: tuple[Path, dict[str, str]]) -> None:
    for command in (["format", "--check"], ["check"]):
        run = subprocess.run([sys.executable, "-m", "ruff", *command, "mutual", "stages"], cwd=applied[0], check=False)
        assert run.returncode == 0


def test_a_parameter_touches_two_files_and_dvc_yaml_follows(applied: tuple[Path, dict[str, str]]) -> None:
    (diff,) = blocks(SECTIONS["A parameter"], "diff")
    assert sorted(changed(diff)) == ["mutual/base/params.py", "params.yaml"]
    folder = applied[0]
    before = (folder / "dvc.yaml").read_text(encoding="utf-8")
    assert "triplet_margin" not in before
    for arguments in calls("tools.declare"):
        subprocess.run([sys.executable, "-m", "tools.declare", *arguments], cwd=folder, check=True)
    lines = (folder / "dvc.yaml").read_text(encoding="utf-8").splitlines()
    stage = next(i for i, line in enumerate(lines) if line == "  train:")
    following = next(i for i in range(stage + 1, len(lines)) if re.match(r"  \w+:$", lines[i]))
    assert [i for i, line in enumerate(lines) if line.strip() == "- margin.triplet_margin" and stage < i < following]
    assert sum("triplet_margin" in line for line in lines) == 1
    assert any("mutual/clusters/agglomeration.py" in line or line.strip() == "- mutual/clusters" for line in lines)


def test_a_refinery_is_one_new_file() -> None:
    (diff,) = blocks(SECTIONS["A refinery"], "diff")
    assert changed(diff) == ["mutual/refineries/margin.py"]
    assert diff.startswith("--- /dev/null")
    assert diff.count("\n+") < 40
