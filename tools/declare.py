"""Write what the stages depend on, code and parameters, into all dvc.yaml, as the code has it.

Reads the stages' files and what these import; writes the lists `deps` and `params` of each stage. Data, comments and
what has a ${...} in it stay as they are. The code of a stage is a text that the stage `code` writes (tools/code.py),
whose own list names it all, folders in place of their files where it reads all of them. With --check
nothing is written: exit code 1 says that a list is out of date.
Example: python -m tools.declare
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.declare")

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import PARAMS_FILE
from mutual.base.store import existing, write_text
from stages.door import arguments
from tools.code import PLACE, TOP, name_of, run_by
from tools.imports import PACKAGES, chooses_refinery, code_of, in_folders, keys_of_file, keys_read, params_file

# and the folder that their paths start from
FILES = {
    Path("dvc.yaml"): TOP,
    Path("demo/dvc.yaml"): TOP,
    Path("noisy/dvc.yaml"): Path("noisy"),
    Path("noisy/drawn/dvc.yaml"): Path("noisy"),
    Path("semi/classification/dvc.yaml"): Path("semi/classification"),
    Path("semi/segmentation/dvc.yaml"): Path("semi/segmentation"),
    Path("semi/segmentation/drawn/dvc.yaml"): Path("semi/segmentation"),
}
CHOSEN = "${method}"  # the refinery that is
CODE = "tools.code"  # the stage that tells what the others run
TEXTS = f"{PLACE.as_posix()}/"


def main() -> None:
    """All files, or none where one cannot be understood."""
    parser = arguments(__doc__, "tools.declare")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a list is out of date")
    check = parser.parse_args().check
    texts = {file: existing(file).read_text(encoding="utf-8") for file in FILES}
    new = {file: declared(text, FILES[file]) for file, text in texts.items()}
    stale = [file for file in FILES if new[file] != texts[file]]
    if check and stale:
        raise InputError(f"{' and '.join(map(str, stale))}: out of date: run python -m tools.declare")
    for file in stale:
        write_text(file, new[file])
    print(f"written: {', '.join(map(str, stale))}" if stale else "up to date")


def declared(text: str, top: Path = TOP) -> str:
    """The text of a dvc.yaml, with the lists that its stages should have; their paths start from the folder ``top``."""
    parts = re.split(r"(?m)^(?=\w)", text)
    return "".join(with_lists(part, top) if part.startswith("stages:") else part for part in parts)


def with_lists(stages: str, top: Path) -> str:
    """The part of the text below ``stages:``; what else stands in the file, plots and artifacts, has no such lists."""
    head, *blocks = re.split(r"(?m)^(?=  \w+:$)", stages)
    return head + "".join(of_stage(block, top) for block in blocks)


def of_stage(block: str, top: Path) -> str:
    """One stage, with its lists."""
    old = [item for item in items_of(block, "deps") if is_code(os.path.normpath(top / item)) or item.startswith(TEXTS)]
    if re.search(rf"cmd: (?:cd [./]+ && )?python -m {CODE}", block):
        return with_items(block, "deps", old, [os.path.relpath(file, top) for file in all_code(top)])
    command = re.search(
        r"cmd: (?:>-\s+)?(?:cd [./]+ && )?(?:python|\$\{launcher\}) -m ((?:noisy|semi\.\w+|stages)\.\w+)", block
    )
    if command is None:
        raise InputError(f"{block.split(':')[0].strip()}: expected a cmd such as python -m stages.prepare")
    entry = existing(Path(*command[1].split(".")).with_suffix(".py"))
    named = re.search(r"--method (\S+)", block)
    refinery = (named[1] if named else CHOSEN) if chooses_refinery(entry) else None
    block = with_items(block, "deps", old, [f"{TEXTS}{name_of(entry, refinery)}.txt"])
    if str(PARAMS_FILE) in items_of(block, "deps"):  # the whole file: its keys need not be named
        return block
    params = items_of(block, "params")
    given = {key for item in params for key in given_by_loop(block, item)}
    read = keys_read(entry) - given
    keys = [key for key in keys_of_file(params_file(entry)) if key in read]
    parts = {key: item for item in params for key in keys if stands_for(item, key)}
    new = list(dict.fromkeys(parts.get(key, key) for key in keys))
    return with_items(block, "params", [item for item in params if "$" not in item or item in new], new)


def all_code(project: Path) -> list[str]:
    """What the stage ``code`` of a project reads."""
    files = set().union(code_of(Path(*CODE.split(".")).with_suffix(".py")), *run_by(project).values())
    # .dvcignore, by which what Python compiles is no part of a folder, holds below its own folder
    return in_folders(files) if project == TOP else sorted(map(str, files))


def stands_for(item: str, key: str) -> bool:
    """Whether ``methods.${key}``, a part of it that a loop's stage depends on, or ``${item}_epochs`` means the key."""
    if re.fullmatch(r"\$\{[^}]*\}|[^$]*", item):
        return False
    pattern = "".join(r"\w+" if part.startswith("${") else re.escape(part) for part in re.split(r"(\$\{[^}]*\})", item))
    return re.fullmatch(pattern.partition(r"\.")[0], key) is not None


def is_code(path: str) -> bool:
    """Whether a dependency, from the project's top, is a file or folder of code."""
    return path.split("/")[0] in PACKAGES and (path.endswith(".py") or not path.startswith(("noisy/", "semi/")))


def given_by_loop(block: str, item: str) -> list[str]:
    """The keys that ``${item.layout}`` stands for in a loop whose items have a ``layout`` each."""
    field = re.fullmatch(r"\$\{item\.(\w+)\}", item)
    return re.findall(rf"(?m)^ +{field[1]}: (\w+)$", block) if field else []


def items_of(block: str, key: str) -> list[str]:
    """The items of a list in block style; none where there is no such list."""
    found = re.search(listed(key), block)
    return re.findall(r"(?m)^ +- (.+)$", found["items"]) if found else []


def with_items(block: str, key: str, old: Sequence[str], new: Sequence[str]) -> str:
    """The block with ``new`` in place of ``old`` items, at the end of the list; a list that is missing is added."""
    if re.search(listed(key), block) is None:
        if not new:
            return block
        block = re.sub(r"(?m)^( +)outs:$", rf"\1{key}:\n\1outs:", block, count=1)

    def filled(found: re.Match[str]) -> str:
        lines = found["items"].splitlines(keepends=True)
        kept = [line for line in lines if line.strip().removeprefix("- ") not in old]
        return found["head"] + "".join([*kept, *(f"{found['indent']}  - {item}\n" for item in new)])

    return re.sub(listed(key), filled, block, count=1)


def listed(key: str) -> str:
    """A pattern for a key and its list: indent, head and items, each a line that is indented further."""
    return rf"(?m)^(?P<head>(?P<indent> +){key}:\n)(?P<items>(?:(?P=indent) +.*\n)*)"


if __name__ == "__main__":
    run(main)
