"""Wrong labels: the authors' values of network, rates and noise, what is by hand, and the figures of runs."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mutual.base.documents import read_yaml
from mutual.base.errors import InputError
from mutual.images.index import Index
from mutual.images.normalisation import normalise
from mutual.noise.cameras import cameras_from_names
from mutual.noise.cells import Cell, Kind, cells
from mutual.noise.corruption import corrupted, other_labels, replaced, second_label
from mutual.noise.figures import beliefs, run_figures
from mutual.noise.fitting import Plan, fit, rates, shuffled
from mutual.noise.kept import Run, epochs_tested
from mutual.noise.network import SupervisedNetwork, compared_features, drawn_network, logits_of, with_mirror
from mutual.noise.params import checked, read_noisy_params
from mutual.noise.results import FIGURES, RUN, last_and_best, read_table, results, table_text
from mutual.noise.runs import refinery_values, unaugmented
from mutual.refineries.contract import find_refinery
from tests.golden import assert_close, golden
from tests.golden.fill_rule import tensor_for
from tests.tiny import refusal

CORE = golden("refineries/core")
COTEACHING = golden("refineries/coteaching")
AUTHORS = Plan(61, 32, 0.01, 0.1, [20, 50], 0.9, 5e-4, 0, True)
CPU = torch.device("cpu")
NOISES: list[Kind] = ["random", "pattern", "symmetric", "pair"]


def network(classes: int = 3, seed: int = 1, number: int = 1) -> SupervisedNetwork:
    return drawn_network("resnet18", classes, 8, 1, 0.5, "none", seed, number)


# --- the authors' values ---------------------------------------------------------------------------------------------


def test_the_learning_rates_are_the_authors() -> None:
    ours = np.array([rates(AUTHORS, epoch) for epoch in range(61)])
    assert_close(ours, CORE["lr_schedule"], 1e-12)


OURS = {"add_block.0": "neck.0", "add_block.1": "neck.1", "classifier.0": "classifier"}


def renamed(name: str) -> str:
    place, _, kind = name.rpartition(".")
    return f"{OURS[place]}.{kind}"


def head_of(network: SupervisedNetwork) -> dict[str, torch.Tensor]:
    return {name: value for name, value in network.state_dict().items() if not name.startswith("backbone.")}


@pytest.fixture(scope="module")
def authors_network() -> SupervisedNetwork:
    torch.manual_seed(3)
    return SupervisedNetwork("resnet50", 751, 64, 2, 0.5)


def test_the_heads_tensors_are_the_authors_and_start_as_theirs(authors_network: SupervisedNetwork) -> None:
    ours = head_of(authors_network)
    names = CORE["head_names"].tolist()
    assert sorted(ours) == sorted(map(renamed, names))
    for i, name in enumerate(names):
        found = ours[renamed(name)]
        assert ",".join(map(str, found.shape)) == CORE["head_shapes"][i]
        if found.is_floating_point():
            std, count = float(CORE["head_init_std"][i]), found.numel()
            assert float(found.mean()) == pytest.approx(
                float(CORE["head_init_mean"][i]), abs=6 * std / count**0.5 + 1e-9
            )
            assert float(found.std(correction=0)) == pytest.approx(std, rel=6 / count**0.5, abs=1e-9)


def test_the_heads_logits_are_the_authors() -> None:
    made = SupervisedNetwork("resnet50", 20, 4, 2, 0.5)
    made.neck[0] = nn.Linear(2048, 512)  # type: ignore[operator]
    made = made.double().eval()
    own = head_of(made)
    filled = {}
    for name in CORE["head_names"].tolist():
        shape = tuple(own[renamed(name)].shape)
        filled[renamed(name)] = torch.from_numpy(np.asarray(tensor_for(name, shape)))
    made.load_state_dict(filled, strict=False)
    with torch.no_grad():
        x = torch.from_numpy(CORE["head_x"]).double()
        assert_close(made.classifier(made.dropout(made.neck(x))), CORE["head_out_f64"], 1e-9)


def test_the_networks_map_is_torchvisions_with_a_last_stride_of_two(authors_network: SupervisedNetwork) -> None:
    images = torch.zeros(1, 3, 64, 32)
    with torch.no_grad():
        assert authors_network.backbone(images).shape == (1, 2048, 2, 1)
    assert network().backbone(images).shape == (1, 64, 4, 2)


def test_what_is_compared_is_the_authors() -> None:
    found = with_mirror(*(torch.from_numpy(CORE[name]) for name in ("flip_feat", "flip_feat_flip")))
    assert_close(found, CORE["flip_out"], 1e-6)


def test_pattern_noise_asks_the_mirror_image_as_the_authors_do() -> None:
    labels = second_label(CORE["second_logits_flip"], CORE["second_targets"])
    assert labels.tolist() == CORE["second_label"].tolist()
    assert (second_label(CORE["second_logits"], CORE["second_targets"]) != CORE["second_label"]).any()


@pytest.mark.parametrize("case", range(3))
def test_as_many_labels_of_each_identity_are_wrong_as_with_the_authors(case: int) -> None:
    true, second, ratio = CORE["noise_labels"], CORE["noise_second"], float(CORE["noise_ratios"][case])
    for kind, theirs in (("random", CORE["noise_random"][case]), ("pattern", CORE["noise_pattern"][case])):
        ours = corrupted(true, kind, ratio, second, seed=1)  # type: ignore[arg-type]
        assert Counter(true[ours != true].tolist()) == Counter(true[theirs != true].tolist())
        if kind == "pattern":
            assert (ours[ours != true] == second[ours != true]).all()
            assert (theirs[theirs != true] == second[theirs != true]).all()


@pytest.mark.parametrize("percent", [20, 45])
def test_labels_flip_as_often_as_with_co_teachings_authors(percent: int) -> None:
    """Each by itself: the rates agree within what chance does, and the rules exactly."""
    true = COTEACHING["noise_labels"].astype(np.int64)
    for kind, name in (("pair", "pairflip"), ("symmetric", "symmetric")):
        theirs = COTEACHING[f"noise_{name}_{percent}"].astype(np.int64)
        ours = corrupted(true, kind, percent / 100, true, seed=1)  # type: ignore[arg-type]
        spread = (percent / 100 * (1 - percent / 100) / len(true)) ** 0.5
        for labels in (ours, theirs):
            assert abs((labels != true).mean() - percent / 100) < 4 * spread
            if kind == "pair":
                assert (labels[labels != true] == (true[labels != true] + 1) % 10).all()
            else:
                assert len(np.unique((labels - true)[labels != true] % 10)) == 9
        assert (theirs != true).mean() == pytest.approx(float(COTEACHING[f"noise_{name}_{percent}_rate"]), abs=1e-6)


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "counts"), [(0.1, [0, 1]), (0.5, [2, 2]), (0.3, [2, 1])])
def test_a_half_rounds_to_even(ratio: float, counts: list[int]) -> None:
    """Of 5 and of 4 images: 0.5 -> 0; 2.5 -> 2; 1.5 -> 2. Of 4: 0.4 -> 0, 2, 1.2 -> 1."""
    true = np.repeat([0, 1], [5, 5 if ratio == 0.1 else 4])
    counts = [0, 0] if ratio == 0.1 else counts
    ours = replaced(true, 1 - true, ratio, np.random.default_rng(1))
    assert [int((ours != true)[true == label].sum()) for label in (0, 1)] == counts


def test_another_label_is_never_its_own_and_any_of_the_others() -> None:
    true = np.repeat(np.arange(4), 300)
    others = other_labels(true, np.random.default_rng(1))
    for label in range(4):
        found = Counter(others[true == label].tolist())
        assert sorted(found) == [each for each in range(4) if each != label]
        assert min(found.values()) > 70


def test_a_second_label_by_hand() -> None:
    logits = np.array([[3, 2, 1], [3, 2, 1], [1, 1, 0]], np.float32)
    assert second_label(logits, np.array([0, 2, 0])).tolist() == [1, 0, 1]


@pytest.mark.parametrize("kind", NOISES)
def test_wrong_labels_depend_on_the_seed_alone(kind: Kind) -> None:
    true = np.repeat(np.arange(6), 10)
    second = (true + 2) % 6
    first, again, other = (corrupted(true, kind, 0.5, second, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    few = corrupted(true, kind, 0.2, second, 1)
    assert (few[few != true] == first[few != true]).all()


def test_labels_of_one_identity_cannot_be_made_wrong() -> None:
    expected = "the training images are all of one identity: expected two at least for random noise"
    assert refusal(lambda: corrupted(np.zeros(4, np.int64), "random", 0.5, np.zeros(4, np.int64), 1)) == expected


def test_an_epochs_batches_are_all_images_and_the_last_is_kept() -> None:
    batches = shuffled(70, 32, np.random.default_rng(1))
    assert [len(rows) for rows in batches] == [32, 32, 6]
    assert sorted(np.concatenate(batches).tolist()) == list(range(70))
    assert [len(rows) for rows in shuffled(64, 32, np.random.default_rng(1))] == [32, 32]


def test_beliefs_by_hand() -> None:
    """Four wrong labels, of which two are put right and one is fitted; two right ones, of which one is kept."""
    true = np.array([0, 0, 1, 1, 2, 2])
    given = np.array([1, 1, 2, 2, 2, 2])
    predicted = np.array([0, 0, 2, 0, 2, 1])
    assert beliefs(predicted, given, true) == {"repaired": 0.5, "fitted": 0.25, "kept": 0.5}
    clean = beliefs(true, true, true)
    assert clean["kept"] == 1
    assert np.isnan(clean["repaired"])


def test_last_and_best_are_told_apart() -> None:
    rows: list[dict[str, Any]] = []
    for method, gain in (("hard_labels", 0.0), ("self", 0.1)):
        for seed in (1, 2):
            for epoch, rank1 in ((2, 0.5), (4, 0.75), (6, 0.625)):
                figures = dict.fromkeys(FIGURES, 0.25) | {"mAP": rank1 / 2 + gain, "rank1": rank1 + seed / 100}
                rows.append({"method": method, "kind": "random", "ratio": 0.5, "seed": seed, "epoch": epoch} | figures)
    runs = last_and_best(read_back(rows))
    assert runs["mAP"].tolist() == pytest.approx([0.3125, 0.3125, 0.4125, 0.4125])
    assert runs["best_rank1"].tolist() == pytest.approx([0.76, 0.77, 0.76, 0.77])
    text = results(read_back(rows), [Cell("random", 0.5)], ["hard_labels", "self"])
    assert "| random, 0.5 | 31.2 ± 0.0 / 64.0 ± 0.7 | 41.2 ± 0.0 / 64.0 ± 0.7 |" in text
    assert "| random, 0.5 | +10.0 +10.0 |" in text


def read_back(rows: list[dict[str, Any]]) -> Any:
    path = Path("table.csv")
    path.write_text(table_text(rows), encoding="utf-8")
    return read_table(path)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_runs_figures_by_hand() -> None:
    """The query's only match is first in the second epoch, second in the first."""
    query, gallery = Index(["q"], np.array([1]), np.array([1])), Index(["a", "b"], np.array([1, 2]), np.array([2, 2]))
    features = np.array([[[1, 0]], [[0, 1]]], np.float32)
    others = np.array([[[0.6, 0.8], [1, 0]], [[0, 1], [1, 0]]], np.float32)
    true = np.array([0, 1])
    run = Run(features, others, np.array([[0, 0], [0, 1]]))
    found = run_figures(run, np.array([0, 0]), true, query, gallery)
    assert [(each["mAP"], each["rank1"]) for each in found] == [(0.5, 0.0), (1.0, 1.0)]
    assert [each["repaired"] for each in found] == [0.0, 1.0]


