"""Segmentation with few labels: splits, training against a plain implementation, labels of whole pictures, figures."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mutual.base.store import write_array, write_text
from mutual.few.weighting import Weighting
from mutual.machine.device import CPU
from mutual.machine.streams import numpy_stream
from mutual.segmentation import predictions
from mutual.segmentation.deeplab import DeepLab
from mutual.segmentation.figures import Beliefs, Measured
from mutual.segmentation.fitting import Plan, Said, Source, fit
from mutual.segmentation.form import Form, written
from mutual.segmentation.predictions import PseudoLabels, label_pictures, predicted
from mutual.segmentation.ragged import Pictures, Sizes, write_pictures
from mutual.segmentation.splits import (
    Parts,
    divided,
    missing_classes,
    of_network,
    read_split,
    write_split,
)
from mutual.segmentation.views import Cut
from tests.tiny import refusal

CLASSES = 3
FORM = Form("resnet18", CLASSES, 4, 4, [1, 2], 2, "none", "imagenet", "fp32")
SIZES = [(16, 24), (24, 16), (16, 24), (9, 13), (9, 13), (20, 24)]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def packed(folder: Path, sizes: Sequence[tuple[int, int]], masks: Sequence[np.ndarray] | None = None) -> Pictures:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    masks = masks or [rng.choice(np.array([0, 1, 2, 255], np.uint8), size) for size in sizes]
    height, width = np.array(sizes, np.int64).T
    names = [f"{i}.png" for i in range(len(sizes))]
    write_pictures(folder, Sizes(names, height, width), zip(images, masks, strict=True))
    return Pictures(folder)


def seen(image: np.ndarray, height: int = 0, width: int = 0) -> Tensor:
    """A picture, black outside, as a network gets it."""
    canvas = np.zeros((max(height, image.shape[0]), max(width, image.shape[1]), 3))
    canvas[: image.shape[0], : image.shape[1]] = image
    return torch.from_numpy(((canvas / 255 - MEAN) / STD).astype(np.float32)).permute(2, 0, 1)[None]


def a_network() -> DeepLab:
    """One whose batch norms have seen something, in eval mode."""
    made = FORM.drawn(3, 1).train()
    with torch.no_grad():
        made(torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(1)))
    return made.eval()


def constant(*probabilities: float) -> DeepLab:
    """One that says the same of every pixel."""
    made = FORM.made().eval()
    with torch.no_grad():
        for name, tensor in made.classifier.named_parameters():
            tensor.zero_()
            if name.endswith("convs.0.bias"):
                tensor.copy_(torch.tensor(probabilities).log())
    return made


# --- splits ----------------------------------------------------------------------------------------------------------


def test_fewer_labelled_pictures_are_among_more() -> None:
    """Of those with a mask, the first; all others, with or without one, are unlabelled."""
    parts = [divided(20, 26, labelled, seed=4) for labelled in (1, 5, 12, 20)]
    for few, more in pairwise(parts):
        assert few.labelled.tolist() == more.labelled[: len(few.labelled)].tolist()
    for each in parts:
        assert each.labelled.max() < 20
        assert sorted([*each.labelled.tolist(), *each.unlabelled.tolist()]) == list(range(26))
        assert (np.diff(each.unlabelled) > 0).all()
    assert divided(20, 26, 5, seed=5).labelled.tolist() != parts[1].labelled.tolist()


def test_splits_that_are_none_are_refused() -> None:
    assert refusal(lambda: divided(20, 26, 21, 1)) == (
        "labelled_images: expected at most the 20 training images with a mask, got 21"
    )
    assert refusal(lambda: divided(20, 20, 20, 1)) == (
        "labelled_images: expected fewer than all of the 20 training images, got 20"
    )


@pytest.mark.parametrize(("labelled", "share", "each", "both"), [(10, 0.8, 8, 6), (5, 0.8, 4, 3), (100, 0.8, 80, 60)])
def test_networks_begin_with_their_own_part_of_the_labels(labelled: int, share: float, each: int, both: int) -> None:
    """80 % for each: 60 % are common."""
    rows = numpy_stream(1, "rows").permutation(200)[:labelled]
    first, second = (of_network(rows, network, share).tolist() for network in (1, 2))
    assert (len(first), len(second), len(set(first) & set(second))) == (each, each, both)
    assert set(first) | set(second) == set(rows.tolist())
    assert [of_network(rows, network, 1).tolist() for network in (1, 2)] == [rows.tolist()] * 2


def test_one_labelled_picture_is_both_networks() -> None:
    assert [of_network(np.array([7]), network, 0.5).tolist() for network in (1, 2)] == [[7], [7]]


def test_a_split_is_read_back_in_its_order(tmp_path: Path) -> None:
    path, parts = tmp_path / "seed1.csv", divided(8, 9, 3, seed=2)
    write_split(path, parts)
    found = read_split(path, 9)
    assert found.labelled.tolist() == parts.labelled.tolist() != sorted(parts.labelled.tolist())
    assert found.unlabelled.tolist() == parts.unlabelled.tolist()
    each_once = f"{path}: expected each of 3 pictures once, labelled or unlabelled"
    for text, told in (
        ("0,labelled\n1,unlabelled\n", each_once),
        ("0,labelled\n1,unlabelled\n1,unlabelled\n", each_once),
        ("0,labelled\n1,unlabelled\n2,hidden\n", each_once),
        ("0,labelled\n1,unlabelled\n3,labelled\n", f"{path}: row of row 3: expected whole numbers from 0 to 2"),
    ):
        write_text(path, f"row,part\n{text}")
        assert refusal(lambda: read_split(path, 3)).startswith(told)


def test_classes_that_no_mask_shows() -> None:
    masks = [np.array([[0, 2, 255]], np.uint8), np.array([[2], [4]], np.uint8)]
    assert missing_classes(masks, 6) == [1, 3, 5]
    assert missing_classes(masks, 3) == [1]
    assert missing_classes([], 2) == [0, 1]


# --- training against a plain implementation -------------------------------------------------------------------------


PLAN = Plan(epochs=2, batch_size=3, labelled=1, lr=0.05, power=0.9, momentum=0.9, weight_decay=0.01)
ALIKE = [(16, 24)] * 6
WHOLE = Cut(16, 24, (1, 1), False)  # a view is the picture
STREAM = 7, "training", 2


def orders(images: int, purpose: str) -> Iterator[int]:
    passes = (numpy_stream(7, f"training, {purpose}", 2, each).permutation(images).tolist() for each in count())
    return chain.from_iterable(passes)


def pseudo_labels(pictures: Pictures) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    names = np.array([0, 1, 2, 255], np.uint8)
    return {
        row: (rng.choice(names, ALIKE[row]), rng.uniform(0.3, 0.6, ALIKE[row]).astype(np.float32)) for row in range(4)
    }


def sources(pictures: Pictures) -> tuple[Source, Source]:
    """Four pictures that are pseudo-labelled, two in a batch, and two labelled by people, one in a batch."""
    named = pseudo_labels(pictures)
    return (
        Source(np.arange(4), lambda row: (pictures.image(row), *named[row]), 2, "pseudo-labelled"),
        Source(np.array([5, 4]), lambda row: (pictures.image(row), pictures.mask(row), None), 1, "labelled"),
    )


def plain_fit(network: DeepLab, pictures: Pictures, form: str, gammas: tuple[float, float]) -> list[float]:
    others, named, given = orders(4, "pseudo-labelled"), orders(2, "labelled"), pseudo_labels(pictures)
    speed = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    losses = []
    network.train()
    for t in range(4):  # 2 x 4 pictures, 2 in a batch
        rows = [next(others), next(others), [5, 4][next(named)]]
        logits = network(torch.cat([seen(pictures.image(row)) for row in rows]))
        log_p = logits - logits.exp().sum(1, keepdim=True).log()
        total, pixels = torch.zeros(()), 0
        for place, row in enumerate(rows):
            labels, sure = given[row] if place < 2 else (pictures.mask(row), None)
            for y, x in zip(*np.nonzero(labels != 255), strict=True):
                own, label = log_p[place, :, y, x].detach().exp().tolist(), int(labels[y, x])
                weight = 1.0
                if sure is not None and form == "own":
                    weight = own[label] ** gammas[0]
                elif sure is not None and form == "agreement":
                    agrees = own.index(max(own)) == label
                    weight = own[label] ** gammas[0] if agrees else own[label] ** gammas[1] * (max(own) <= sure[y, x])
                total, pixels = total - weight * log_p[place, label, y, x], pixels + 1
        loss = total / pixels
        network.zero_grad()
        loss.backward()
        rate = 0.05 * (1 - t / 4) ** 0.9
        with torch.no_grad():
            for name, p in network.named_parameters():
                if p.grad is not None:
                    speed[name] = 0.9 * speed[name] + p.grad + 0.01 * p
                    p.sub_(rate * speed[name])
        losses.append(float(loss.detach()))
    return losses


def fitted(pictures: Pictures, weighting: Weighting, cut: Cut = WHOLE) -> tuple[DeepLab, list[Said]]:
    network = FORM.drawn(3, 1)
    pseudo, labelled = sources(pictures)
    return network, list(fit(network, FORM, PLAN, cut, pseudo, labelled, weighting, STREAM, 4))


@pytest.mark.parametrize("weighting", [Weighting("agreement", 2.0, 1.0), Weighting("own", 3.0), Weighting("ones")])
def test_a_phase_is_that_of_a_plain_implementation(tmp_path: Path, weighting: Weighting) -> None:
    pictures = packed(tmp_path, ALIKE)
    network, said = fitted(pictures, weighting)
    plain = FORM.drawn(3, 1)
    losses = plain_fit(plain, pictures, weighting.form, (weighting.gamma1, weighting.gamma2))
    np.testing.assert_allclose([float(each.loss) for each in said], losses, rtol=1e-4)
    for (name, found), expected in zip(network.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5, msg=name)
    assert not network.training
    # a pass for each batch: weights are of the pass that learns
    assert network.state_dict()["backbone.bn1.num_batches_tracked"] == 4
    if weighting.form == "ones":
        assert [float(each.weight) for each in said] == [1.0] * 4
    else:
        assert all(0.3 < float(each.weight) < 1 for each in said)


def test_views_are_drawn_for_each_picture_and_follow_from_the_stream(tmp_path: Path) -> None:
    pictures, cut = packed(tmp_path, ALIKE), Cut(12, 12, (0.8, 1.25), True)
    first, again = (fitted(pictures, Weighting("ones"), cut)[1] for _ in range(2))
    assert [float(each.loss) for each in first] == [float(each.loss) for each in again]
    pseudo, labelled = sources(pictures)
    other = fit(FORM.drawn(3, 1), FORM, PLAN, cut, pseudo, labelled, Weighting("ones"), (7, "training", 3), 4)
    assert float(next(other).loss) != float(first[0].loss)


def test_networks_start_apart_and_by_the_seed() -> None:
    first, again, second, other = (FORM.drawn(*which) for which in ((3, 1), (3, 1), (3, 2), (4, 1)))
    assert torch.equal(first.backbone.conv1.weight, again.backbone.conv1.weight)
    for another in (second, other):
        assert not torch.equal(first.backbone.conv1.weight, another.backbone.conv1.weight)


# --- whole pictures --------------------------------------------------------------------------------------------------


def maps_of(pictures: Pictures, network: DeepLab, padded: tuple[int, int]) -> list[np.ndarray]:
    """Of each picture by itself: padded, seen, cut back."""
    found = []
    with torch.no_grad():
        for row in range(len(pictures)):
            image = pictures.image(row)
            height, width = image.shape[:2]
            found.append(network(seen(image, *padded)).softmax(1)[0, :, :height, :width].numpy())
    return found


@pytest.mark.parametrize("padded", [(0, 0), (24, 24), (32, 12)])
def test_predictions_in_batches_are_those_one_by_one(
    tmp_path: Path, padded: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are padded and cut back, whatever else is in the batch, in the order that was asked for."""
    pictures, network = packed(tmp_path, SIZES), a_network()
    expected = maps_of(pictures, network, padded)
    rows = [5, 3, 4, 0, 2, 1, 1]
    for pixels in (1, 2**17):  # one picture at a time, or all neighbours of a size
        monkeypatch.setitem(predictions.PIXELS_AT_ONCE, "cpu", pixels)
        found = [map_.numpy() for map_ in predicted(network, FORM, pictures, rows, padded, CPU)]
        assert [map_.shape[1:] for map_ in found] == [SIZES[row] for row in rows]
        for row, map_ in zip(rows, found, strict=True):
            np.testing.assert_allclose(map_, expected[row], rtol=1e-4, atol=1e-6)


