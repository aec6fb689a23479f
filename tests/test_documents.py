"""YAML means to the project what it means to DVC, which reads it with ruamel; the rest is refused in one line."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml as as_dvc

from mutual.base.documents import DocumentError, parse_yaml, read_yaml
from mutual.base.errors import InputError

SCALARS = 4_000
DOCUMENTS = 1_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 0.0005),
        ("1e3", 1000.0),
        ("3.5E+2", 350.0),
        ("1.", 1.0),
        ("+.5", 0.5),
        (".5e3", ".5e3"),
        ("-.inf", -math.inf),
        ("17", 17),
        ("017", 17),
        ("0o17", 15),
        ("-0x1F", -31),
        ("0b11", 3),
        ("1_000", 1000),
        ("_1", "_1"),
        ("12:30:45", "12:30:45"),
        ("yes", "yes"),
        ("on", "on"),
        ("n", "n"),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("! 5", 5),
        ("!!str 5", "5"),
        ("!!float 1", 1.0),
        ("!!int '5'", 5),
        ("3.5e-4 m", "3.5e-4 m"),
        ("٣", "٣"),  # digits of other scripts are text
        ("|\n  two\n  lines", "two\nlines\n"),
        ("[1, [a, ~]]", [1, ["a", None]]),
        ("{b: 1, a: {c: .5}}", {"b": 1, "a": {"c": 0.5}}),
    ],
)
def test_what_a_value_means(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse_yaml(".nan"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2\n", "'a': stands there twice"),
        ("1: a\ntrue: b\n", "True: stands there twice"),  # one key to Python
        ("a: 2001-12-14\n", "neither dates nor merged keys"),
        ("a: 2001-1-4 10:00:00\n", "neither dates nor merged keys"),
        ("a: &x {b: 1}\n<<: *x\n", "neither dates nor merged keys"),
        ("[a]: 1\n", "expected plain keys"),
        ("? {a: 1}\n: 1\n", "expected plain keys"),
        ("a: !!python/object/apply:os.system [id]\n", "expected no tag such as"),
        ("a: !!binary aGVsbG8=\n", "expected no tag such as"),
        ("a: !!set {b}\n", "expected no tag such as"),
        ("a: !!int abc\n", "!!int 'abc': is none"),
        ("%YAML 1.1\n---\na: yes\n", "no directive"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "no directive"),
        ("a: 1\n---\na: 1\n", "one document"),
        ("a: *b\n", "*b: expected the name of a value that ends above"),
        ("a: &a [*a]\n", "*a: expected the name of a value that ends above"),
        ("a: " + "9" * 5000, "at most 400 digits, found one of 5000"),
        ("a: 0x" + "f" * 20000, "at most 400 digits, found one of 20002"),
        ("a: -_", "'-_': expected digits"),
        ("a: ._", "'._': expected digits"),
        ("[" * 51 + "]" * 51, "at most 50 lists and mappings within each other"),
        ("a: " + "[" * 100_000, ""),
        ("{a: " * 400 + "1" + "}" * 400, "at most 50 lists"),
        ("a: \x00", ""),
        ('a: "\\ud800"', ""),
        ("a: b: c", ""),
        ("\t1", ""),
    ],
)
def test_what_is_refused(text: str, fault: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse_yaml(text)
    message = str(refused.value)
    assert fault in message
    assert message.isprintable()
    assert len(message) <= 200


def test_lists_within_lists_up_to_the_limit() -> None:
    found = parse_yaml("[" * 50 + "]" * 50)
    for _ in range(49):
        (found,) = found
    assert found == []


def test_an_alias_is_the_value_that_it_names() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\nc: [*x, &y 3, *y]\n") == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], 3, 3]}


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, 9)]
    with pytest.raises(DocumentError, match="at most 1000000 values"):
        parse_yaml("\n".join(lines))
    assert len(parse_yaml("\n".join(lines[:3]))) == 3


@pytest.mark.parametrize("text", ["", "# a comment\n", "---\n...\n"])
def test_an_empty_document_is_nothing(text: str) -> None:
    assert parse_yaml(text) is None


def test_a_file_is_read_with_windows_line_ends_and_a_mark_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: Z\xc3\xbcrich\r\n")
    assert read_yaml(path) == {"a": 1, "b": "Zürich"}


@pytest.mark.parametrize("content", [b"a: Z\xfcrich", "a: 1".encode("utf-16"), b"a: [", b"a: 1\na: 2"])
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_yaml(path)
    assert str(refused.value).startswith(f"{path}: not valid YAML: ")
    assert str(refused.value).isprintable()


# --- against the reader of DVC ---------------------------------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """Equal values of equal types, NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return same(list(a), list(b)) and same(list(a.values()), list(b.values()))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def reading(read: Callable[[str], Any], text: str) -> Any:
    """What a reader makes of a text; its refusal is an exception that is returned."""
    try:
        return read(text)
    except Exception as error:
        return error