def test_the_epochs_that_are_tested() -> None:
    assert epochs_tested(7, 3) == [3, 6, 7]
    assert epochs_tested(2, 5) == [2]


def test_the_cells_of_the_table() -> None:
    names = [cell.name for cell in cells(["random", "pattern"], [0.1, 0.5])]
    assert names == ["clean", "random-0.1", "random-0.5", "pattern-0.1", "pattern-0.5"]


def test_cameras_come_from_the_names() -> None:
    files = ["train/0002/0002_c3s1_000451_03.jpg", "train/-1/-1_c1s1_000401_03.jpg"]
    found = cameras_from_names(Path("set"), Index(files, np.array([2, -1]), np.array([1, 2])), "market1501")
    assert (found.file, found.pid.tolist(), found.camid.tolist()) == (files[:1], [2], [3])
    odd = Index(["train/1/a.jpg"], np.array([1]), np.array([1]))
    line = refusal(lambda: cameras_from_names(Path("set"), odd, "market1501"))
    assert line.startswith("set/train/1/a.jpg: camera_names: market1501 expects names PID_cCAMERA")


# --- training --------------------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(1).integers(0, 256, (14, 32, 16, 3), np.uint8)
GIVEN = np.repeat([0, 1], 7)
SHORT = Plan(2, 4, 0.01, 0.05, [1], 0.9, 5e-4, 2, True)
OWN: dict[str, dict[str, Any]] = {
    "hard_labels": {},
    "self": {},
    "core": {"opening": 0.5, "selective": False},
    "coteaching": {"forget_epochs": 2, "exponent": 1.0},
}


