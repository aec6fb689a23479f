"""semi/classification/params.yaml as the stages read it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mutual.base.params import PIXELS, Epochs, Name, Rate, Seed, Share, View
from mutual.few.methods import NAME, Method
from mutual.few.reading import Seeds, read_params

FILE = Path("semi/classification/params.yaml")
PHASES = FILE.with_name("phases.yaml")
Layout = Literal["digits", "cifar10", "folders"]
Augment = Literal["none", "mild", "randaugment"]
Selection = Literal["global", "per_class"]
SIDES: dict[Layout, int] = {"digits": 8, "cifar10": 32}  # which have a size of their own
Side = Annotated[int, Field(ge=4, le=1024)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Percent = Annotated[float, Field(ge=0, le=100)]
MethodName = Annotated[str, StringConstraints(pattern=NAME)]


class ClassificationMethod(Method):
    """A method of classification."""

    ramp: bool = False  # whether both gammas rise over a phase


class ClassificationParams(View):
    """Every choice of classification with few labels; the file explains each key above its line."""

    layout: Layout
    root: Name
    image_height: Side
    image_width: Side
    data_seed: Seed
    seeds: Seeds
    labels_per_class: Count
    validation_per_class: Annotated[int, Field(ge=0, le=1_000_000)]
    depth: Annotated[int, Field(ge=10, le=100)]
    width: Annotated[int, Field(ge=1, le=64)]
    augment: Augment
    padding: Annotated[int, Field(ge=0, lt=1024)]
    flip: bool
    mixup: bool
    batch_size: Annotated[int, Field(ge=2, le=2**16)]
    labelled_in_batch: Count
    labelled_epochs: Epochs
    all_epochs: Epochs
    phase_epochs: Epochs
    labelled_lr: Rate
    lr: Rate
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: Share
    average_kept: Annotated[float, Field(ge=0, lt=1)]
    first_full: bool
    selection: Selection
    methods: Annotated[dict[MethodName, ClassificationMethod], Field(min_length=1)]
    published: dict[MethodName, Percent]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (side := SIDES.get(self.layout)) and {self.image_height, self.image_width} != {side}:
            got = f"{self.image_height} x {self.image_width}"
            raise ValueError(f"image_height, image_width: expected {side} x {side} with {self.layout}, got {got}")
        if (self.depth - 4) % 6:
            raise ValueError(f"depth: expected 6 n + 4, got {self.depth}")
        if self.labelled_in_batch >= self.batch_size:
            raise ValueError(f"labelled_in_batch: expected less than batch_size, got {self.labelled_in_batch}")
        if self.padding >= min(self.image_height, self.image_width):
            expected = f"less than the images' height and width ({min(self.image_height, self.image_width)})"
            raise ValueError(f"padding: expected {expected}, got {self.padding}")
        if self.batch_size * self.image_height * self.image_width > PIXELS:
            got = f"{self.batch_size} x {self.image_height} x {self.image_width}"
            raise ValueError(f"batch_size: expected at most {PIXELS} pixels in a batch, got {got}")
        return self


def read_classification_params() -> ClassificationParams:
    """The checked parameters. Raises :class:`InputError` naming the file, the key and what was expected."""
    return read_params(FILE, ClassificationParams)
