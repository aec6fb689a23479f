"""params.yaml and rounds.yaml: read once, checked whole, wrong values named in one line."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mutual.base.documents import read_yaml
from mutual.base.errors import InputError, shown

PARAMS_FILE = Path("params.yaml")
ROUNDS_FILE = Path("rounds.yaml")
FIRST_ROUND = "r00"  # the pre-trained peers: what r01 starts from
NONE = "none"  # in place of a name, a file or a folder: there is none
GIVEN = "labels"  # in place of a clustering

# Upper bounds are far above what anyone has had a use for and below what would run for years, fill a disk or overflow:
# the largest published re-ID set has 126,441 images of 4,101 people; the longest published training 120 epochs of 400
# iterations; 2048 pixels is the height of a whole photograph.
IMAGES = 2_000_000  # drawn for one data set: 12 kB each in memory and on disk
PIXELS = 2**28  # of a batch as the network sees it: 3 GB in float32

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet_ibn50a", "mobilenet_v2"]
Layout = Literal["market1501", "dukemtmc", "msmt17", "veri776", "csv", "folders", "camera_folders", "heap"]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as many as NumPy's, torch's and scikit-learn's generators all take
People = Annotated[int, Field(ge=2, le=10_000)]
Pictures = Annotated[int, Field(ge=2, le=1_000)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Iterations = Annotated[int, Field(ge=1, le=1_000_000)]
Neighbours = Annotated[int, Field(ge=1, le=10_000)]
TIMM = re.compile(r"timm/[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_.-]{1,100})?")  # with the tag of its weights or without


def _plain(value: str) -> str:
    if value != value.strip() or re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", value):
        raise ValueError(f"expected text without control characters and blanks at its ends, got {shown(value)}")
    return value


Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]


def _eps(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "rule" or (number and 0 < value <= 2):  # type: ignore[operator]
        return value
    raise ValueError(f"expected rule, or a distance above 0 and at most 2, got {shown(value)}")


def _backbone(value: str) -> str:
    known = get_args(Backbone)
    if value in known or TIMM.fullmatch(value):
        return value
    raise ValueError(f"expected {', '.join(map(repr, known))} or timm/NAME, got {shown(value)}")


class View(BaseModel):
    """Keys of params.yaml that are used together. Immutable, and with no key but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Drawing(View):
    """The demo's drawn data."""

    demo_seed: Seed
    demo_source_pids: People
    demo_target_pids: People
    demo_test_pids: People
    demo_images_per_source_pid: Pictures
    demo_images_per_target_pid: Pictures
    demo_images_per_test_pid: Pictures

    @model_validator(mode="after")
    def _fit_a_disk(self) -> Self:
        for split in ("source", "target", "test"):
            pids, images = getattr(self, f"demo_{split}_pids"), getattr(self, f"demo_images_per_{split}_pid")
            if pids * images > IMAGES:
                raise ValueError(f"demo_{split}_pids: expected at most {IMAGES} images in all, got {pids} x {images}")
        return self


class DataSet(View):
    """One of the two data sets: the keys ``source_…`` or ``target_…``."""

    name: Name
    layout: Layout
    root: Name


class Size(View):
    """What every image is resized to."""

    image_height: Annotated[int, Field(ge=32, le=2048)]
    image_width: Annotated[int, Field(ge=16, le=2048)]


class NetworkForm(View):
    """What network it is: see :class:`mutual.networks.reid.ReidNetwork`."""

    backbone: Annotated[str, AfterValidator(_backbone)]
    stem_relu: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    pooling: Literal["avg", "gem", "cls"]
    precision: Literal["fp32", "tf32", "bf16"]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.pooling == "cls" and self.backbone in get_args(Backbone):
            raise ValueError(
                f"pooling: expected avg or gem, cls is for transformers of timm: {self.backbone} has no token"
            )
        return self


class Start(View):
    """Where networks start from."""

    weights: Name
    pretrained: Name