def check_agreement(text: str) -> tuple[bool, bool]:
    """Whether we read the text, and DVC does; where both do, they read the same."""
    # DVC's reader of parameters makes an empty mapping of whatever is empty as a whole
    ours, theirs = (
        reading(lambda text: parse_yaml(text) or {}, text),
        reading(lambda text: as_dvc(text, "a.yaml"), text),
    )
    assert not isinstance(ours, Exception) or isinstance(ours, DocumentError), text
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return not isinstance(ours, Exception), not isinstance(theirs, Exception)
    assert same(ours, theirs), f"{text!r}: {ours!r}, {theirs!r}"
    return True, True


def a_scalar(rng: random.Random) -> str:
    """A text that looks like a number, a truth or nothing, or nearly so."""
    if rng.random() < 0.2:
        word = rng.choice(["null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "~", "rule"])
        return rng.choice(["", "", "-", "+", "_"]) + rng.choice([word, word.upper(), word.title()])
    if rng.random() < 0.2:
        return "".join(rng.choice("0123456789_abefox.:+-") for _ in range(rng.randint(1, 8)))
    digits = [str(rng.randint(0, 10 ** rng.randint(0, 12))) for _ in range(4)]
    start = rng.choice(["", "", "-", "+"]) + rng.choice(["", "", "", "0", "0o", "0x", "0b", "00", "_"]) + digits[0]
    middle = rng.choice(["", "", "_" + digits[1], ":" + digits[1], "."]) + rng.choice(["", "." + digits[2]])
    return start + middle + rng.choice(["", "", "_"]) + rng.choice(["", "e", "e-", "E+"]) + rng.choice(["", digits[3]])


def a_document(rng: random.Random, depth: int = 0, indent: str = "") -> str:
    """Block mappings and lists of flow ones, quoted and plain scalars, anchors, aliases and tags."""
    if depth == 3 or rng.random() < 0.3:
        plain = a_scalar(rng)
        forms = [plain, plain, f"'{plain}'", f'"{plain}"', f"!!str {plain}", f"&a {plain}", f"{plain} # {plain}"]
        forms += [
            f"[{plain}, {a_scalar(rng)}]",
            f"{{k: {plain}}}",
            "*a",
            "[]",
            f"!!float {plain}",
            f"|\n{indent}  {plain}",
        ]
        return rng.choice(forms) + "\n"
    lines = []
    for i in range(rng.randint(1, 4)):
        key = rng.choice([f"key{i}", f"key{i}", a_scalar(rng)])
        inner = a_document(rng, depth + 1, indent + "  ")
        block = inner.startswith(indent + "  ")
        lines.append(f"{indent}{key}:" + ("\n" if block else " ") + inner)
    return "".join(lines)


def test_every_scalar_means_what_it_means_to_dvc() -> None:
    rng = random.Random(0)
    texts = {a_scalar(rng) for _ in range(SCALARS)}
    both = [check_agreement(f"a: {text}\n") for text in texts]
    # nothing that DVC reads is refused but dates, which this generator does not make
    assert all(ours or not theirs for ours, theirs in both)
    assert sum(ours and theirs for ours, theirs in both) > 0.8 * len(both)


def test_every_document_means_what_it_means_to_dvc() -> None:
    rng = random.Random(0)
    both = [check_agreement(a_document(rng)) for _ in range(DOCUMENTS)]
    assert sum(ours and theirs for ours, theirs in both) > 0.3 * len(both)


def test_the_projects_own_files_mean_what_they_mean_to_dvc() -> None:
    top = Path(__file__).parent.parent
    for path in [*top.glob("*.yaml"), *top.glob("*/*.yaml"), top / "dvc.lock"]:
        assert check_agreement(path.read_text(encoding="utf-8")) == (True, True), path
