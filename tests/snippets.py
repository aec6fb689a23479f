"""The fenced blocks of README.md and docs/, for the tests that run them."""

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"(?ms)^( *)```(\w*)\n(.*?)^\1```$")  # within a list they are indented


@dataclass(frozen=True)
class Block:
    """A block of a page: the page from the project's top, the language behind the fence, the text."""

    page: str
    language: str
    text: str


def _read() -> list[Block]:
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        page = path.relative_to(ROOT).as_posix()
        for _, language, text in FENCED.findall(path.read_text(encoding="utf-8")):
            found.append(Block(page, language, textwrap.dedent(text)))
    return found


BLOCKS = _read()


def blocks(page: str, language: str) -> list[str]:
    """The texts of all blocks of one language on a page, in their order."""
    return [block.text for block in BLOCKS if (block.page, block.language) == (page, language)]


def calls(module: str) -> list[list[str]]:
    """The arguments of every ``python -m module`` in a block for a shell, of all pages; each once."""
    found = []
    for block in BLOCKS:
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:3] == ["python", "-m", module] and words[3:] not in found:
                    found.append(words[3:])
    return found