def limits(maps: list[np.ndarray], share: float, sampled: int, together: bool) -> list[float]:
    """Thresholds by sorting."""
    named = np.concatenate([map_.argmax(0).reshape(-1)[::sampled] for map_ in maps])
    sure = np.concatenate([map_.max(0).reshape(-1)[::sampled] for map_ in maps])
    found = []
    for label in range(CLASSES):
        values = np.sort(sure if together else sure[named == label])
        taken = int(share * len(values))
        found.append(float(values[max(0, len(values) - 1 - taken)]) if taken else 0.0)
    return found


@pytest.mark.parametrize(
    ("share", "sampled", "together"), [(0.3, 1, False), (0.3, 4, False), (0.5, 1, True), (1, 1, 0)]
)
def test_labels_of_mixed_sizes_are_kept_by_the_threshold_of_their_class(
    tmp_path: Path, share: float, sampled: int, together: bool
) -> None:
    pictures, network = packed(tmp_path / "packed", SIZES), a_network()
    rows = np.array([1, 3, 4, 5])
    label_pictures(tmp_path, network, FORM, pictures, rows, (0, 0), share, sampled, bool(together), CPU)
    # of the same answers; their last bits may differ where others are in the batch
    maps = [map_.numpy() for map_ in predicted(network, FORM, pictures, rows.tolist(), (0, 0), CPU)]
    wanted = limits(maps, share, sampled, together)
    named, kept = PseudoLabels(tmp_path, pictures, rows), 0
    for row, map_ in zip(rows.tolist(), maps, strict=True):
        labels, sure = named.of(row)
        assert labels.shape == sure.shape == SIZES[row]
        np.testing.assert_array_equal(sure, map_.max(0))
        expected = np.where(map_.max(0) >= np.array(wanted, np.float32)[map_.argmax(0)], map_.argmax(0), 255)
        np.testing.assert_array_equal(labels, expected)
        kept += int((expected != 255).sum())
    assert named.used() == kept
    pixels = sum(map_[0].size for map_ in maps)
    assert kept == pixels if share == 1 else 0 < kept < 0.8 * pixels
    for other in (np.array([1, 3, 4]), np.array([0, 1, 3, 4, 5])):
        assert "labels.npy: expected an array" in refusal(partial(PseudoLabels, tmp_path, pictures, other))


