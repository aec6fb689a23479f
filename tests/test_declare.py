"""The pipeline's own description: what dvc.yaml declares is what the code imports and reads, told in two ways."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import tools.code
from mutual.base.documents import read_yaml
from mutual.base.errors import InputError
from mutual.base.params import METHODS, PLACES, Params, keys_of
from tools import declare
from tools.code import PROJECTS, run_by
from tools.imports import (
    FORMS,
    PACKAGES,
    beside,
    chooses_refinery,
    code_of,
    imported,
    in_folders,
    keys_read,
    refinery_files,
    refinery_keys,
)

ROOT = Path(__file__).resolve().parents[1]
PLAIN = {file.parent: form for file, form in FORMS.items()}  # folders whose parameters have no views
LIBRARY_FILES = sorted(path for path in (ROOT / "mutual").rglob("*.py") if path.name != "__init__.py")


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Each stage that does the work, without its loop; of a folder that is a project of its own below its name."""
    return {name: stage.get("do", stage) for name, stage in with_loops().items() if Path(name).name != "code"}


@cache
def with_loops() -> dict[str, dict[str, Any]]:
    """All stages of all dvc.yaml."""
    stages: dict[str, dict[str, Any]] = {}
    for file, top in declare.FILES.items():
        stages |= {str(top / name): stage for name, stage in read_yaml(ROOT / file)["stages"].items()}
    return stages


def paths(stage: str, names: Iterable[str]) -> list[str]:
    """Of files and folders that a stage names, their paths from the project's top."""
    top = os.path.dirname(stage)
    return [os.path.normpath(f"{top}/{name}") if top else name for name in names]


def entry_point(stage: str) -> Path:
    module = re.match(
        r"(?:cd [./]+ && )?(?:python|\$\{launcher\}) -m ((?:noisy|semi\.\w+|stages)\.\w+)", definitions()[stage]["cmd"]
    )
    assert module
    return Path(*module[1].split(".")).with_suffix(".py")


texts_of = cache(run_by)  # a project's, asked for once for each of its stages


def code(stage: str) -> set[Path]:
    """The files that a stage declares, by the text that it depends on; the chosen refinery as all that it may be."""
    (dep,) = [Path(dep) for dep in definitions()[stage]["deps"] if dep.startswith("data/code/")]
    texts = texts_of(Path(stage).parent)
    names = [name for name in texts if fnmatch(name, re.sub(r"\$\{\w+\}", "*", dep.stem))]
    assert names
    return {file for name in names for file in texts[name] if file.suffix == ".py"}


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