class Peers(View):
    """The peers, and the seed of what they share."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=64)]  # all of them train at once, in one memory
    seed: Seed

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: expected a different seed for every peer, got {shown(self.seeds)}")
        return self


class Batches(View):
    """Batches of training, and how batch norms see them."""

    batch_size: Annotated[int, Field(ge=2, le=2**16)]
    bn_groups: Annotated[int, Field(ge=1, le=2**15)]
    instances: Annotated[int, Field(ge=2, le=2**15)]
    flip: bool
    padding: Annotated[int, Field(ge=0, lt=2048)]

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
    weight_decay: Share


class Pretraining(View):
    """Pre-training on the source."""

    pretrain_epochs: Epochs
    pretrain_iterations: Iterations
    pretrain_lr: Rate
    pretrain_warmup_epochs: Annotated[int, Field(ge=0, le=10_000)]
    pretrain_milestones: Annotated[list[Epochs], Field(max_length=100)]
    pretrain_eval_epochs: Epochs

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if self.pretrain_milestones != sorted(set(self.pretrain_milestones)):
            raise ValueError(f"pretrain_milestones: expected rising epochs, got {shown(self.pretrain_milestones)}")
        return self


class Clustering(View):
    """From features to pseudo labels."""

    clustering: Literal["kmeans", "dbscan", "labels"]
    clusters: Annotated[int, Field(ge=2, le=1_000_000)]
    kmeans_by: Literal["own", "faiss"]
    kmeans_iterations: Iterations
    dbscan_eps: Annotated[float | Literal["rule"], BeforeValidator(_eps)]
    dbscan_rho: Annotated[float, Field(gt=0, le=1)]
    dbscan_min_samples: Neighbours
    k1: Neighbours
    k2: Neighbours
    neighbours: Literal["exact", "approximate"]
    source_distance_weight: Annotated[float, Field(ge=0, lt=1)]


class WrongLabels(View):
    """Labels that are wrong on purpose."""

    label_noise: Share


class Adaptation(View):
    """One round of adaptation, whichever refinery learns from the pseudo labels."""

    method: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    iterations: Iterations
    lr: Rate
    backbone_lr_scale: Rate
    erase_probability: Share
    source_weight: Annotated[float, Field(ge=0, le=1000)]
    dsbn: bool

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.dsbn and self.source_weight == 0:
            raise ValueError("dsbn: expected source batches (source_weight above 0), which it gives batch norms")
        return self


class Refining(View):
    """What several refineries have in common."""

    alpha: Annotated[float, Field(ge=0, lt=1)]
    triplet_weight: Annotated[float, Field(ge=0, le=1000)]


class MutualMeanTeaching(View):
    """The refinery mmt."""

    soft_ce_weight: Share
    soft_tri_weight: Share


class OwnKeys(View):
    """Keys of one refinery: in params.yaml they stand below its name. Where it is not chosen they have these values."""


class Core(OwnKeys):
    """The refinery core."""

    opening: Share = 0.35
    opening_lr: Annotated[float, Field(gt=0, le=1000)] = 1.0
    selective: bool = False


class CoTeaching(OwnKeys):
    """The refinery coteaching."""

    forget_rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    forget_rounds: Annotated[int, Field(ge=1, le=100_000)] = 3
    exponent: Annotated[float, Field(gt=0, le=100)] = 1.0


class DynamicMutualTraining(OwnKeys):
    """The refinery dmt."""

    gamma1: Annotated[float, Field(ge=0, le=100)] = 1.0
    gamma2: Annotated[float, Field(ge=0, le=100)] = 1.0
    rounds: Annotated[int, Field(ge=1, le=100_000)] = 5
    temperature: Annotated[float, Field(gt=0, le=100)] = 0.05


class Evaluation(View):
    """Tests on the target."""

    test_labels: Name
    rerank: bool
    keep_features: Literal["last", "all"]


class Page(View):
    """The page that shows what came out."""

    page_pictures: bool
    page_megabytes: Annotated[int, Field(ge=2, le=1000)]


class Running(View):
    """How the work is done, not what it is: no stage reads these keys for what it makes."""

    checkpoint_seconds: Annotated[float, Field(ge=0, le=86_400)]
    launcher: Annotated[
        str, Field(pattern=r"^(srun( [^\r\n]+)? )?(python|torchrun)(3(\.\d+)?)?( [^\r\n]*)?$", max_length=500)
    ]


class Params(BaseModel):
    """Every choice of the experiment; params.yaml explains each key above its line.

    The file is flat, so that ``-S alpha=0.999`` works; here its keys stand together by use. A key of the file belongs
    to the one view that has a field of its name, ``source_…`` and ``target_…`` to the two data sets; those of one
    refinery stand below its name, ``coteaching.forget_rate``.
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
    wrong: WrongLabels
    adaptation: Adaptation
    refining: Refining
    mmt: MutualMeanTeaching
    core: Core
    coteaching: CoTeaching
    dmt: DynamicMutualTraining
    evaluation: Evaluation
    page: Page
    running: Running

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if "{seed}" in self.start.pretrained:  # DVC watches what is named here, and knows no patterns
            expected = "the folder that holds peer1.safetensors and the like, as models/r00 does"
            raise ValueError(f"pretrained: expected {expected}, got {shown(self.start.pretrained)}")
        if self.source.root == NONE:
            self._go_without_a_source()
        self._leave_other_methods_alone()
        height, width = self.size.image_height, self.size.image_width
        if self.batches.padding >= min(height, width):  # a view could be all black
            expected = f"less than the images' height and width ({min(height, width)})"
            raise ValueError(f"padding: expected {expected}, got {self.batches.padding}")
        if self.batches.batch_size * height * width > PIXELS:
            got = f"{self.batches.batch_size} x {height} x {width}"
            raise ValueError(f"batch_size: expected at most {PIXELS} pixels in a batch, got {got}")
        fewest = -(-self.batches.batch_size // self.batches.instances)
        if self.clustering.clustering == "kmeans" and self.clustering.clusters < fewest:
            expected = f"{fewest} at least, for a batch of {self.batches.batch_size} with {self.batches.instances} each"
            raise ValueError(f"clusters: expected {expected}, got {self.clustering.clusters}")
        if self.wrong.label_noise > 0 and self.clustering.clustering != GIVEN:
            raise ValueError(f"label_noise: expected 0 where clustering is not labels, got {self.wrong.label_noise}")
        return self

    def _go_without_a_source(self) -> None:
        given = self.start.pretrained != NONE
        if not given and self.start.weights == NONE:
            raise ValueError("weights: expected imagenet or a file where source_root and pretrained are none, got none")
        if not given and self.source.name != NONE:  # tables would name a source that nothing was learned from
            raise ValueError(f"source_name: expected none, as source_root is, got {shown(self.source.name)}")
        shares = {
            "source_weight": self.adaptation.source_weight,
            "source_distance_weight": self.clustering.source_distance_weight,
        }
        for key, share in shares.items():
            if share > 0:
                raise ValueError(f"{key}: expected 0 where source_root is none, got {share}")

    def _leave_other_methods_alone(self) -> None:
        method = self.adaptation.method
        for view in METHODS:
            for field, default in type(getattr(self, view))().model_dump().items():
                if view != method and (got := getattr(getattr(self, view), field)) != default:
                    expected = f"{shown(default)} where method is not {view}, which alone would use it"
                    raise ValueError(f"{view}.{field}: expected {expected}, got {shown(got)} with method {method}")

    def values(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of these keys of params.yaml."""
        found = {}
        for key in keys:
            view, field = PLACES[key]
            found[key] = getattr(getattr(self, view), field)
        return found


# views whose keys stand below their name
METHODS = [view for view, field in Params.model_fields.items() if issubclass(field.annotation, OwnKeys)]  # type: ignore[arg-type]


def keys_of(view: str) -> dict[str, str]:
    """The fields of a view of :class:`Params` and the keys of params.yaml that they stand for."""
    prefix = f"{view}_" if view in ("source", "target") else f"{view}." if view in METHODS else ""
    return {field: prefix + field for field in Params.model_fields[view].annotation.model_fields}  # type: ignore[union-attr]


# key of params.yaml -> its view and field
PLACES = {key: (view, field) for view in Params.model_fields for field, key in keys_of(view).items()}


def read_params(params_file: Path = PARAMS_FILE, rounds_file: Path = ROUNDS_FILE) -> Params:
    """The checked parameters.

    The rounds are checked along, so that a stage never starts work below a mapping that cannot be run.
    Raises :class:`InputError` naming the file, the key and what was expected.
    """
    read_rounds(rounds_file)
    return checked(read_mapping(params_file), params_file)


def checked(content: Mapping[Any, Any], path: Path) -> Params:
    """The parameters of these flat keys. Raises :class:`InputError` that names ``path`` as where they come from."""
    if dotted := [key for key in content if key in PLACES and "." in key]:  # DVC would look for it below the name
        method, _, name = dotted[0].partition(".")
        raise InputError(f"{path}: {dotted[0]}: expected {name} below {method}, indented{and_more(dotted)}")
    content = unfolded(content)
    # before anything else: where a key is mistyped, the right one is missing
    if unknown := [key for key in content if key not in PLACES]:
        raise InputError(f"{path}: {_unknown(unknown[0])}{and_more(unknown)}")
    if missing := [key for key in PLACES if key not in content]:
        raise InputError(f"{path}: {missing[0]}: missing{and_more(missing)}")
    try:
        return Params.model_validate(by_view(content))
    except ValidationError as error:
        raise InputError(f"{path}: {_first_fault(error)}") from None


def unfolded(content: Mapping[Any, Any]) -> dict[Any, Any]:
    """The keys of params.yaml with those that stand below a method's name as ``method.key``."""
    found: dict[Any, Any] = {}
    for key, value in content.items():
        below = value if key in METHODS and isinstance(value, Mapping) else None
        found |= {key: value} if below is None else {f"{key}.{each}": under for each, under in below.items()}
    return found


def by_view(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The flat keys of params.yaml, all of them known, each in its view."""
    views: dict[str, dict[str, Any]] = {view: {} for view in Params.model_fields}
    for key, value in content.items():
        view, field = PLACES[key]
        views[view][field] = value
    return views


def read_rounds(path: Path = ROUNDS_FILE) -> dict[str, str]:
    """The rounds in the order in which they run: name -> the round it starts from (``r01: r00``).

    Raises :class:`InputError` for keys that are no strings (DVC silently makes no stages of integers), for a round
    that starts from none of the others, and for a cycle.
    """
    content = read_mapping(path)
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
                    f"{path}: {shown(what)}: expected round names such as r01, in `round: the one it starts from`"
                )
        if name == FIRST_ROUND:
            raise InputError(f"{path}: {FIRST_ROUND} is the pre-trained pair and starts from nothing")
        if start != FIRST_ROUND and start not in rounds:
            raise InputError(f"{path}: {name} starts from {start}, which is neither {FIRST_ROUND} nor another round")
    return _in_order(path, rounds)


def is_round(name: object) -> bool:
    """Whether this is a round's name: r01 .. r99999."""
    return isinstance(name, str) and re.fullmatch(r"r([0-9]{2}|[1-9][0-9]{2,4})", name) is not None


def round_number(name: str) -> int:
    """``r07`` -> 7."""
    if not is_round(name):
        raise InputError(f"{shown(name)}: expected a round's name such as r01")
    return int(name[1:])


def round_name(number: int) -> str:
    """7 -> ``r07``."""
    return f"r{number:02d}"


def _in_order(path: Path, rounds: Mapping[str, str]) -> dict[str, str]:
    """The rounds by how many come before each, then by name. Raises :class:`InputError` for a cycle."""
    followers = defaultdict(list)
    for name, start in rounds.items():
        followers[start].append(name)
    ordered: dict[str, str] = {}
    names = [FIRST_ROUND]
    while names := sorted(follower for name in names for follower in followers[name]):
        ordered |= {name: rounds[name] for name in names}
    if len(ordered) < len(rounds):
        # each of the others leads into a cycle
        name, chain = min(set(rounds) - set(ordered)), {}
        while name not in chain:
            chain[name] = rounds[name]
            name = rounds[name]
        cycle = [*list(chain)[list(chain).index(name) :], name]
        some = cycle if len(cycle) <= 12 else [*cycle[:5], "...", *cycle[-5:]]
        raise InputError(f"{path}: the rounds {' <- '.join(some)} form a cycle")
    return ordered


def read_mapping(path: Path) -> dict[Any, Any]:
    """The keys and values of one of the two files, unchecked."""
    if not path.exists():
        raise InputError(f"{path}: not found: run from the project's top folder")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `key: value` lines")
    return content


def _unknown(key: object) -> str:
    """That this key is no parameter, and which may have been meant."""
    if not isinstance(key, str):
        return f"{shown(key)}: unknown parameter"
    if key in METHODS:
        return f"{key}: expected its keys below it: {', '.join(keys_of(key))}"
    below = [name for name in PLACES if key and name.partition(".")[2] == key]
    meant = below or get_close_matches(key[:100], PLACES, n=1)
    name = key if re.fullmatch(r"[\w.-]{1,60}", key) else shown(key)
    return f"{name}: unknown parameter" + "".join(f", did you mean {each}?" for each in meant)


def and_more(faults: list[Any]) -> str:
    """How many there are beside the one that is told."""
    return f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""


def _first_fault(error: ValidationError) -> str:
    """The first fault as ``key: what was expected, what was got``, and how many more there are."""
    faults = error.errors()
    first = faults[0]
    view, *inner = (str(part) for part in first["loc"]) if first["loc"] else ("",)
    key = ".".join([keys_of(view)[inner[0]], *inner[1:]]) if inner else ""
    return expectation(key, first) + and_more(faults)


def expectation(key: str, fault: Mapping[str, Any]) -> str:
    """One of pydantic's errors as ``key: what was expected, what was got``."""
    if fault["type"] == "value_error":  # of one value, or of several of which it names the one to change
        return f"{key}: {fault['ctx']['error']}" if key else str(fault["ctx"]["error"])
    message = re.sub(r"^\w+ should (be|have) | after validation.*", "", fault["msg"])
    return f"{key}: expected {message}, got {shown(fault['input'])}"