# --- figures ---------------------------------------------------------------------------------------------------------


def beliefs(folder: Path, masked: int, weighting: Weighting) -> Beliefs:
    return Beliefs(folder / "packed", masked, folder / "split.csv", folder / "before", folder / "labels", weighting)


def test_what_labels_were_worth_by_hand(tmp_path: Path) -> None:
    """The network says 0.5, 0.3, 0.2 everywhere; pictures 2 and 3 have no mask and count nowhere."""
    masks = [np.array(mask, np.uint8) for mask in ([[0, 0, 0]], [[0, 1, 1], [2, 255, 0]], [[255, 255]], [[1, 0]])]
    packed(tmp_path / "packed", [(1, 3), (2, 3), (1, 2), (1, 2)], masks)
    write_split(tmp_path / "split.csv", Parts(np.array([0]), np.array([1, 2, 3])))
    written(tmp_path / "before", constant(0.5, 0.3, 0.2))
    write_array(tmp_path / "labels/labels.npy", np.array([0, 1, 0, 1, 1, 255, 0, 0, 2, 2], np.uint8))
    sure = np.array([0.9, 0.9, 0.9, 0.6, 0.9, 0.9, 0.9, 0.9, 0.4, 0.7], np.float32)
    write_array(tmp_path / "labels/confidences.npy", sure)
    found = beliefs(tmp_path, 2, Weighting("agreement", 2.0, 1.0)).worth(FORM, (0, 0), CPU)
    # of picture 1 five pixels have a true label, four of them one here: the network agrees with 0, and gives way to 1
    assert found["used"] == pytest.approx(4 / 5)
    assert found["right"] == pytest.approx(2 / 4)
    assert found["weight_right"] == pytest.approx((0.5**2 + 0.3) / 2)
    assert found["weight_wrong"] == pytest.approx((0.5**2 + 0.3) / 2)