# --- what is declared ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", declare.FILES)
def test_the_lists_are_those_that_the_tool_writes(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert declare.declared(text, declare.FILES[file]) == text


@cache
def modules_loaded() -> dict[str, set[Path]]:
    """The project's files that Python loads for each stage, each stage in a process of its own."""
    script = (
        "import importlib, json, os, sys\n"
        "import numba, numpy, pandas, pydantic, torch\n"  # once for all
        f"found, packages = {{}}, {PACKAGES}\n"
        "for name in sys.argv[1:]:\n"
        "    ours, theirs = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        importlib.import_module(name)\n"
        "        own = [module for name, module in sys.modules.items() if name.split('.')[0] in packages]\n"
        "        files = [getattr(module, '__file__', None) for module in own]\n"
        "        with os.fdopen(theirs, 'w') as pipe:\n"
        "            pipe.write('\\n'.join(filter(None, files)))\n"
        "        os._exit(0)\n"
        "    os.close(theirs)\n"
        "    with os.fdopen(ours) as pipe:\n"
        "        found[name] = pipe.read().splitlines()\n"
        "print(json.dumps(found))\n"
    )
    names = sorted({".".join(entry_point(stage).with_suffix("").parts) for stage in definitions()})
    command = [sys.executable, "-c", script, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: {Path(file).relative_to(ROOT) for file in files} for name, files in json.loads(done.stdout).items()}


def lines_that_import(file: Path) -> set[Path]:
    """The project's files named in lines that begin with ``from``, by their text alone."""
    modules = re.findall(
        r"(?m)^ *from ((?:demo|mutual|noisy|semi|stages|tools)[\w.]*) import", file.read_text(encoding="utf-8")
    )
    return {path for module in modules if (path := Path(*module.split(".")).with_suffix(".py")).is_file()}


@pytest.mark.parametrize("stage", definitions())
def test_declared_code_is_what_python_loads(stage: str) -> None:
    """At once or, as the text of the files has it, later; and one refinery, with what refineries share."""
    entry = entry_point(stage)
    needed: set[Path] = set()
    todo = [*modules_loaded()[".".join(entry.with_suffix("").parts)]]
    if chooses_refinery(entry):
        named = re.search(r"--method (\w+)", definitions()[stage]["cmd"])
        todo += [Path(f"mutual/refineries/{named[1]}.py")] if named else refinery_files()
    while todo:
        file = todo.pop()
        if file not in needed:
            needed.add(file)
            todo += lines_that_import(file)
    # of packages that only hold a docstring nothing is declared; those of folders that are declared come along
    empty = {file for file in needed | code(stage) if file.name == "__init__.py" and file.parent != entry.parent}
    assert code(stage) - empty == needed - empty


@pytest.mark.parametrize("project", PROJECTS, ids=str)
def test_the_stage_that_tells_depends_on_all_that_it_tells_of(project: Path) -> None:
    """A folder stands for all that is in it; below another project of DVC, what Python compiles would be part of it."""
    name = str(project / "code")
    named = [Path(dep) for dep in paths(name, with_loops()[name]["deps"])]
    folders = [path for path in named if path.is_dir()]
    assert bool(folders) == (project == Path())
    found = {path for path in named if path.is_file()}
    for folder in folders:
        files = {path for path in folder.iterdir() if path.name != "__pycache__"}
        code = {path for path in files if path.suffix == ".py"}
        assert files - code == set().union(*map(beside, code))  # templates, which the code names
        found |= files
    told = set().union(*texts_of(project).values())
    assert told <= found
    # and on what tells it
    assert {file for file in found - told if file.parent.parent != Path("mutual") or file.name != "__init__.py"} == (
        code_of(Path("tools/code.py")) - told
    )


@pytest.mark.parametrize("project", PROJECTS, ids=str)
def test_every_stage_has_its_text(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools.code, "PLACE", tmp_path)
    monkeypatch.setattr("sys.argv", ["code", "--project", str(project)])
    tools.code.main()
    stages = {name: stage for name, stage in definitions().items() if Path(name).parent == project}
    for stage in stages.values():
        (dep,) = [Path(dep).name for dep in stage["deps"] if dep.startswith("data/code/")]
        assert list(tmp_path.glob(re.sub(r"\$\{\w+\}", "*", dep)))
    lines = (tmp_path / f"{entry_point(next(iter(stages))).stem}.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{32}  [\w./]+", line) for line in lines)


def test_comments_docstrings_and_blank_lines_are_no_part_of_the_code() -> None:
    bare = '''def f(x):
    y = """kept""" + "# kept"
    return x + y
class A:
    def g(self): "kept"; return 1
'''
    full = '''"""Says what
it is."""

# a comment
def f(x):  # another
    """Of f: ä."""

    y = """kept""" + "# kept"  # ü
    # one
    return x + y

class A:
    """Of A."""
    def g(self): "kept"; return 1
'''
    assert tools.code.bare(full) == bare == tools.code.bare(bare)
    assert tools.code.bare(full.replace("x + y", "x - y")) != bare
    assert tools.code.bare(full.replace("# kept", "# lost")) != bare