def trained(method: str, labels: np.ndarray = GIVEN, plan: Plan = SHORT) -> tuple[list[float], list[SupervisedNetwork]]:
    kind = find_refinery(method)
    networks = [network(2, number=number) for number in range(1, kind.least_peers + 1)]
    refinery = kind.of(refinery_values(kind.keys, OWN[method], 0.25))
    return list(fit(refinery, networks, IMAGES, labels, plan, 1, CPU)), networks


@pytest.mark.parametrize("method", OWN)
def test_every_method_learns_and_is_one_and_the_same_twice(method: str) -> None:
    (losses, networks), (again, others) = trained(method), trained(method)
    assert losses == again
    assert len(losses) == 2
    for one, other in zip(networks, others, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
    start = network(2)
    assert not torch.equal(start.classifier.weight, networks[0].classifier.weight)
    assert not torch.equal(start.backbone.conv1.weight, networks[0].backbone.conv1.weight)  # type: ignore[union-attr, arg-type]


def test_plain_learning_is_cross_entropy_alone_by_sgd() -> None:
    """A step of the authors' optimiser, with plain torch: a batch of all images, whose order does not matter."""
    plan = Plan(1, 14, 0.01, 0.05, [], 0.9, 5e-4, 0, False)
    ours, theirs = (drawn_network("resnet18", 2, 8, 1, 0.0, "none", 1, 1) for _ in range(2))
    refinery = find_refinery("hard_labels").of({"triplet_weight": 0.0, "label_smoothing": 0.0})
    losses = list(fit(refinery, [ours], IMAGES, GIVEN, plan, 1, CPU))
    head = [p for name, p in theirs.named_parameters() if not name.startswith("backbone.")]
    groups = [{"params": list(theirs.backbone.parameters()), "lr": 0.01}, {"params": head, "lr": 0.05}]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loss = nn.functional.cross_entropy(theirs(normalise(torch.from_numpy(IMAGES)))[1], torch.from_numpy(GIVEN))
    loss.backward()
    optimizer.step()
    assert losses == [pytest.approx(float(loss.detach()), rel=1e-5)]
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4), name


