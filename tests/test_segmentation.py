"""Segmentation: the authors' losses, figures, thresholds, views and rates; what is by hand; what plain NumPy says."""

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mutual.few.weighting import Weighting
from mutual.images.normalisation import IMAGENET as BY_IMAGENET
from mutual.images.normalisation import normalise
from mutual.segmentation.colours import COCO, IMAGENET, entering
from mutual.segmentation.iou import confusion, figures
from mutual.segmentation.losses import Loss, weighted_loss
from mutual.segmentation.poly import polynomial
from mutual.segmentation.thresholds import LOWEST, Maps, class_thresholds, kept_labels
from mutual.segmentation.views import Cut, View, applied_view, drawn_view, training_views
from tests.golden import assert_close, golden
from tests.tiny import refusal

FOUND = golden("refineries/dmt_segmentation")
PRECISIONS = [("f32", torch.float32, 1e-5), ("f64", torch.float64, 1e-9)]

# --- losses ----------------------------------------------------------------------------------------------------------

ONES = Weighting("ones")


def of_authors(weigh: Weighting, dtype: torch.dtype, labelled_from: int) -> tuple[Loss, torch.Tensor]:
    """The loss on the stored maps, of which those from this one on are labelled by people; gradient of the logits."""
    logits = torch.from_numpy(FOUND["logits"]).to(dtype).requires_grad_()
    labels = torch.from_numpy(FOUND["targets"][:, 0]).long()
    confidences = torch.from_numpy(FOUND["targets"][:, 1]).to(dtype)
    found = weighted_loss(logits, labels, confidences, torch.arange(3) >= labelled_from, weigh)
    found.total.backward()
    assert logits.grad is not None
    return found, logits.grad