@pytest.mark.parametrize("room", sorted({path.parent for path in LIBRARY_FILES}), ids=lambda room: room.name)
def test_what_is_left_is_the_same_program(room: Path) -> None:
    """By Python's own parser, which knows no comments, and without what it takes for docstrings."""
    for file in room.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        one, other = ast.parse(source), ast.parse("pass\n" + filled(tools.code.bare(source)))
        for node in (*ast.walk(one), *ast.walk(other)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                if ast.get_docstring(node) is not None:
                    del node.body[0]
                node.body = [each for each in node.body if not isinstance(each, ast.Pass)]
        assert ast.dump(one) == ast.dump(other), file


def filled(source: str) -> str:
    """A module in which what had nothing but a docstring is empty, with ``pass`` there."""
    lines = source.splitlines()
    for i in range(len(lines) - 1, -1, -1):
        indent = len(lines[i]) - len(lines[i].lstrip())
        after = lines[i + 1] if i + 1 < len(lines) else ""
        if lines[i].endswith(":") and (not after or len(after) - len(after.lstrip()) <= indent):
            lines.insert(i + 1, " " * (indent + 4) + "pass")
    return "\n".join(lines)


@pytest.mark.parametrize("stage", definitions())
def test_declared_parameters_are_the_keys_that_stand_in_the_code(stage: str) -> None:
    text = entry_point(stage).read_text(encoding="utf-8")
    if form := PLAIN.get(entry_point(stage).parent):
        read = set(re.findall(r"\bparams\.(?!yaml\b)(\w+)", text))
        assert read <= form.model_fields.keys()
        # of what it loops over a stage depends on its own part
        loop = with_loops()[stage].get("foreach", [])
        declared = {re.sub(r"\.\$\{[\w.]+\}$", "", key) for key in definitions()[stage]["params"]}
        each = [{key.replace("${item}", item) for key in declared} for item in loop if isinstance(loop, list)]
        assert set().union(*each or [declared]) == read
        return
    read = set(refinery_keys()) if "params.values(" in text else set()
    for view, field in re.findall(r"\bparams\.(?!yaml\b|running\b)(\w+)(?:\.(\w+))?", text):
        known = keys_of(view) if view != "values" else {}
        read |= {known[field]} if field in known else set(known.values())
    declared = set(definitions()[stage].get("params", ()))
    if stage == "prepare":  # declares the keys of its own set; the code reads both sets'
        loop = read_yaml(ROOT / "dvc.yaml")["stages"]["prepare"]["foreach"]
        assert {"${item.name}", "${item.layout}", "${item.root}"} < declared
        declared = {key for key in declared if not key.startswith("${")}
        declared |= {item[key] for item in loop.values() for key in ("name", "layout", "root")}
        assert all(item["folder"] == f"${{{item['root']}}}" for item in loop.values())
    if stage in ("check", "page"):  # depend on the whole file
        assert "params.yaml" in definitions()[stage]["deps"]
        declared = read
    assert declared == read


@pytest.mark.parametrize("stage", definitions())
def test_every_stage_says_what_it_does(stage: str) -> None:
    assert definitions()[stage]["desc"]


def test_every_entry_point_is_a_stage() -> None:
    files = [file for folder in (Path("stages"), *PLAIN) for file in folder.glob("*.py")]
    doors = {file for file in files if "__main__" in file.read_text(encoding="utf-8")}
    assert {entry_point(stage) for stage in definitions()} == doors


def test_every_data_dependency_is_an_output() -> None:
    """Nothing is read that no stage makes, save what is the user's."""
    made = []
    for name, stage in with_loops().items():
        stage = stage.get("do", stage)
        listed = [*stage["outs"], *stage.get("metrics", ())]
        made += [any_value(out) for out in paths(name, (next(iter(o)) if isinstance(o, dict) else o for o in listed))]
    users = {"params.yaml", "rounds.yaml", "phases.yaml", "${item.folder}", "${weights}", "${pretrained}", "${root}"}
    users |= {"${test_labels}", "${network.weights[0]}", "${network.weights[1]}"}
    made += [out.rpartition("/")[0] for out in made]  # a folder of outputs
    for name, stage in definitions().items():
        for dep in paths(name, (each for each in stage["deps"] if each not in users)):
            read = any_value(dep)
            assert any(fnmatch(read, out) or fnmatch(read, f"{out}/*") or fnmatch(out, f"{read}/*") for out in made), (
                dep
            )


def any_value(path: str) -> str:
    """The path with a * for each value that DVC puts in."""
    return re.sub(r"\$\{[\w.]+\}", "*", path)


def test_the_words_for_nothing_are_files() -> None:
    """DVC wants what weights and pretrained name to exist."""
    for word in ("none", "imagenet"):
        assert f"`{word}`" in Path(word).read_text(encoding="utf-8")
        for folder in PLAIN:  # but where there are no weights
            if (word, folder) != ("imagenet", Path("semi/classification")):
                assert (folder / word).read_bytes() == Path(word).read_bytes()


def test_titles_of_plots_are_names_for_a_script() -> None:
    plots = [plot if isinstance(plot, str) else next(iter(plot)) for plot in read_yaml(ROOT / "dvc.yaml")["plots"]]
    files = [plot for plot in plots if "/" in plot]  # a picture, and folders that have a plot for each of their files
    assert [file in definitions()["report"]["outs"] for file in files] == [True, True, False]
    assert files[2] in definitions()["page"]["outs"]
    for title in set(plots) - set(files):
        assert re.fullmatch(r"[A-Za-z0-9 ]+", title)


# --- the tool --------------------------------------------------------------------------------------------------------

PIPELINE = """\
vars:
  - rounds.yaml

stages:
  code:
    cmd: python -m tools.code
    deps:
      - mutual/gone.py
    outs:
      - data/code

  # first
  one:
    desc: the first
    cmd: python -m stages.one
    deps:
      # the user's
      - ${source_root}
      - stages/gone.py
      - mutual/a
    outs:
      - x

  two:
    foreach:
      p:
        name: source_name
    do:
      cmd: python -m stages.two --set ${key}
      deps:
        - x
      params:
        - ${item.name}
        - seed
      outs:
        - y

plots:
  - deps:
      x: round

# what others get
artifacts:
  two:
    path: y
    deps: none
"""


NOISY = """\
stages:
  three:
    foreach: ${methods}
    do:
      cmd: cd .. && python -m noisy.three --method ${key}
      deps:
        - data/people
        - data/code/three.txt
      params:
        - seeds
        - methods.${key}
      outs:
        - z
"""


FOUR = "import mutual.a.q\nprint(params.lr, params.labelled_epochs, params.all_epochs)\n"
SEMI = """\
vars:
  - phases.yaml

stages:
  four:
    foreach:
      - labelled
      - all
    do:
      cmd: >-
        cd ../.. && python -m semi.classification.four
        --labels ${item}
      deps:
        - ${network.weights[0]}
        - data/packed
        - data/code/four.txt
      params:
        - ${item}_epochs
        - lr
      outs:
        - data/runs/${item}
"""


DOOR = 'if __name__ == "__main__":\n    main()\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "stages/__init__.py": "",
        "tools/code.py": "",
        "stages/one.py": f"from mutual.a.p import f\nparams = read_params()\nprint(params.peers)\n{DOOR}",
        "stages/two.py": "def f():\n    import mutual.a.p\nprint(params.source.name, params.size.image_height)\n"
        + DOOR,
        "mutual/a/__init__.py": "",
        "mutual/a/p.py": "import numpy\nfrom mutual.a import q\n",
        "mutual/a/q.py": "",
        "mutual/b/r.py": "from mutual.a.q import x\n",
        "dvc.yaml": PIPELINE,
        "demo/dvc.yaml": "stages:\n",
        "noisy/dvc.yaml": NOISY,
        "noisy/__init__.py": "",
        "noisy/drawn/dvc.yaml": "stages:\n",
        "noisy/three.py": "import mutual.a.p\nprint(params.methods, params.seeds)\n",
        "semi/__init__.py": "",
        "semi/classification/__init__.py": "",
        "semi/classification/dvc.yaml": SEMI,
        "semi/classification/four.py": FOUR,
        "semi/segmentation/dvc.yaml": "stages:\n",
        "semi/segmentation/drawn/dvc.yaml": "stages:\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lists(text: str) -> list[list[str]]:
    """The items of each deps and params list, in order."""
    return [re.findall(r"- (.+)", found) for found in re.findall(r"(?:deps|params):\n((?: +(?:-|#).*\n)+)", text)]


def test_lists_by_hand(project: Path) -> None:
    new = declare.declared(PIPELINE)
    assert lists(new) == [
        ["mutual/a", "stages", "tools"],
        ["${source_root}", "data/code/one.txt"],
        ["seeds", "seed"],
        ["x", "data/code/two.txt"],
        ["${item.name}", "image_height"],
    ]
    assert declare.declared(new) == new
    # all else is as it was
    item = r"(?m)^ +- (data/code/|stages|mutual|tools|seed|image).*\n|^ +params:\n"
    assert re.sub(item, "", new) == re.sub(item, "", PIPELINE)
    assert new.endswith(PIPELINE[PIPELINE.index("plots:") :])


def test_paths_start_from_the_folder_that_is_a_project_of_its_own(project: Path) -> None:
    assert declare.declared(NOISY, Path("noisy")) == NOISY
    Path("noisy/three.py").write_text("print(params.epochs, params.methods)\n")
    new = declare.declared(NOISY, Path("noisy"))
    assert lists(new) == [["data/people", "data/code/three.txt"], ["epochs", "methods.${key}"]]
    assert declare.declared(new, Path("noisy")) == new


def test_a_project_below_a_folder_and_a_key_for_each_item_of_a_loop(project: Path) -> None:
    top = Path("semi/classification")
    assert declare.declared(SEMI, top) == SEMI
    (top / "four.py").write_text("print(params.seeds, params.labelled_epochs, params.all_epochs)\n")
    new = declare.declared(SEMI, top)
    assert lists(new) == [
        ["${network.weights[0]}", "data/packed", "data/code/four.txt"],
        ["seeds", "${item}_epochs"],
    ]
    assert declare.declared(new, top) == new


def test_what_a_module_names_beside_it_is_code_too(project: Path) -> None:
    Path("mutual/a/p.py").write_text('TEMPLATE = "page.html"\n')
    for name in ("mutual/a/page.html", "mutual/b/page.html", "mutual/a/other.html"):
        Path(name).touch()
    assert imported(Path("mutual/a/p.py")) == {Path("mutual/a/page.html")}
    assert "mutual/a/page.html" in declare.declared(PIPELINE)
    assert "mutual/a/q.py" not in declare.declared(PIPELINE)


def test_a_folder_is_declared_where_all_of_it_is_used(project: Path) -> None:
    assert in_folders({Path("mutual/a/p.py"), Path("mutual/a/q.py"), Path("mutual/b/r.py")}) == ["mutual/a", "mutual/b"]
    assert in_folders({Path("mutual/a/p.py")}) == ["mutual/a/p.py"]
    (project / "mutual/b/notes.yaml").touch()
    assert in_folders({Path("mutual/b/r.py")}) == ["mutual/b/r.py"]


def test_a_key_of_another_file_must_be_one(project: Path) -> None:
    Path("noisy/three.py").write_text("print(params.alpha)\n")
    with pytest.raises(InputError, match=r"noisy/three\.py: line 1: expected params\.<key>"):
        keys_read(Path("noisy/three.py"))


@pytest.mark.parametrize("use", ["f(params)", "params.nothing", "x = params"])
def test_parameters_are_not_handed_on_whole(project: Path, use: str) -> None:
    Path("stages/one.py").write_text(use + "\n")
    with pytest.raises(InputError, match=r"stages/one\.py: line 1: expected params\.<view>"):
        keys_read(Path("stages/one.py"))


def test_a_relative_import_is_refused(project: Path) -> None:
    Path("mutual/a/p.py").write_text("from .q import x\n")
    with pytest.raises(InputError, match=r"mutual/a/p\.py: expected imports by the whole name"):
        declare.declared(PIPELINE)


def test_check_writes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["declare", "--check"])
    with pytest.raises(InputError, match=r"^dvc\.yaml: out of date: run python -m tools\.declare$"):
        declare.main()
    assert Path("dvc.yaml").read_text() == PIPELINE
    monkeypatch.setattr("sys.argv", ["declare"])
    declare.main()
    monkeypatch.setattr("sys.argv", ["declare", "--check"])
    declare.main()
    assert capsys.readouterr().out == "written: dvc.yaml\nup to date\n"


