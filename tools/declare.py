"""Write what the stages depend on, code and parameters, into all dvc.yaml, as the code has it.

Reads the stages' files and what these import; writes the lists `deps` and `params` of each stage. Data, comments and
what has a ${...} in it stay as they are. A folder stands for its files where a stage uses all of them. With --check
nothing is written: exit code 1 says that a list is out of date.
Example: python -m tools.declare
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.declare")

import re
from collections.abc import Sequence
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import PARAMS_FILE
from mutual.base.store import existing, write_text
from stages.door import arguments
from tools.imports import (
    PACKAGES,
    REFINERIES,
    chooses_refinery,
    code_of,
    in_folders,
    keys_of_file,
    keys_read,
    params_file,
    refinery_files,
)

FILES = (Path("dvc.yaml"), Path("demo/dvc.yaml"), Path("noisy/dvc.yaml"))
CHOSEN = "${method}"  # the refinery that is; the others may change


def main() -> None:
    """All files, or none where one cannot be understood."""
    parser = arguments(__doc__, "tools.declare")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a list is out of date")
    check = parser.parse_args().check
    texts = {file: existing(file).read_text(encoding="utf-8") for file in FILES}
    new = {file: declared(text) for file, text in texts.items()}
    stale = [file for file in FILES if new[file] != texts[file]]
    if check and stale:
        raise InputError(f"{' and '.join(map(str, stale))}: out of date: run python -m tools.declare")
    for file in stale:
        write_text(file, new[file])
    print(f"written: {', '.join(map(str, stale))}" if stale else "up to date")


def declared(text: str) -> str:
    """The text of a dvc.yaml, with the lists that its stages should have."""
    return "".join(with_lists(part) if part.startswith("stages:") else part for part in re.split(r"(?m)^(?=\w)", text))


def with_lists(stages: str) -> str:
    """The part of the text below ``stages:``; what else stands in the file, plots and artifacts, has no such lists."""
    head, *blocks = re.split(r"(?m)^(?=  \w+:$)", stages)
    return head + "".join(map(of_stage, blocks))


def of_stage(block: str) -> str:
    """One stage, with its lists."""
    command = re.search(r"cmd: python -m ((?:noisy|stages)\.\w+)", block)
    if command is None:
        raise InputError(f"{block.split(':')[0].strip()}: expected a cmd such as python -m stages.prepare")
    entry = existing(Path(*command[1].split(".")).with_suffix(".py"))
    named = re.search(r"--method (\S+)", block)
    refinery = REFINERIES / f"{named[1] if named else CHOSEN}.py"
    may_be = refinery_files() if "$" in refinery.name else {refinery}
    files = [str(entry), *(file for file in in_folders(code_of(entry, may_be)) if file != str(entry))]
    code = [item for item in items_of(block, "deps") if item.split("/")[0] in PACKAGES]
    block = with_items(block, "deps", code, files + [str(refinery)] * chooses_refinery(entry))
    if str(PARAMS_FILE) in items_of(block, "deps"):  # the whole file: its keys need not be named
        return block
    params, file = items_of(block, "params"), params_file(entry)
    given = {key for item in params for key in given_by_loop(block, item)}
    read = keys_read(entry) - given
    keys = [key for key in keys_of_file(file) if key in read]
    if file == PARAMS_FILE:
        return with_items(block, "params", [item for item in params if "$" not in item], keys)
    # below the name of their file; of what a loop goes over a stage depends on its own part
    loop = re.search(r"(?m)^    foreach: \$\{(\w+)\}$", block)
    keys = [f"{key}.${{key}}" if loop and key == loop[1] else key for key in keys]
    return with_items(block, "params", params, [f"{file}:", *(f"    - {key}" for key in keys)] if keys else [])


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
        return found["head"] + "".join([*kept, *(f"{found['indent']}  {line(item)}\n" for item in new)])

    return re.sub(listed(key), filled, block, count=1)


def line(item: str) -> str:
    """An item as it is written; one that is indented lies within the one before."""
    return item if item.startswith(" ") else f"- {item}"


def listed(key: str) -> str:
    """A pattern for a key and its list: indent, head and items, each a line that is indented further."""
    return rf"(?m)^(?P<head>(?P<indent> +){key}:\n)(?P<items>(?:(?P=indent) +.*\n)*)"


if __name__ == "__main__":
    run(main)
