"""noisy/params.yaml: read once, checked whole, wrong values named in one line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from mutual.base.errors import InputError, shown
from mutual.base.params import (
    NONE,
    PIXELS,
    Epochs,
    Layout,
    Name,
    People,
    Pictures,
    Rate,
    Seed,
    Share,
    View,
    and_more,
    expectation,
    read_mapping,
)
from mutual.noise.cells import Kind

FILE = Path("noisy/params.yaml")
Ratio = Annotated[float, Field(gt=0, lt=1)]
Networks = Annotated[int, Field(ge=1, le=16)]


def _rising(epochs: list[int]) -> list[int]:
    if epochs != sorted(set(epochs)):
        raise ValueError(f"expected rising epochs, got {shown(epochs)}")
    return epochs


Milestones = Annotated[list[Epochs], Field(max_length=100), AfterValidator(_rising)]


class Alone(View):
    """A method whose networks know nothing of each other."""

    networks: Networks


class Core(View):
    """The refinery core."""

    networks: Annotated[Networks, Field(ge=2)]
    opening: Share
    selective: bool


class CoTeaching(View):
    """The refinery coteaching."""

    networks: Annotated[Networks, Field(ge=2)]
    forget_epochs: Epochs
    exponent: Annotated[float, Field(gt=0, le=100)]


class Methods(View):
    """What is compared, by the names of refineries. One that is left out is not."""

    hard_labels: Alone | None = None
    self_: Annotated[Alone | None, Field(alias="self")] = None
    core: Core | None = None
    coteaching: CoTeaching | None = None

    def chosen(self) -> dict[str, dict[str, Any]]:
        """Name -> the values that stand below it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class NoisyParams(View):
    """Every choice of the experiments with wrong labels; noisy/params.yaml explains each key above its line."""

    drawn_seed: Seed
    drawn_pids: People
    drawn_images: Pictures
    drawn_test_pids: People
    drawn_test_images: Pictures
    start_pids: People
    start_images: Pictures
    start_epochs: Epochs
    start_milestones: Milestones
    start_lr: Rate
    layout: Layout
    camera_names: Literal["none", "market1501", "dukemtmc", "veri776"]
    root: Name
    image_height: Annotated[int, Field(ge=32, le=2048)]
    image_width: Annotated[int, Field(ge=16, le=2048)]
    noises: list[Kind]
    ratios: list[Ratio]
    pattern_mirrored: bool
    pattern_augmented: bool
    backbone: Literal["resnet18", "resnet34", "resnet50"]
    # with fewer, gradients of strided convolutions are written beyond their end by oneDNN's kernels for AVX2
    stem: Annotated[int, Field(ge=8, le=256)]
    last_stride: Annotated[int, Field(ge=1, le=2)]
    weights: Name
    dropout: Annotated[float, Field(ge=0, lt=1)]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=64)]
    batch_size: Annotated[int, Field(ge=2, le=2**16)]
    epochs: Epochs
    backbone_lr: Rate
    head_lr: Rate
    milestones: Milestones
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: Share
    padding: Annotated[int, Field(ge=0, lt=2048)]
    flip: bool
    test_epochs: Epochs
    methods: Methods

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for key in ("noises", "ratios", "seeds"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: expected each once, got {shown(values)}")
        if not self.methods.chosen():
            raise ValueError("methods: expected one at least")
        if self.padding >= min(self.image_height, self.image_width):
            expected = f"less than the images' height and width ({min(self.image_height, self.image_width)})"
            raise ValueError(f"padding: expected {expected}, got {self.padding}")
        if self.batch_size * self.image_height * self.image_width > PIXELS:
            got = f"{self.batch_size} x {self.image_height} x {self.image_width}"
            raise ValueError(f"batch_size: expected at most {PIXELS} pixels in a batch, got {got}")
        if self.stem != 64 and self.weights == "imagenet":
            raise ValueError(f"stem: expected 64, as networks with weights of ImageNet have it, got {self.stem}")
        return self


def place(name: str) -> Path:
    """The file or folder of this name: an absolute one, or one that is reached from noisy/, where the names stand."""
    return FILE.parent / os.path.expanduser(name)


def start_of(weights: str) -> str:
    """``weights`` as networks take them: none, imagenet, or a file's place from the project's top."""
    return weights if weights in (NONE, "imagenet") else str(place(weights))


def read_noisy_params(path: Path = FILE) -> NoisyParams:
    """The checked parameters. Raises :class:`InputError` naming the file, the key and what was expected."""
    return checked(read_mapping(path), path)


def checked(content: Mapping[Any, Any], path: Path) -> NoisyParams:
    """The parameters of these keys. Raises :class:`InputError` that names ``path`` as where they come from."""
    try:
        return NoisyParams.model_validate(content)
    except ValidationError as error:
        # before anything else: where a key is mistyped, the right one is missing
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key, first = ".".join(map(str, faults[0]["loc"])), faults[0]
        match first["type"]:
            case "extra_forbidden" if key.startswith("methods.") and key.count(".") == 1:
                known = ", ".join(field.alias or name for name, field in Methods.model_fields.items())
                text = f"{shown(key)[1:-1]}: expected one of {known}"
            case "extra_forbidden":
                text = f"{shown(key)[1:-1]}: unknown parameter"
            case "missing":
                text = f"{key}: missing"
            case _:
                text = expectation(key, first)
        raise InputError(f"{path}: {text}{and_more(faults)}") from None