# --- the house -------------------------------------------------------------------------------------------------------


def test_a_refinery_stands_alone() -> None:
    """Training depends on the one that is chosen, so that work on another changes nothing."""
    assert {file.stem for file in refinery_files()} >= {"mmt", "hard_labels"}
    for file in set(Path("mutual").rglob("*.py")) | {entry_point(stage) for stage in definitions()}:
        assert not imported(file) & refinery_files()


def test_every_refinerys_keys_are_parameters() -> None:
    assert refinery_keys() <= PLACES.keys()


def test_the_library_imports_no_stage_and_runs_in_no_circle() -> None:
    library = {path.relative_to(ROOT) for path in LIBRARY_FILES}
    graph = {path: {needed for needed in imported(path) if needed.suffix == ".py"} for path in library}
    for path, needed in graph.items():
        assert needed <= library, f"{path} imports a stage or a tool"
    while graph:  # peel off what imports nothing that is left
        free = [path for path, needed in graph.items() if not needed & set(graph)]
        assert free, f"circle among {sorted(path.name for path in graph)}"
        for path in free:
            del graph[path]


def test_the_library_knows_no_command_line_and_no_artefact() -> None:
    for path in LIBRARY_FILES:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) argparse\b", source, re.MULTILINE)
        assert "sys.argv" not in source
        strings = [
            n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        for text in strings:
            assert not re.match(r"(data|models|metrics)/", text), f"{path}: {text}"


def test_packages_hold_nothing_but_their_docstring() -> None:
    """Those of the entry points settle the number of threads, too: nothing else runs before the libraries load."""
    for path in (file for package in PACKAGES for file in Path(package).rglob("__init__.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(body[0], ast.Expr)
        settles = ["from mutual.base.errors import run", "from mutual.base.threads import settle", "run(settle)"]
        doors = path.parent in (Path("noisy"), Path("semi"), Path("stages"), Path("tools"))
        code = [ast.unparse(node) for node in body[1:]]
        # and say where the artefacts of stages lie
        place = r"from pathlib import Path|[A-Z]+ = Path\('[a-z/.]+'\)|[A-Z, ]+ = \(?(PACKED / '[a-z]+'(, )?)+\)?"
        places = [line for line in code if re.fullmatch(place, line)]
        assert not places or path.parent in (Path("stages"), *PLAIN)
        assert [line for line in code if line not in places] == (settles if doors else [])


@pytest.mark.parametrize("folder", PLAIN)
def test_every_parameter_of_a_project_of_its_own_is_explained_and_used(folder: Path) -> None:
    lines = (ROOT / folder / "params.yaml").read_text(encoding="utf-8").splitlines()
    keys = {line.partition(":")[0]: above for above, line in pairwise(lines) if re.match(r"\w", line)}
    doors = {entry_point(stage) for stage in definitions() if entry_point(stage).parent == folder}
    assert set(keys) == set(PLAIN[folder].model_fields) == set().union(*map(keys_read, doors))
    for key, above in keys.items():
        # one comment may be about several, such as a height and the width right below it
        assert above.startswith(("# ", f"{key.partition('_')[0]}_")), f"{key} is not explained"


def test_every_parameter_is_explained_and_used() -> None:
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    keys, method = {}, ""
    for above, line in pairwise(lines):
        key = line.partition(":")[0]
        if key in METHODS:
            method = f"{key}."
        elif re.match(r"\w|  \w", line):
            method = method if line.startswith("  ") else ""
            keys[method + key.strip()] = above.strip()
    stages = {entry_point(stage) for stage in definitions() if entry_point(stage).parent == Path("stages")}
    assert set(keys) == set(PLACES) == set().union(keys_of("running").values(), *map(keys_read, stages))
    for key, above in keys.items():
        assert above.startswith("# "), f"{key} is not explained"


def test_every_view_is_known_by_its_keys() -> None:
    assert set().union(*(keys_of(view).values() for view in Params.model_fields)) == set(PLACES)
