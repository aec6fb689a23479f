"""semi/segmentation/params.yaml as the stages read it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mutual.base.params import PIXELS, Epochs, Name, Rate, Seed, Share, View
from mutual.few.methods import NAME, Method
from mutual.few.reading import Seeds, read_params

FILE = Path("semi/segmentation/params.yaml")
PHASES = FILE.with_name("phases.yaml")
NETWORKS = 2
Side = Annotated[int, Field(ge=8, le=4096)]
Padded = Annotated[int, Field(ge=0, le=4096)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Scale = Annotated[float, Field(ge=0.05, le=20)]
Percent = Annotated[float, Field(ge=0, le=100)]
Dilation = Annotated[int, Field(ge=1, le=1000)]
MethodName = Annotated[str, StringConstraints(pattern=NAME)]
Two = Field(min_length=2, max_length=2)


class SegmentationMethod(Method):
    """A method of segmentation."""

    labelled_by: Literal["other", "itself"]  # whose labels a network learns from


class Network(View):
    """What both networks are, and where each starts."""

    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101"]
    # with fewer, gradients of strided convolutions are written beyond their end by oneDNN's kernels for AVX2
    stem: Annotated[int, Field(ge=8, le=256)]
    output_stride: Literal[2, 4, 8, 16, 32]
    dilations: Annotated[list[Dilation], Field(min_length=1, max_length=16)]
    summed: Annotated[int, Field(ge=1, le=16)]
    weights: Annotated[list[Name], Two]
    colours: Annotated[list[Literal["imagenet", "coco"]], Two]
    precision: Literal["fp32", "tf32", "bf16"]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.summed > len(self.dilations):
            raise ValueError(f"summed: expected at most the number of dilations, got {self.summed}")
        if "imagenet" in self.weights and self.stem != 64:
            raise ValueError(f"stem: expected 64, as networks with weights of ImageNet have it, got {self.stem}")
        return self


class Views(View):
    """What is done to pictures in training."""

    crop_height: Side
    crop_width: Side
    least_scale: Scale
    most_scale: Scale
    flip: bool

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.least_scale > self.most_scale:
            raise ValueError(f"least_scale: expected at most most_scale, got {self.least_scale:g}")
        return self


class SegmentationParams(View):
    """Every choice of segmentation with few labels; the file explains each key above its line."""

    drawn_seed: Seed
    drawn_train: Count
    drawn_validation: Count
    drawn_test: Count
    layout: Literal["voc2012", "cityscapes", "pairs"]
    root: Name
    classes: Annotated[int, Field(ge=2, le=255)]
    shrink: Annotated[int, Field(ge=1, le=64)]
    seeds: Seeds
    labelled_images: Count
    network: Network
    views: Views
    padded: Annotated[list[Padded], Two]
    batch_size: Annotated[int, Field(ge=2, le=2**12)]
    labelled_in_batch: Count
    labelled_share: Annotated[float, Field(ge=0.5, le=1)]
    labelled_epochs: Epochs
    all_epochs: Epochs
    phase_epochs: Epochs
    labelled_lr: Rate
    lr: Rate
    power: Annotated[float, Field(gt=0, le=10)]
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: Share
    selection: Literal["global", "per_class"]
    sampled: Annotated[int, Field(ge=1, le=10_000)]
    methods: Annotated[dict[MethodName, SegmentationMethod], Field(min_length=1)]
    published: dict[MethodName, Percent]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.labelled_in_batch >= self.batch_size:
            raise ValueError(f"labelled_in_batch: expected less than batch_size, got {self.labelled_in_batch}")
        if self.batch_size * self.views.crop_height * self.views.crop_width > PIXELS:
            got = f"{self.batch_size} x {self.views.crop_height} x {self.views.crop_width}"
            raise ValueError(f"batch_size: expected at most {PIXELS} pixels in a batch, got {got}")
        return self


def read_segmentation_params() -> SegmentationParams:
    """The checked parameters. Raises :class:`InputError` naming the file, the key and what was expected."""
    return read_params(FILE, SegmentationParams)
