"""Reads YAML: PyYAML's C parser finds the parts, scalars mean what they mean to DVC (YAML 1.2's core schema).

PyYAML by itself follows YAML 1.1, in which 5e-4 is text, `no` is false and 12:30 a number. What DVC reads in a third
way, or what nobody needs in a file of choices, is refused, so that whatever both read is the same to both.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from mutual.base.errors import InputError, one_line, shown
from mutual.base.store import formed, read_text

Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml in Python, twenty times as slow

DEPTH = 50  # lists and mappings within each other; DVC itself ends at some hundreds
ITEMS = 1_000_000  # values of a document, those behind an alias counted each time: nine aliases of nine make a billion
DIGITS = 400  # characters of a number; the largest float has 309

# DVC's reading is ruamel's: underscores, 0b11, and no sign of an exponent needed but after a leading point
NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)|[-+][0-9_]+")
FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[Tt \t].*", re.DOTALL)
TAG = "tag:yaml.org,2002:"


class DocumentError(ValueError):
    """What is wrong with a document, without the file's name."""


def read_yaml(path: Path, form: Any = Any) -> Any:
    """The file's one document: None, bool, int, float, str, lists and mappings of these.

    ``form`` is the pydantic model, or the type, of what it must be. Raises :class:`InputError`, one line, for whatever
    is no such file.
    """
    fault = "not valid YAML"
    try:
        return formed(path, parse_yaml(read_text(path, fault)), form)
    except DocumentError as error:
        raise InputError(f"{path}: {fault}: {error}") from None


def parse_yaml(text: str) -> Any:
    """The one document of a text; None where there is none. Raises :class:`DocumentError`, one line."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=Parser):
            builder.take(event)
    except yaml.YAMLError as error:
        raise DocumentError(one_line(str(error))) from None
    return builder.documents[0] if builder.documents else None


class _Builder:
    """Makes values of the parser's events: no recursion, so no depth of nesting that Python cannot bear."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.open: list[_Collection] = []
        self.anchors: dict[str, tuple[Any, int]] = {}  # value and the number of values in it
        self.items = 0

    def take(self, event: Any) -> None:
        """One more event of the stream."""
        match event:
            case yaml.DocumentStartEvent():
                if event.version or event.tags:
                    raise DocumentError("expected no directive such as %YAML")
                if self.documents:
                    raise DocumentError("expected one document, found another below a line ---")
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                made: list | dict = [] if isinstance(event, yaml.SequenceStartEvent) else {}
                kind = "seq" if isinstance(made, list) else "map"
                if event.tag not in (None, "!", TAG + kind):
                    raise DocumentError(f"expected no tag such as {shown(event.tag)}")
                if len(self.open) == DEPTH:
                    raise DocumentError(f"expected at most {DEPTH} lists and mappings within each other")
                self.open.append(_Collection(made, event.anchor, self.items))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self.open.pop()
                self.put(done.made, done.anchor, self.items - done.before)
            case yaml.ScalarEvent():
                self.put(_scalar(event), event.anchor, 0)
            case yaml.AliasEvent():
                if event.anchor not in self.anchors:
                    raise DocumentError(f"*{shown(event.anchor)[1:-1]}: expected the name of a value that ends above")
                value, items = self.anchors[event.anchor]
                self.items += items
                self.put(value, None, 0)

    def put(self, value: Any, anchor: str | None, items: int) -> None:
        """A value is whole: it belongs to the collection that is open, or is the document."""
        self.items += 1
        if self.items > ITEMS:
            raise DocumentError(f"expected at most {ITEMS} values")
        if anchor is not None:
            self.anchors[anchor] = value, items
        if self.open:
            self.open[-1].put(value)
        else:
            self.documents.append(value)


class _Collection:
    """A list or mapping of which the end has not come yet."""

    def __init__(self, made: Any, anchor: str | None, before: int) -> None:
        self.made = made
        self.anchor = anchor
        self.before = before  # values of the document above it
        self.key: list[Any] = []  # the key whose value comes next

    def put(self, value: Any) -> None:
        """An item, or in turn a key and its value."""
        if isinstance(self.made, list):
            self.made.append(value)
        elif self.key:
            self.made[self.key.pop()] = value
        elif isinstance(value, list | dict):
            raise DocumentError(f"expected plain keys, found {shown(value)}")
        elif value in self.made:
            raise DocumentError(f"{shown(value)}: stands there twice")
        else:
            self.key.append(value)


def _scalar(event: Any) -> Any:
    """What a scalar means: plain ones by their form, quoted ones are text, a tag such as !!float says it."""
    text: str = event.value
    tag = event.tag.removeprefix(TAG) if event.tag else "!"
    if tag == "str" or (tag == "!" and not event.implicit[0]):
        return text
    if tag == "!" and (text == "<<" or DATE.fullmatch(text)):
        raise DocumentError(f"{shown(text)}: expected neither dates nor merged keys: quote what is text")
    forms = {"null": NULL, "bool": BOOL, "int": INT, "float": FLOAT}
    if tag not in ("!", *forms):
        raise DocumentError(f"expected no tag such as {shown(event.tag)}")
    for name, form in forms.items():
        if tag in ("!", name) and form.fullmatch(text):
            return _value(name, text)
    if tag == "!":
        return text
    if tag == "float" and INT.fullmatch(text):
        return float(_value("int", text))
    raise DocumentError(f"!!{tag} {shown(text)}: is none")


def _value(kind: str, text: str) -> Any:
    """The value of a text that has the form of this kind."""
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if len(text) > DIGITS:
        raise DocumentError(f"expected numbers of at most {DIGITS} digits, found one of {len(text)}")
    plain = text.replace("_", "").lower()
    try:
        if kind == "float":
            return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
        return int(plain, 0 if plain.lstrip("+-")[:2] in ("0b", "0o", "0x") else 10)
    except (ValueError, OverflowError):
        raise DocumentError(f"{shown(text)}: expected digits") from None