@pytest.mark.parametrize(("name", "dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", range(4))
def test_the_dynamic_loss_is_the_authors(case: int, name: str, dtype: torch.dtype, tolerance: float) -> None:
    gammas = FOUND["gammas"][case].tolist()
    found, gradient = of_authors(Weighting("agreement", *gammas), dtype, int(FOUND["split"]))
    assert_close(found.total, FOUND[f"loss_{name}"][case], tolerance)
    assert_close(gradient, FOUND[f"grad_{name}"][case], tolerance)
    if case == 0:
        assert float(found.weight) == pytest.approx(float(FOUND[f"stats_{name}"][2]), rel=tolerance)


@pytest.mark.parametrize(("name", "dtype", "tolerance"), PRECISIONS)
def test_the_supervised_loss_and_that_of_dst_are_the_authors(name: str, dtype: torch.dtype, tolerance: float) -> None:
    for weigh, labelled_from, stored in ((ONES, 0, "supervised"), (Weighting("own", 9.0), 2, "dst9")):
        found, gradient = of_authors(weigh, dtype, labelled_from)
        assert_close(found.total, FOUND[f"{stored}_loss_{name}"], tolerance)
        assert_close(gradient, FOUND[f"{stored}_grad_{name}"], tolerance)


def test_a_dynamic_loss_by_hand() -> None:
    """Four pixels, two classes: agreed on; overruled by the other; overruling it; ignored. Then one by people."""
    p = np.array([[0.8, 0.6, 0.9, 0.5, 0.2], [0.2, 0.4, 0.1, 0.5, 0.8]])
    logits = torch.from_numpy(np.log(p).reshape(1, 2, 1, 5).repeat(2, 0))
    labels = torch.tensor([[[0, 1, 1, 255, 1]], [[255, 0, 255, 255, 255]]])
    confidences = torch.tensor([[[0.1, 0.7, 0.7, 0.9, 0.8]], [[0.0, 0.0, 0.0, 0.0, 0.0]]], dtype=torch.float64)
    found = weighted_loss(logits, labels, confidences, torch.tensor([False, True]), Weighting("agreement", 2.0, 3.0))
    weights, right = np.array([0.8**2, 0.4**3, 0.0, 0.8**2, 1.0]), np.array([0.8, 0.4, 0.1, 0.8, 0.6])
    assert float(found.total) == pytest.approx(float(-(weights * np.log(right)).sum() / 5))
    assert float(found.weight) == pytest.approx(weights.mean())


def test_a_batch_without_labels_moves_nothing() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    labels, confidences = torch.full((1, 2, 2), 255), torch.ones(1, 2, 2)
    found = weighted_loss(logits, labels, confidences, torch.tensor([False]), Weighting("agreement", 5.0, 5.0))
    found.total.backward()
    assert float(found.total.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_loss_is_computed_in_single_precision_at_least() -> None:
    logits = torch.from_numpy(FOUND["logits"]).bfloat16()
    labels = torch.from_numpy(FOUND["targets"][:, 0]).long()
    found = weighted_loss(logits, labels, torch.ones(labels.shape), torch.ones(3, dtype=torch.bool), ONES)
    assert found.total.dtype == torch.float32
    wanted = F.cross_entropy(logits.float(), labels, ignore_index=255)
    assert float(found.total) == pytest.approx(float(wanted), rel=1e-6)


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes"), [("cm", 7), ("cm5", 5)])
def test_confusion_and_figures_are_the_authors(name: str, classes: int) -> None:
    assert int(FOUND["cm_classes"]) == 7
    pairs = zip(FOUND[f"{name}_targets"], FOUND[f"{name}_predictions"], strict=True)
    matrix = sum((confusion(*pair, classes) for pair in pairs), np.zeros((classes, classes), np.int64))
    assert matrix.dtype == np.int64
    assert matrix.tolist() == FOUND[f"{name}_matrix"].tolist()
    found = figures(matrix)
    assert found.iou == pytest.approx(FOUND[f"{name}_iou"], abs=1e-6, nan_ok=True)
    assert found.mean_iou == pytest.approx(float(FOUND[f"{name}_miou"]), abs=1e-6, nan_ok=True)
    if name == "cm":
        assert found.pixel_accuracy == pytest.approx(float(FOUND["cm_pixel_accuracy"]), abs=1e-6)
        assert found.class_accuracy == pytest.approx(FOUND["cm_class_accuracy"], abs=1e-6, nan_ok=True)
        assert np.isnan(found.mean_iou)
        assert found.present_iou == pytest.approx(float(np.nanmean(FOUND["cm_iou"])), abs=1e-6)


def test_figures_by_hand() -> None:
    """Class 0: two of three found, one more taken for it; class 1: none of its one; class 2: neither."""
    matrix = confusion(np.array([[0, 0, 0], [1, 255, 255]]), np.array([[0, 0, 1], [0, 1, 7]]), 3)
    assert matrix.tolist() == [[2, 1, 0], [1, 0, 0], [0, 0, 0]]
    found = figures(matrix)
    assert found.iou.tolist()[:2] == [0.5, 0.0]
    assert np.isnan(found.iou[2])
    assert found.class_accuracy.tolist()[:2] == [pytest.approx(2 / 3), 0.0]
    assert (found.pixel_accuracy, found.present_iou) == (0.5, 0.25)
    nothing = figures(np.zeros((2, 2), np.int64))
    assert np.isnan([nothing.pixel_accuracy, nothing.mean_iou, nothing.present_iou]).all()


def test_a_label_that_is_no_class_is_refused() -> None:
    line = "targets: expected labels 0 to 2, got 0 to 3"
    assert refusal(lambda: confusion(np.array([0, 3]), np.array([0, 0]), 3)) == line
    line = "predictions: expected labels 0 to 2, got 5 to 5"
    assert refusal(lambda: confusion(np.array([0], np.uint8), np.array([5], np.uint8), 3)) == line


# --- thresholds ------------------------------------------------------------------------------------------------------


def pictures() -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and confidences of the authors' four pictures, from the stored maps."""
    size = tuple(FOUND["cb_size"].tolist())
    maps = F.interpolate(torch.from_numpy(FOUND["cb_logits"]), size=size, mode="bilinear", align_corners=True)
    sure, named = maps.softmax(1).max(1)
    shapes = zip(FOUND["cb_heights"].tolist(), FOUND["cb_widths"].tolist(), strict=True)
    found = []
    for i, (h, w) in enumerate(shapes):
        stored = FOUND["cb_confidence"][i, :h, :w].copy()
        assert_close(sure[i, :h, :w], stored, 1e-5)
        found.append((named[i, :h, :w].to(torch.uint8).numpy(), stored))
    return found


@pytest.mark.parametrize("case", range(7))
def test_class_thresholds_and_kept_labels_are_the_authors(case: int) -> None:
    share, stride = FOUND["cb_share_stride"][case].tolist()
    found = class_thresholds(pictures, 7, share, int(stride))
    assert_close(found, FOUND["cb_thresholds"][case], 1e-6)
    kept = total = compared = 0
    for i, (labels, confidences) in enumerate(pictures()):
        h, w = labels.shape
        theirs = FOUND["cb_labels"][case, i]
        assert (theirs[h:] == 254).all()
        assert (theirs[:, w:] == 254).all()
        ours = kept_labels(labels, confidences, found)
        assert ours.dtype == np.uint8
        away = np.abs(confidences - found[labels]) > 1e-6
        assert (ours[away] == theirs[:h, :w][away]).all()
        kept, total, compared = kept + int((ours != 255).sum()), total + ours.size, compared + int(away.sum())
    assert compared > 0.99 * total
    assert kept / total == pytest.approx(float(FOUND["cb_labelled_share"][case]), abs=8 / total)


def by_sorting(maps: Maps, classes: int, share: float, stride: int, together: bool) -> list[np.float32]:
    """The rule as it is written, holding all."""
    sampled = [(labels.reshape(-1)[::stride], sure.reshape(-1)[::stride]) for labels, sure in maps]
    labels, sure = (np.concatenate(each) for each in zip(*sampled, strict=True))
    found = []
    for label in range(classes):
        v = np.sort(sure[labels < classes if together else labels == label])
        k = int(share * len(v))
        found.append(LOWEST if share * len(v) < 1 else v[0] if share == 1 else v[-k - 1])
    return found


def uniform(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.random(shape, np.float32)


def rounded(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (rng.integers(0, 9, shape) / 8).astype(np.float32)


def over_confident(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Within a few units in the last place below 1, where most are 1."""
    return (1 - rng.integers(-200, 40, shape).clip(0) * 2.0**-24).astype(np.float32)


def all_alike(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.full(shape, rng.random(), np.float32)


def tiny_ones(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (10.0 ** rng.uniform(-44, 0, shape)).astype(np.float32)


@pytest.mark.parametrize("make", [uniform, rounded, over_confident, all_alike, tiny_ones])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("share", "stride"), [(0.2, 1), (0.5, 3), (1 / 3, 1), (0.999, 2), (1.0, 1), (1.0, 16), (1e-4, 1)]
)
def test_thresholds_are_those_of_sorting(
    make: Callable[[np.random.Generator, tuple[int, int]], np.ndarray], together: bool, share: float, stride: int
) -> None:
    """To the bit. Of five classes one is never predicted, one seldom; some pixels have no label."""
    rng = np.random.default_rng(4)
    shapes = [(int(h), int(w)) for h, w in rng.integers(1, 40, (6, 2))]
    labels = [rng.choice([0, 1, 2, 4, 255], shape, p=[0.4, 0.3, 0.19, 0.01, 0.1]).astype(np.uint8) for shape in shapes]
    maps = [(each, make(rng, each.shape)) for each in labels]
    found = class_thresholds(lambda: maps, 5, share, stride, together=together)
    assert found.dtype == np.float32
    assert found.tolist() == [float(each) for each in by_sorting(maps, 5, share, stride, together)]


def test_a_threshold_by_hand() -> None:
    """v = 0.1 .. 0.9: of a share of 0.3 int(2.7) + 1 = 3 from the end."""
    maps = [(np.zeros((1, 9), np.int64), np.arange(1, 10, dtype=np.float32)[None] / 10)]
    assert class_thresholds(lambda: maps, 2, 0.3, 1).tolist() == [float(np.float32(0.7)), float(LOWEST)]
    assert kept_labels(*maps[0], np.array([0.7, 0], np.float32)).tolist() == [[255] * 6 + [0] * 3]
    assert kept_labels(np.array([3, 255]), np.zeros(2, np.float32), np.ones(2, np.float32)).tolist() == [3, 255]


def test_memory_does_not_grow_with_the_pixels() -> None:
    def peak(count: int) -> int:
        def maps() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for i in range(count):
                rng = np.random.default_rng(i)
                yield rng.integers(0, 3, (100, 100)).astype(np.uint8), rng.random((100, 100), np.float32)

        tracemalloc.start()
        class_thresholds(maps, 3, 0.5, 1)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    assert peak(60) < peak(6) + 100_000  # of 60 pictures the confidences alone are 2.4 MB


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 2.0])
def test_a_confidence_that_is_none_is_refused(value: float) -> None:
    maps = [(np.zeros((1, 2), np.uint8), np.array([[0.5, value]], np.float32))]
    assert refusal(lambda: class_thresholds(lambda: maps, 2, 0.5, 1)) == f"confidences: expected 0 to 1, got {value:g}"


# --- views -----------------------------------------------------------------------------------------------------------


def replayed(view: View, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A view of the authors' picture: (3, h, w) and (2, h, w) as they store it, 255 outside."""
    image = (FOUND["tf_image"].transpose(1, 2, 0)).copy()
    labels, confidences = FOUND["tf_pseudo"]
    pixels, named, sure = applied_view(
        image, labels.astype(np.uint8), confidences, view, Cut(height, width, (0.5, 1.5))
    )
    assert (named.dtype, sure.dtype, pixels.dtype) == (torch.int64, torch.float32, torch.float32)
    return pixels.permute(2, 0, 1).numpy(), np.stack([named.numpy(), sure.numpy()])


@pytest.mark.parametrize(
    ("name", "view", "size"),
    [
        ("tf_scaled_073", View(17, 21, 0, 0, False), (17, 21)),
        ("tf_cropped", View(17, 21, 0, 1, False), (20, 20)),
        ("tf_padded", View(24, 30, 0, 0, False), (28, 33)),
    ],
)
def test_views_are_the_authors(name: str, view: View, size: tuple[int, int]) -> None:
    """But for the confidence outside of the picture, where theirs is 255 and no pixel counts."""
    pixels, pseudo = replayed(view, *size)
    assert_close(pixels, FOUND[name], 1e-5)
    theirs = FOUND[f"{name}_pseudo"]
    assert pseudo[0].tolist() == theirs[0].tolist()
    padded = theirs[1] == 255
    assert padded.any() == (name != "tf_scaled_073")
    assert (theirs[0][padded] == 255).all()
    assert (pseudo[1][padded] == 0).all()
    assert pseudo[1][~padded].tolist() == theirs[1][~padded].tolist()


PICTURE = np.random.default_rng(2).integers(0, 256, (37, 53, 3), np.uint8)
LABELS = np.random.default_rng(3).integers(0, 6, (37, 53)).astype(np.uint8)
SURE = np.random.default_rng(4).random((37, 53), np.float32)


@pytest.mark.parametrize("case", range(12))
def test_a_view_is_what_torch_scales_then_pads_crops_and_mirrors(case: int) -> None:
    cut = Cut(24, 48, (0.3, 2.2))
    view = drawn_view(np.random.default_rng(case), 37, 53, cut)
    pixels, named, sure = applied_view(PICTURE, LABELS, SURE, view, cut)
    size = (view.height, view.width)
    images = torch.from_numpy(PICTURE).permute(2, 0, 1)[None].double()
    scaled = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    y, x = (np.arange(n) * m // n for n, m in zip(size, (37, 53), strict=True))  # nearest, exactly
    outside = (0, max(0, 48 - size[1]), 0, max(0, 24 - size[0]))
    crop = np.s_[..., view.top : view.top + 24, view.left : view.left + 48]
    whole = (
        F.pad(scaled, outside)[0].permute(1, 2, 0)[view.top : view.top + 24, view.left : view.left + 48],
        F.pad(torch.from_numpy(LABELS[y[:, None], x]).long(), outside, value=255)[crop],
        F.pad(torch.from_numpy(SURE[y[:, None], x]), outside)[crop],
    )
    wanted = [each.flip(1) if view.flipped else each for each in whole]
    assert_close(pixels, wanted[0].numpy(), 1e-5)
    assert torch.equal(named, wanted[1])
    assert torch.equal(sure, wanted[2])


def test_draws_cover_what_they_may() -> None:
    cut = Cut(20, 20, (0.5, 1.5))
    draws = [drawn_view(np.random.default_rng(i), 40, 24, cut) for i in range(400)]
    heights = [view.height for view in draws]
    assert (min(heights), max(heights)) == (20, 59)
    assert all(view.width == int(view.height * 0.6) or abs(view.width - view.height * 0.6) < 1 for view in draws)
    assert all(0 <= view.top <= view.height - 20 for view in draws)
    assert all(0 <= view.left <= max(0, view.width - 20) for view in draws)
    assert any(view.top == view.height - 20 > 0 for view in draws)
    assert 160 < sum(view.flipped for view in draws) < 240
    unlike = [drawn_view(np.random.default_rng(i), 40, 24, Cut(20, 20, (0.5, 1.5), flip=False)) for i in range(400)]
    assert [view._replace(flipped=False) for view in draws] == unlike


def test_a_batch_of_mixed_pictures() -> None:
    """Each as by itself, in the order of the draws; without confidences all are 1 within the picture."""
    cut = Cut(64, 32, (0.5, 1.5))
    images = [PICTURE, PICTURE[:20, :10]]
    found = training_views(images, [LABELS, LABELS[:20, :10]], [SURE, None], np.random.default_rng(7), cut)
    assert found.images.shape == (2, 3, 64, 32)
    assert found.images.is_contiguous(memory_format=torch.channels_last)
    rng = np.random.default_rng(7)
    for i, (image, sure) in enumerate(((PICTURE, SURE), (PICTURE[:20, :10], None))):
        view = drawn_view(rng, *image.shape[:2], cut)  # type: ignore[call-arg]
        alone = applied_view(image, LABELS[: image.shape[0], : image.shape[1]], sure, view, cut)
        assert_close(found.images[i], entering(alone[0][None].clone(), IMAGENET)[0].numpy(), 1e-6)
        assert torch.equal(found.labels[i], alone[1])
        assert torch.equal(found.confidences[i], alone[2])
    inside = found.labels[1] != 255
    assert 0 < int(inside.sum()) < 64 * 32
    assert torch.equal(found.confidences[1], inside.float())


def test_colours_enter_as_networks_expect_them() -> None:
    pixels = torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8)
    found = entering(pixels, COCO)[0, :, 0, 0]
    assert found.tolist() == pytest.approx([51 - 104.008, 0 - 116.669, 255 - 122.675], abs=1e-3)
    assert torch.equal(entering(pixels, IMAGENET), normalise(pixels, BY_IMAGENET))
    assert torch.equal(entering(pixels.float(), IMAGENET), normalise(pixels, BY_IMAGENET))


# --- rates -----------------------------------------------------------------------------------------------------------


def test_the_learning_rates_are_the_authors() -> None:
    assert_close(np.array([polynomial(t, 40, 0.001) for t in range(40)]), FOUND["lr_poly"], 1e-12)
    assert polynomial(40, 40, 0.001) == 0
