"""Classification with few labels: the authors' values of network, weights, mixup and schedule; splits and data sets."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mutual.base.errors import LINE, InputError
from mutual.classification.average import copy_statistics, update_average
from mutual.classification.losses import joint_weights, weighted_loss
from mutual.classification.mixup import Mix, draw_mix, mixed, mixed_loss
from mutual.classification.schedule import cosine_rate, ramped
from mutual.classification.selection import Selection, selected
from mutual.classification.sources import list_folders, read_cifar10, read_digits, read_folders, read_source
from mutual.classification.splits import Parts, divided
from mutual.classification.wide_resnet import WideResNet, wide_resnet
from mutual.few.methods import Form
from mutual.few.weighting import Weighting
from tests.golden import assert_close, golden
from tests.golden.fill_rule import image_batch, tensor_for
from tests.tiny import refusal

DMT = golden("refineries/dmt_classification")
DTYPES = {"f32": (torch.float32, 1e-5), "f64": (torch.float64, 1e-9)}
PSEUDO = int(DMT["split"])

precisions = pytest.mark.parametrize("precision", DTYPES)
cases = pytest.mark.parametrize("case", range(4))


def tensor(name: str, precision: str) -> Tensor:
    return torch.tensor(DMT[name], dtype=DTYPES[precision][0])


# --- the authors' network --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authors_network() -> WideResNet:
    network = WideResNet(10).double()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(tensor_for(name, shape)) for name, shape in shapes.items()})
    return network


def test_the_networks_tensors_are_the_authors_and_start_as_theirs() -> None:
    network = wide_resnet(10, 28, 2, seed=1)
    assert sum(p.numel() for p in network.parameters()) == 1_467_610
    state = network.state_dict()
    assert list(state) == DMT["wrn_names"].tolist()
    for i, (name, found) in enumerate(state.items()):
        assert ",".join(map(str, found.shape)) == DMT["wrn_shapes"][i]
        if found.dim() > 1:
            wanted = float(DMT["wrn_init_std"][i])
            assert float(found.std()) == pytest.approx(wanted, rel=6 / found.numel() ** 0.5), name
        elif found.dim() == 1:
            assert len(found.unique()) == 1
    assert not state["fc.bias"].any()


def test_the_networks_answers_are_the_authors(authors_network: WideResNet) -> None:
    assert int(DMT["wrn_image_seed"]) == 7  # that of image_batch
    images = torch.from_numpy(image_batch(8, 32, 32))
    authors_network.eval()
    with torch.no_grad():
        assert_close(authors_network(images), DMT["wrn_eval_f64"], 1e-9)
    authors_network.train()
    logits = authors_network(images)
    assert_close(logits, DMT["wrn_train_f64"], 1e-9)
    logits.square().mean().backward()
    gradients = dict(authors_network.named_parameters())
    assert list(gradients) == DMT["wrn_grad_names"].tolist()
    for name, expected in zip(gradients, DMT["wrn_grad_norms"].tolist(), strict=True):
        found = gradients[name].grad
        assert found is not None
        assert float(found.norm()) == pytest.approx(expected, rel=1e-8, abs=1e-10), name


def test_other_depths_widths_and_sizes() -> None:
    narrow = wide_resnet(3, 10, 1, seed=1)
    assert "block1.layer.0.convShortcut.weight" not in narrow.state_dict()  # 16 channels already
    assert "block2.layer.0.convShortcut.weight" in narrow.state_dict()
    for height, width in ((4, 4), (8, 8), (9, 7)):
        assert narrow(torch.zeros(2, 3, height, width)).shape == (2, 3)
    assert sum(name.endswith("conv2.weight") for name in wide_resnet(3, 16, 1, seed=1).state_dict()) == 6
    again, other = wide_resnet(3, 10, 1, seed=1), wide_resnet(3, 10, 1, seed=2)
    assert torch.equal(narrow.conv1.weight, again.conv1.weight)
    assert not torch.equal(narrow.conv1.weight, other.conv1.weight)
    assert refusal(lambda: WideResNet(3, 27)) == "depth: expected 10, 16, 22, 28 or so on in steps of 6, got 27"


# --- weights, losses, mixup ------------------------------------------------------------------------------------------


@precisions
@cases
def test_weights_and_loss_of_a_joint_batch_are_the_authors(precision: str, case: int) -> None:
    tolerance = DTYPES[precision][1]
    logits = tensor("logits", precision).requires_grad_()
    confidences, labels = tensor("peer_probs", precision).max(1)
    weighting = Weighting("agreement", *DMT["gammas"][case].tolist())
    weights = joint_weights(weighting, logits, labels, confidences[:PSEUDO])
    assert not weights.requires_grad
    assert_close(weights, DMT[f"weights_{precision}"][case], tolerance)
    loss = weighted_loss(logits, labels, weights)
    loss.backward()
    assert_close(loss, DMT[f"loss_{precision}"][case], tolerance)
    assert_close(logits.grad, DMT[f"grad_{precision}"][case], tolerance)


@precisions
@cases
def test_mixup_is_the_authors(precision: str, case: int) -> None:
    tolerance = DTYPES[precision][1]
    mix = Mix(float(DMT["mix_lambda"]), torch.from_numpy(DMT["mix_index"]))
    labels = torch.from_numpy(DMT["mix_y_a"])
    assert torch.equal(labels[mix.order], torch.from_numpy(DMT["mix_y_b"]))
    assert_close(mixed(tensor("logits", precision), mix), DMT[f"mixed_x_{precision}"], tolerance)
    weights = torch.from_numpy(DMT[f"weights_{precision}"][case])
    if case == 0:
        assert_close(mixed(weights, mix), DMT[f"mixed_w_{precision}"], tolerance)
    logits = tensor("mixed_logits", precision).requires_grad_()
    loss = mixed_loss(logits, labels, weights, mix)
    loss.backward()
    assert_close(loss, DMT[f"mix_loss_{precision}"][case], tolerance)
    assert_close(logits.grad, DMT[f"mix_grad_{precision}"][case], tolerance)


def gap(first: np.ndarray, second: np.ndarray) -> float:
    """The largest gap between two samples' distribution functions (Kolmogorov and Smirnov's)."""
    at = np.concatenate([first, second])
    below = [np.searchsorted(np.sort(each), at, side="right") / len(each) for each in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def test_shares_are_drawn_as_the_authors_draw_them() -> None:
    rng = np.random.default_rng(1)
    larger = np.array([draw_mix(rng, 2, larger=True).share for _ in range(4000)])
    plain = np.array([draw_mix(rng, 2, larger=False).share for _ in range(4000)])
    assert larger.min() >= 0.5
    critical = 1.95 * (1 / 4000 + 1 / 2000) ** 0.5  # passed once in a thousand by equal distributions
    assert gap(larger, DMT["lambda_draws"]) < critical
    assert gap(np.maximum(plain, 1 - plain), DMT["lambda_draws"]) < critical
    assert 0.45 < (plain < 0.5).mean() < 0.55
    assert plain.var() == pytest.approx(0.1, rel=0.1)  # 1 / (4 (2 x 0.75 + 1))


def test_the_mix_is_a_permutation_and_mixes_images_by_hand() -> None:
    mix = draw_mix(np.random.default_rng(2), 50, larger=True)
    assert sorted(mix.order.tolist()) == list(range(50))
    assert mix.order.tolist() != list(range(50))
    images = torch.tensor([[[[1.0]]], [[[3.0]]]])
    assert mixed(images, Mix(0.75, torch.tensor([1, 0]))).flatten().tolist() == [1.5, 2.5]


def test_the_weights_by_hand() -> None:
    # probabilities 0.8, 0.2: agrees; disagrees and is surer than 0.7; disagrees and is less sure than 0.9; labelled
    logits = torch.tensor([[0.8, 0.2]] * 4).log()
    labels, confidences = torch.tensor([0, 1, 1, 1]), torch.tensor([0.6, 0.7, 0.9])
    expected: dict[Form, list[float]] = {
        "ones": [1, 1, 1, 1],
        "agreement": [0.8**2, 0, 0.2**3, 1],
        "own": [0.8**2, 0.2**2, 0.2**2, 1],
    }
    for form, wanted in expected.items():
        weighting = Weighting(form, 2.0, 3.0)
        assert joint_weights(weighting, logits, labels, confidences).tolist() == pytest.approx(wanted, rel=1e-5), form
        assert joint_weights(weighting, logits, labels, confidences[:0]).tolist() == [1, 1, 1, 1]
    halved = joint_weights(Weighting("agreement", 4.0, 6.0), logits, labels, confidences, factor=0.5)
    assert halved.tolist() == pytest.approx(expected["agreement"], rel=1e-5)


def test_no_exponents_are_curriculum_labelling() -> None:
    logits, labels = tensor("logits", "f64"), torch.from_numpy(DMT["mix_y_a"])
    certain = torch.ones(PSEUDO, dtype=torch.float64)
    assert (joint_weights(Weighting("agreement", 0.0, 0.0), logits, labels, certain) == 1).all()


# --- schedule, average, selection ------------------------------------------------------------------------------------


def test_ramp_and_learning_rates_are_the_authors() -> None:
    T = int(DMT["ramp_T"])
    ours = np.array([[ramped(gamma, t, T) for gamma in (4.0, 2.0)] for t in range(1, T + 1)])
    assert_close(ours, DMT["ramp_gamma"], 1e-12)
    assert_close(np.array([cosine_rate(0.1, t, T) for t in range(T)]), DMT["lr_cosine"], 1e-12)


def test_the_first_iteration_can_follow_the_ramp_too() -> None:
    assert ramped(4.0, 1, 2) == 4.0
    assert ramped(4.0, 1, 2, first_full=False) == pytest.approx(4 * np.exp(-1.25))
    assert ramped(4.0, 2, 2, first_full=False) == 4.0


class Weights(nn.Module):
    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.from_numpy(values.copy()))


def test_the_average_is_the_authors() -> None:
    average = Weights(DMT["ema_student"][0])
    for values, expected in zip(DMT["ema_student"][1:], DMT["ema_average"], strict=True):
        update_average(average, Weights(values))
        assert_close(average.values, expected, 1e-12)


def test_the_average_has_parameters_by_its_decay_and_the_networks_statistics() -> None:
    average, network = (nn.BatchNorm2d(2) for _ in range(2))
    with torch.no_grad():
        network.weight.fill_(3.0)
    network(torch.randn(4, 2, 3, 3))
    update_average(average, network, kept=0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.state_dict()["num_batches_tracked"] == 0
    copy_statistics(average, network)
    assert network.running_mean is not None
    assert average.running_mean is not None
    assert torch.equal(average.running_mean, network.running_mean)
    assert average.state_dict()["num_batches_tracked"] == 1
    assert average.weight.tolist() == [1.5, 1.5]


def test_the_images_that_are_selected_are_the_authors() -> None:
    probabilities = torch.from_numpy(DMT["select_logits"]).softmax(1)
    assert_close(probabilities, DMT["select_probs_100"], 1e-5)
    found, predicted = probabilities.max(1)
    confidences = found.numpy()
    for share, threshold in zip(DMT["select_shares"].tolist(), DMT["select_thresholds"].tolist(), strict=True):
        used = selected(confidences, predicted.numpy(), share, "global")
        assert np.flatnonzero(used).tolist() == DMT[f"select_rows_{round(100 * share)}"].tolist()
        assert confidences[used].min() > threshold
        if share < 1:
            assert confidences[~used].max() == pytest.approx(threshold, rel=1e-6)


def test_the_share_of_each_class_by_hand() -> None:
    predicted = np.array([1, 0, 1, 1, 0, 1, 2])
    confidences = np.array([0.5, 0.9, 0.7, 0.7, 0.95, 0.6, 0.1], np.float32)

    def rows(share: float) -> list[int]:
        return np.flatnonzero(selected(confidences, predicted, share, "per_class")).tolist()

    assert rows(0.2) == [2, 4, 6]  # of two that are as sure the first
    assert rows(0.5) == [2, 3, 4, 6]
    assert rows(0.6) == [1, 2, 3, 4, 5, 6]  # 1.2 and 2.4 are rounded up
    assert rows(1.0) == list(range(7))
    assert rows(0.0) == []


@pytest.mark.parametrize("by", ["global", "per_class"])
def test_a_larger_share_has_all_of_a_smaller_one(by: Selection) -> None:
    rng = np.random.default_rng(4)
    confidences, predicted = rng.random(300), rng.integers(0, 7, 300)
    before = np.zeros(300, bool)
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        used = selected(confidences, predicted, share, by)
        assert used[before].all()
        before = used
    assert before.all()


def test_shares_of_whole_numbers_are_not_rounded_up() -> None:
    for count in range(1, 200):
        of_one = selected(np.linspace(1, 0, 5 * count), np.zeros(5 * count, np.int64), 3 * 0.2, "per_class")
        assert of_one.sum() == 3 * count


# --- labels and data sets --------------------------------------------------------------------------------------------

LABELS = np.random.default_rng(9).integers(0, 3, 120)
NAMES = ["ant", "bee", "cow"]


def parts(labels_per_class: int, validation: int = 5, seed: int = 1) -> Parts:
    return divided(LABELS, NAMES, labels_per_class, validation, seed)


def test_labelled_unlabelled_and_validation_images_are_all_and_apart() -> None:
    found = parts(4)
    together = np.concatenate([found.labelled, found.unlabelled, found.validation])
    assert sorted(together.tolist()) == list(range(120))
    assert np.bincount(LABELS[found.labelled]).tolist() == [4, 4, 4]
    assert np.bincount(LABELS[found.validation]).tolist() == [5, 5, 5]
    for rows in (found.labelled, found.unlabelled, found.validation):
        assert (np.diff(rows) > 0).all()


def test_fewer_labels_are_among_more_and_the_validation_images_stay() -> None:
    few, more, other = parts(2), parts(9), parts(2, seed=2)
    assert set(few.labelled) < set(more.labelled)
    assert np.array_equal(few.validation, more.validation)
    assert not np.array_equal(few.labelled, other.labelled)
    assert not np.array_equal(few.validation, other.validation)
    assert not len(parts(2, validation=0).validation)


def test_too_few_images_are_refused_by_name() -> None:
    labels = np.array([0] * 10 + [1] * 4)
    assert refusal(lambda: divided(labels, NAMES[:2], 3, 2, 1)) == (
        "class bee: expected at least 5 training images, 3 with a label and 2 for validation, got 4"
    )
    assert refusal(lambda: divided(labels[:4], NAMES[:1], 2, 2, 1)) == (
        "labels_per_class: expected images without a label, but of 4 2 have a label and 2 are for validation"
    )


def test_digits_are_scikit_learns_and_drawn_by_the_seed() -> None:
    from sklearn.datasets import load_digits

    stored = load_digits()
    found = read_source("digits", Path("nowhere"), 99, 99, seed=3)
    assert found.classes == list("0123456789")
    assert (len(found.train.labels), len(found.test.labels)) == (1297, 500)
    rows = []
    for split in (found.train, found.test):
        assert split.images.shape[1:] == (8, 8, 3)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        own = np.array([int(file.removeprefix("digit ")) for file in split.files])
        assert np.array_equal(split.labels, stored.target[own])
        for channel in range(3):
            assert np.array_equal(split.images[..., channel], np.rint(stored.images[own] * 255 / 16))
        rows += own.tolist()
    assert sorted(rows) == list(range(1797))
    assert read_digits(3).test.files == found.test.files
    assert read_digits(4).test.files != found.test.files


def test_cifar10_that_is_not_there_is_refused_with_what_fetches_it(tmp_path: Path) -> None:
    line = refusal(lambda: read_cifar10(tmp_path))
    assert line.startswith(f"{tmp_path}: CIFAR-10 is not there, or not whole: fetch it: python -c ")
    assert line.count("\n") == 0
    assert len(refusal(lambda: read_cifar10(Path("data/cifar10")))) <= LINE - len("error: ")


def test_cifar10_is_read_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.random.default_rng(7).integers(0, 256, (12, 3, 32, 32), np.uint8)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for i, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        content = {"data": pictures[2 * i : 2 * i + 2].reshape(2, -1), "labels": [i, 9 - i]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["aeroplane", "car", *"cdefghij"]}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    found = read_cifar10(tmp_path)
    assert found.classes[:3] == ["aeroplane", "car", "c"]
    assert np.array_equal(found.train.images, pictures[:10].transpose(0, 2, 3, 1))
    assert np.array_equal(found.test.images, pictures[10:].transpose(0, 2, 3, 1))
    assert found.train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert found.train.labels.dtype == np.int64
    assert found.test.files == ["test 00000", "test 00001"]


def paint(path: Path, mode: str = "RGB", size: tuple[int, int] = (6, 4), level: int = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode == "L" else (level, 10, 20)).save(path)


def test_folders_are_decoded_resized_and_named(tmp_path: Path) -> None:
    paint(tmp_path / "Train" / "b" / "1.png")
    paint(tmp_path / "Train" / "b" / "deeper" / "2.PNG", "L", (30, 40), 90)
    paint(tmp_path / "Train" / "a" / "3.jpg", "L", (9, 9), 50)
    paint(tmp_path / "test" / "b" / "1.bmp", "L", (5, 5), 7)
    paint(tmp_path / "test" / "loose.png")
    (tmp_path / "test" / "b" / "notes.txt").write_text("no image")
    found = read_folders(tmp_path, 8, 12)
    assert found.classes == ["a", "b"]
    assert found.train.files == ["Train/a/3.jpg", "Train/b/1.png", "Train/b/deeper/2.PNG"]
    assert found.train.labels.tolist() == [0, 1, 1]
    assert found.train.images.shape == (3, 8, 12, 3)
    assert found.train.images[:, 0, 0].tolist() == [[50, 50, 50], [200, 10, 20], [90, 90, 90]]
    assert found.test.files == ["test/b/1.bmp"]
    assert found.test.labels.tolist() == [1]
    assert found.remarks == [
        "left out: 1 beside train/CLASS and test/CLASS (test/loose.png)",
        "left out: 1 of no image format that is read here (test/b/notes.txt)",
    ]


def test_folders_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    assert "not found" in refusal(lambda: list_folders(tmp_path / "nowhere"))
    for name in "ab":
        paint(tmp_path / "train" / name / "1.png")
    assert refusal(lambda: list_folders(tmp_path)) == f"{tmp_path}: no images for test: expected test/CLASS/IMAGE"
    paint(tmp_path / "test" / "1.png")
    assert "no images for test: expected test/CLASS/IMAGE; left out: 1 beside" in refusal(
        lambda: list_folders(tmp_path)
    )
    paint(tmp_path / "test" / "c" / "1.png")
    assert refusal(lambda: list_folders(tmp_path)) == (
        f"{tmp_path}: expected the classes of train, but c has images in test alone"
    )
    alone = tmp_path / "alone"
    paint(alone / "train" / "a" / "1.png")
    paint(alone / "test" / "a" / "1.png")
    assert refusal(lambda: list_folders(alone)) == f"{alone}: expected two classes at least, found one in train: a"
    (tmp_path / "train" / "a" / "1.png").write_bytes(b"")
    (tmp_path / "test" / "c" / "1.png").rename(tmp_path / "test" / "a.png")
    paint(tmp_path / "test" / "a" / "1.png")
    with pytest.raises(InputError, match=r"1\.png: cannot be read as an image: the file is empty"):
        read_folders(tmp_path, 8, 8)