def test_networks_differ_in_their_start_and_share_their_views() -> None:
    one, two = network(number=1), network(number=2)
    assert not torch.equal(one.classifier.weight, two.classifier.weight)
    assert unaugmented(SHORT) == Plan(2, 4, 0.01, 0.05, [1], 0.9, 5e-4, 0, False)


def test_features_are_those_of_image_and_mirror_image() -> None:
    made = network().eval()
    found = compared_features(made, IMAGES, CPU)
    assert found.shape == (14, 64)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(14), abs=1e-5)
    mirrored = compared_features(made, np.ascontiguousarray(IMAGES[:, :, ::-1]), CPU)
    assert np.abs(found - mirrored).max() < 1e-5
    assert logits_of(made, IMAGES, CPU, mirrored=True) == pytest.approx(
        logits_of(made, np.ascontiguousarray(IMAGES[:, :, ::-1]), CPU, mirrored=False), abs=1e-6
    )


def test_a_batch_of_one_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"^batch_size: expected another than 13, which leaves one of 14 images$"):
        trained("hard_labels", plan=Plan(1, 13, 0.01, 0.05, [], 0.9, 5e-4, 0, False))


def test_a_loss_that_is_not_finite_is_told() -> None:
    with pytest.raises(InputError, match=r"^head_lr: the loss is not finite in epoch \d: expected lower rates$"):
        trained("hard_labels", plan=Plan(6, 4, 1.0, 1e30, [], 0.9, 5e-4, 0, False))


