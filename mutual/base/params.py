"""params.yaml and rounds.yaml: read once, checked whole, wrong values named in one line."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mutual.base.errors import InputError

PARAMS_FILE = Path("params.yaml")
ROUNDS_FILE = Path("rounds.yaml")
FIRST_ROUND = "r00"  # the pre-trained peers: what r01 starts from

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet_ibn50a", "mobilenet_v2"]
Layout = Literal["market1501", "dukemtmc", "msmt17"]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


def _eps(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "rule" or (number and 0 < float(value) <= 2):  # type: ignore[arg-type]
        return value
    raise ValueError(f"dbscan_eps: expected rule, or a distance above 0 and at most 2, got {value!r}")


class View(BaseModel):
    """Keys of params.yaml that are used together. Immutable, and with no key but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Drawing(View):
    """The demo's drawn data."""

    demo_seed: Annotated[int, Field(ge=0)]
    demo_source_pids: Annotated[int, Field(ge=2)]
    demo_target_pids: Annotated[int, Field(ge=2)]
    demo_test_pids: Annotated[int, Field(ge=2)]
    demo_images_per_source_pid: Annotated[int, Field(ge=2)]
    demo_images_per_target_pid: Annotated[int, Field(ge=2)]
    demo_images_per_test_pid: Annotated[int, Field(ge=2)]


class DataSet(View):
    """One of the two data sets: the keys ``source_…`` or ``target_…``."""

    name: Name
    layout: Layout
    root: Name


class Size(View):
    """What every image is resized to."""

    image_height: Annotated[int, Field(ge=32)]
    image_width: Annotated[int, Field(ge=16)]


class NetworkForm(View):
    """What network it is: see :class:`mutual.networks.reid.ReidNetwork`."""

    backbone: Backbone
    stem_relu: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    pooling: Literal["avg", "gem"]
    precision: Literal["fp32", "bf16"]


class Start(View):
    """Where networks start from."""

    weights: Name
    pretrained: Name


class Peers(View):
    """The peers, and the seed of what they share."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: expected a different seed for every peer, got {self.seeds}")
        return self


class Batches(View):
    """Batches of training, and how batch norms see them."""

    batch_size: Annotated[int, Field(ge=2)]
    bn_groups: Count
    instances: Annotated[int, Field(ge=2)]
    padding: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.batch_size % self.instances:
            raise ValueError(f"batch_size: expected a multiple of instances ({self.instances}), got {self.batch_size}")
        if self.batch_size < 2 * self.instances:
            raise ValueError(
                f"batch_size: expected two identities at least ({2 * self.instances} images), got {self.batch_size}"
            )
        if self.batch_size % self.bn_groups or self.batch_size < 2 * self.bn_groups:
            expected = f"equal groups of two images or more in a batch of {self.batch_size}"
            raise ValueError(f"bn_groups: expected {expected}, got {self.bn_groups}")
        return self


class Penalties(View):
    """What keeps every training from being too sure."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]


class Pretraining(View):
    """Pre-training on the source."""

    pretrain_epochs: Count
    pretrain_iterations: Count
    pretrain_lr: Rate
    pretrain_warmup_epochs: Annotated[int, Field(ge=0)]
    pretrain_milestones: list[Count]
    pretrain_eval_epochs: Count

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if self.pretrain_milestones != sorted(set(self.pretrain_milestones)):
            raise ValueError(f"pretrain_milestones: expected rising epochs, got {self.pretrain_milestones}")
        return self


class Clustering(View):
    """From features to pseudo labels."""

    clustering: Literal["kmeans", "dbscan"]
    clusters: Annotated[int, Field(ge=2)]
    kmeans_by: Literal["own", "faiss"]
    kmeans_iterations: Count
    dbscan_eps: Annotated[float | Literal["rule"], BeforeValidator(_eps)]
    dbscan_rho: Annotated[float, Field(gt=0, le=1)]
    dbscan_min_samples: Count
    k1: Count
    k2: Count
    source_distance_weight: Annotated[float, Field(ge=0, lt=1)]


class Adaptation(View):
    """One round of adaptation, whichever refinery learns from the pseudo labels."""

    refinery: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    iterations: Count
    lr: Rate
    backbone_lr_scale: Rate
    erase_probability: Share
    source_weight: Annotated[float, Field(ge=0)]
    dsbn: bool

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.dsbn and self.source_weight == 0:
            raise ValueError("dsbn: expected source batches (source_weight above 0), which it gives batch norms")
        return self


class MutualMeanTeaching(View):
    """The refinery mmt."""

    alpha: Annotated[float, Field(ge=0, lt=1)]
    soft_ce_weight: Share
    soft_tri_weight: Share


class Evaluation(View):
    """Tests on the target."""

    rerank: bool
    keep_features: Literal["last", "all"]