def test_a_label_of_who_is_less_sure_weighs_nothing(tmp_path: Path) -> None:
    mask = np.array([[1, 1, 0, 255]], np.uint8)
    packed(tmp_path / "packed", [(1, 4), (1, 4)], [mask, mask])
    write_split(tmp_path / "split.csv", Parts(np.array([0]), np.array([1])))
    written(tmp_path / "before", constant(0.5, 0.3, 0.2))
    write_array(tmp_path / "labels/confidences.npy", np.array([0.4, 0.6, 0.9, 0.9], np.float32))
    found = []
    for labels, weighting in (
        ([1, 1, 255, 1], Weighting("agreement", 1.0, 2.0)),
        ([1, 1, 255, 1], Weighting("own", 2.0)),
        ([255] * 4, Weighting("ones")),
    ):
        write_array(tmp_path / "labels/labels.npy", np.array(labels, np.uint8))
        found.append(beliefs(tmp_path, 2, weighting).worth(FORM, (8, 8), CPU))
    assert found[0]["weight_right"] == pytest.approx((0 + 0.3**2) / 2)
    assert found[1]["weight_right"] == pytest.approx(0.3**2)
    assert [each["used"] for each in found] == pytest.approx([2 / 3, 2 / 3, 0])
    assert found[0]["right"] == 1
    assert np.isnan([found[0]["weight_wrong"], found[2]["right"], found[2]["weight_right"]]).all()


def test_miou_by_hand(tmp_path: Path) -> None:
    """All is called 0: of 0 half is right; 1 is never named; 2 does not occur."""
    masks = [np.array([[0, 0, 1, 255]], np.uint8), np.array([[0], [1], [1]], np.uint8)]
    packed(tmp_path / "test", [(1, 4), (3, 1)], masks)
    written(tmp_path / "run", constant(0.5, 0.3, 0.2))
    line = {"run": "all", "seed": 1, "network": 2}
    first = Measured(tmp_path / "validation", tmp_path / "test", tmp_path / "run", FORM, (0, 0), line, "cpu")
    found = first.do()
    assert list(found) == ["run", "seed", "network", "validation", "test"]
    assert found.items() >= line.items()
    assert found["test"] == pytest.approx((3 / 6 + 0) / 2)
    assert np.isnan(found["validation"])
    found = replace(first, validation=tmp_path / "test").do()
    assert found["validation"] == found["test"]
    (tmp_path / "run/network.safetensors").write_bytes(b"no network")
    assert refusal(first.do).startswith(f"{tmp_path}/run/network.safetensors: expected a safetensors file")
