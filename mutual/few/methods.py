"""Methods as a file of parameters has them: how their pseudo labels are weighted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from mutual.base.errors import InputError, shown
from mutual.base.params import View

Form = Literal["ones", "agreement", "own"]
Gamma = Annotated[float, Field(ge=0, le=100)]
NAME = r"^[A-Za-z][A-Za-z0-9_]{0,30}$"  # of a method, and of a chain of phases
USED: dict[Form, set[str]] = {"ones": set(), "agreement": {"gamma1", "gamma2"}, "own": {"gamma1"}}


class Method(View):
    """What stands below a method's name."""

    weights: Form
    gamma1: Gamma | None = None
    gamma2: Gamma | None = None

    @model_validator(mode="after")
    def _has_what_its_weights_need(self) -> Self:
        given = {key for key in ("gamma1", "gamma2") if getattr(self, key) is not None}
        needed = USED[self.weights]
        if given != needed:
            expected = " and ".join(sorted(needed)) or "neither gamma1 nor gamma2"
            raise ValueError(
                f"expected {expected} with weights: {self.weights}, got {', '.join(sorted(given)) or 'none'}"
            )
        return self


M = TypeVar("M", bound=Method)


def chosen(name: str, methods: Mapping[str, M], file: Path) -> M:
    """The method of this name. Raises :class:`InputError` that tells which ones ``file`` has."""
    if name not in methods:
        raise InputError(f"--method: expected {', '.join(methods)}, as {file} has them, got {shown(name)}")
    return methods[name]