class Params(BaseModel):
    """Every choice of the experiment; params.yaml explains each key above its line.

    The file is flat, so that ``-S alpha=0.999`` works; here its keys stand together by use. A key of the file
    belongs to the one view that has a field of its name, ``source_…`` and ``target_…`` to the two data sets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drawing: Drawing
    source: DataSet
    target: DataSet
    size: Size
    network: NetworkForm
    start: Start
    peers: Peers
    batches: Batches
    penalties: Penalties
    pretraining: Pretraining
    clustering: Clustering
    adaptation: Adaptation
    mmt: MutualMeanTeaching
    evaluation: Evaluation

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        pretrained = self.start.pretrained
        if pretrained != "none" and len(self.peers.seeds) > 1 and "{seed}" not in pretrained:
            raise ValueError(f"pretrained: expected {{seed}} in the path, a file for each peer, got {pretrained}")
        return self

    def values(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of these keys of params.yaml."""
        found = {}
        for key in keys:
            view, field = PLACES[key]
            found[key] = getattr(getattr(self, view), field)
        return found


def keys_of(view: str) -> dict[str, str]:
    """The fields of a view of :class:`Params` and the keys of params.yaml that they stand for."""
    prefix = f"{view}_" if view in ("source", "target") else ""
    return {field: prefix + field for field in Params.model_fields[view].annotation.model_fields}  # type: ignore[union-attr]


# key of params.yaml -> its view and field
PLACES = {key: (view, field) for view in Params.model_fields for field, key in keys_of(view).items()}


def read_params(params_file: Path = PARAMS_FILE, rounds_file: Path = ROUNDS_FILE) -> Params:
    """The checked parameters.

    The rounds are checked along, so that a stage never starts work below a mapping that cannot be run.
    Raises :class:`InputError` naming the file, the key and what was expected.
    """
    read_rounds(rounds_file)
    content = _read_mapping(params_file)
    try:
        return Params.model_validate(by_view(content))
    except ValidationError as error:
        raise InputError(f"{params_file}: {_first_fault(error)}") from None


def by_view(content: Mapping[str, Any]) -> dict[str, Any]:
    """The flat keys of params.yaml, each in its view; unknown ones stay where they are."""
    sorted_in: dict[str, Any] = {view: {} for view in Params.model_fields}
    for key, value in content.items():
        view, field = PLACES.get(key, ("", key))
        (sorted_in[view] if view else sorted_in)[field] = value
    return sorted_in


def read_rounds(path: Path = ROUNDS_FILE) -> dict[str, str]:
    """The rounds in the order in which they run: name -> the round it starts from (``r01: r00``).

    Raises :class:`InputError` for keys that are no strings (DVC silently makes no stages of integers), for a round
    that starts from none of the others, and for a cycle.
    """
    content = _read_mapping(path)
    rounds = content.get("rounds")
    if set(content) != {"rounds"} or not isinstance(rounds, Mapping):
        raise InputError(f"{path}: expected one key `rounds` with a mapping such as `r01: r00`")
    if not rounds:
        raise InputError(
            f"{path}: expected a round at least, such as `r01: r00`; direct transfer alone is `dvc repro direct`"
        )
    for name, start in rounds.items():
        for what in (name, start):
            if not is_round(what):
                raise InputError(
                    f"{path}: {what!r}: expected round names such as r01, in `round: the one it starts from`"
                )
        if name == FIRST_ROUND:
            raise InputError(f"{path}: {FIRST_ROUND} is the pre-trained pair and starts from nothing")
        if start != FIRST_ROUND and start not in rounds:
            raise InputError(f"{path}: {name} starts from {start}, which is neither {FIRST_ROUND} nor another round")
    return {name: rounds[name] for name in sorted(rounds, key=lambda name: (_depth(path, rounds, name), name))}


def is_round(name: object) -> bool:
    """Whether this is a round's name, such as r01."""
    return isinstance(name, str) and re.fullmatch(r"r([0-9]{2}|[1-9][0-9]{2,})", name) is not None


def round_number(name: str) -> int:
    """``r07`` -> 7."""
    if not is_round(name):
        raise InputError(f"{name!r}: expected a round's name such as r01")
    return int(name[1:])


def _depth(path: Path, rounds: Mapping[str, str], name: str) -> int:
    """How many rounds come before this one."""
    chain = [name]
    while (start := rounds.get(chain[-1])) is not None:
        if start in chain:
            raise InputError(f"{path}: the rounds {' <- '.join([*chain, start])} form a cycle")
        chain.append(start)
    return len(chain) - 1


def _read_mapping(path: Path) -> dict[Any, Any]:
    # YAML 1.2 as DVC reads it: there 5e-4 is a number; PyYAML would make it a string
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found: run from the project's top folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `key: value` lines")
    return content


def _first_fault(error: ValidationError) -> str:
    """The first fault as ``key: what was expected, what was got``, and how many more there are."""
    # an unknown key first: where one is mistyped, the right one is missing
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    first = faults[0]
    view, *inner = (str(part) for part in first["loc"]) if first["loc"] else ("",)
    key = keys_of(view).get(inner[0], inner[0]) if inner and view in Params.model_fields else view
    key = ".".join([key, *inner[1:]])
    if first["type"] == "missing":
        text = f"{key}: missing"
    elif first["type"] == "extra_forbidden":
        meant = get_close_matches(key, PLACES, n=1)
        text = f"{key}: unknown parameter" + "".join(f", did you mean {name}?" for name in meant)
    elif first["type"] == "value_error":
        text = str(first["ctx"]["error"])
    else:
        message = re.sub(r"^\w+ should (be|have) | after validation.*", "", first["msg"])
        text = f"{key}: expected {message}, got {first['input']!r}"
    return text + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