# --- parameters ------------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[1]
GIVEN_PARAMS = read_yaml(ROOT / "noisy/params.yaml")


def refused(change: dict[str, Any]) -> str:
    return refusal(lambda: checked(GIVEN_PARAMS | change, Path("noisy/params.yaml"))).removeprefix(
        "noisy/params.yaml: "
    )


def test_the_projects_own_are_accepted() -> None:
    params = read_noisy_params(ROOT / "noisy/params.yaml")
    assert list(params.methods.chosen()) == ["hard_labels", "self", "core", "coteaching"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"ratios": [0.1, 1.5]}, "ratios.1: expected less than 1, got 1.5"),
        ({"ratios": [0.1, 0.1]}, "ratios: expected each once, got [0.1, 0.1]"),
        ({"noises": ["white"]}, "noises.0: expected 'random', 'pattern', 'symmetric' or 'pair', got 'white'"),
        ({"methods": {"vote": {"networks": 2}}}, "methods.vote: expected one of hard_labels, self, core, coteaching"),
        ({"methods": {}}, "methods: expected one at least"),
        ({"methods": {"self": {}}}, "methods.self.networks: missing"),
        (
            {"methods": {"coteaching": {"networks": 1, "forget_epochs": 3, "exponent": 1.0}}},
            "methods.coteaching.networks: expected greater than or equal to 2, got 1",
        ),
        ({"epoch": 3}, "epoch: unknown parameter"),
        ({"milestones": [5, 3]}, "milestones: expected rising epochs, got [5, 3]"),
        ({"padding": 32}, "padding: expected less than the images' height and width (32), got 32"),
        ({"weights": "imagenet"}, "stem: expected 64, as networks with weights of ImageNet have it, got 16"),
        (
            {"batch_size": 2**16, "image_height": 256},
            f"batch_size: expected at most {2**28} pixels in a batch, got 65536 x 256 x 32",
        ),
        ({"drawn_pids": 1}, "drawn_pids: expected greater than or equal to 2, got 1"),
    ],
)
def test_a_mistake_is_one_line(change: dict[str, Any], line: str) -> None:
    assert refused(change) == line


def test_a_missing_key_is_named() -> None:
    content = {key: value for key, value in GIVEN_PARAMS.items() if key != "root"}
    assert refusal(lambda: checked(content, Path("p.yaml"))) == "p.yaml: root: missing"


def test_the_table_of_figures_is_checked() -> None:
    Path("table.csv").write_text(",".join([*RUN, *FIGURES]) + "\n", encoding="utf-8")
    assert refusal(lambda: read_table(Path("table.csv"))) == "table.csv: expected a run at least"
