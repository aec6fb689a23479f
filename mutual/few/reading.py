"""Reads a file of parameters of few labels: checked whole, wrong values named in one line."""

import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from mutual.base.errors import InputError, shown
from mutual.base.params import Seed, View, and_more, expectation, read_mapping

Params = TypeVar("Params", bound=View)


def _each_once(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError(f"expected each once, got {shown(values)}")
    return values


Seeds = Annotated[list[Seed], Field(min_length=1, max_length=64), AfterValidator(_each_once)]


def read_params(path: Path, form: type[Params]) -> Params:
    """The parameters as ``form`` has them. Raises :class:`InputError` naming the file, the key, what was expected."""
    content = read_mapping(path)
    try:
        return form.model_validate(content)
    except ValidationError as error:
        # before anything else: where a key is mistyped, the right one is missing
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key, first = ".".join(map(str, faults[0]["loc"])), faults[0]
        match first["type"]:
            case "extra_forbidden":
                text = f"{shown(key)[1:-1]}: unknown parameter"
            case "missing":
                text = f"{key}: missing"
            case _:
                text = expectation(key, first)
        raise InputError(f"{path}: {text}{and_more(faults)}") from None


def place(file: Path, name: str) -> Path:
    """The file or folder of this name: an absolute one, or one reached from the folder of ``file``, where it stands."""
    return file.parent / os.path.expanduser(name)
