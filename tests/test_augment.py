"""Views of images: flip, pad and crop, normalise, erase."""

import random

import numpy as np
import pytest
import torch

from mutual.images.normalisation import MEAN, STD, normalise
from mutual.images.views import compiled_views, erased_rectangle, training_views, vectorised_views
from mutual.machine.streams import numpy_stream


def pictures(count: int, height: int = 12, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def one_by_hand(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W), channel by channel."""
    channels = [(image[:, :, c].astype(np.float64) / 255 - MEAN[c]) / STD[c] for c in range(3)]
    return np.stack(channels)


# --- normalisation ---------------------------------------------------------------------------------------------------


def test_without_flips_every_view_shows_the_image_as_it_is() -> None:
    images = pictures(40, 16, 8)
    views = training_views(images, np.random.default_rng(2), padding=0, flip=False)
    assert torch.equal(views, normalise(torch.from_numpy(images)))
    assert not torch.equal(training_views(images, np.random.default_rng(2), padding=0), views)


def test_the_imagenet_statistics_are_used() -> None:
    assert MEAN == (0.485, 0.456, 0.406)
    assert STD == (0.229, 0.224, 0.225)


def test_normalise_by_hand() -> None:
    images = np.zeros((1, 2, 1, 3), np.uint8)
    images[0, 1, 0] = (255, 51, 0)
    found = normalise(torch.from_numpy(images))[0, :, :, 0].T  # rows of the image, then channels
    assert found[0].tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rel=1e-6)
    assert found[1].tolist() == pytest.approx([0.515 / 0.229, (0.2 - 0.456) / 0.224, -0.406 / 0.225], rel=1e-6)


def test_normalise_keeps_rows_and_columns_and_lies_channels_last() -> None:
    images = pictures(3)
    found = normalise(torch.from_numpy(images))
    assert found.shape == (3, 3, 12, 6)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for image, values in zip(images, found, strict=True):
        np.testing.assert_allclose(values.numpy(), one_by_hand(image), rtol=1e-5, atol=1e-6)


# --- flip and crop ---------------------------------------------------------------------------------------------------


def test_without_padding_a_view_is_the_image_or_its_mirror_image() -> None:
    images = pictures(200)
    plain = normalise(torch.from_numpy(images))
    mirrored = normalise(torch.from_numpy(np.ascontiguousarray(images[:, :, ::-1])))
    views = training_views(images, np.random.default_rng(1), padding=0)
    flipped = [torch.equal(view, mirror) for view, mirror in zip(views, mirrored, strict=True)]
    assert all(f or torch.equal(view, image) for f, view, image in zip(flipped, views, plain, strict=True))
    assert 0 < sum(flipped) < 200


def test_half_of_the_images_are_flipped() -> None:
    images = pictures(4000, 2, 2)
    views = training_views(images, np.random.default_rng(2), padding=0)
    plain = normalise(torch.from_numpy(images))
    share = np.mean([not torch.equal(view, image) for view, image in zip(views, plain, strict=True)])
    assert abs(share - 0.5) < 0.04  # five standard deviations


def test_a_view_is_a_crop_out_of_the_image_in_a_black_frame() -> None:
    padding, images = 2, pictures(600, 5, 4)
    views = training_views(images, np.random.default_rng(3), padding=padding)
    seen = set()
    for image, view in zip(images, views, strict=True):
        candidates = {}
        for flip in (False, True):
            framed = np.zeros((5 + 2 * padding, 4 + 2 * padding, 3), np.uint8)
            framed[padding:-padding, padding:-padding] = image[:, ::-1] if flip else image
            for top in range(2 * padding + 1):
                for left in range(2 * padding + 1):
                    candidates[flip, top, left] = one_by_hand(framed[top : top + 5, left : left + 4])
        found = [key for key, crop in candidates.items() if np.allclose(view.numpy(), crop, atol=1e-5)]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 2 * 5 * 5  # every flip and every offset, both ends included


def test_views_keep_shape_type_and_memory_layout_and_leave_the_images_alone() -> None:
    images = pictures(4)
    before = images.copy()
    views = training_views(images, np.random.default_rng(0), padding=3, erase_probability=1.0)
    assert views.shape == (4, 3, 12, 6)
    assert views.dtype == torch.float32
    assert views.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(("height", "width", "padding"), [(32, 16, 0), (32, 16, 5), (9, 13, 3), (4, 3, 6), (1, 1, 1)])
def test_views_on_a_gpu_are_those_on_a_cpu(height: int, width: int, padding: int) -> None:
    # the operations, run here: frames wider than the image, boxes at every border and empty ones
    rng = np.random.default_rng(0)
    images = pictures(64, height, width)
    flips, shifts = rng.random(64) < 0.5, rng.integers(-padding, padding, (64, 2), endpoint=True)
    corner = rng.integers(0, (height, width), (64, 2))
    size = rng.integers(0, (height, width) - corner, endpoint=True)
    boxes = np.concatenate([corner, size], 1)
    found = vectorised_views(*(torch.from_numpy(each) for each in (images, flips, shifts, boxes)))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, compiled_views(images, flips, shifts, boxes))


# --- erasing ---------------------------------------------------------------------------------------------------------


def erased_box(view: torch.Tensor) -> tuple[int, int, int, int] | None:
    """Top, left, height and width of what differs from grey; None when nothing does."""
    fill = torch.tensor(MEAN)[:, None, None]
    hit = (view == fill).all(0)
    if not hit.any():
        return None
    rows, columns = torch.nonzero(hit.any(1)).flatten(), torch.nonzero(hit.any(0)).flatten()
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    assert bool(hit[top : top + height, left : left + width].all()), "not a rectangle"
    return top, left, height, width


def test_erasing_fills_one_rectangle_with_the_mean_and_touches_nothing_else() -> None:
    images = pictures(100, 32, 16)
    whole = training_views(images, np.random.default_rng(4), padding=2)
    erased = training_views(images, np.random.default_rng(4), padding=2, erase_probability=1.0)
    for before, after in zip(whole, erased, strict=True):
        box = erased_box(after)
        assert box is not None
        top, left, height, width = box
        outside = torch.ones(32, 16, dtype=torch.bool)
        outside[top : top + height, left : left + width] = False
        assert torch.equal(before[:, outside], after[:, outside])


def test_as_many_images_are_erased_as_asked_for() -> None:
    images = np.zeros((1000, 16, 8, 3), np.uint8)
    for probability in (0.0, 0.5, 1.0):
        views = training_views(images, np.random.default_rng(5), padding=0, erase_probability=probability)
        share = np.mean([erased_box(view) is not None for view in views])
        assert abs(share - probability) < 0.08


def test_nothing_is_erased_unless_asked_for() -> None:
    views = training_views(np.zeros((300, 16, 8, 3), np.uint8), np.random.default_rng(6), padding=0)
    assert all(erased_box(view) is None for view in views)


def test_rectangles_lie_inside_the_image_and_have_the_stated_area_and_aspect() -> None:
    rng = np.random.default_rng(7)
    height, width = 256, 128
    for _ in range(2000):
        top, left, h, w = erased_rectangle(height, width, rng)
        assert 0 <= top <= height - h
        assert 0 <= left <= width - w
        # sides are rounded to whole pixels
        assert (h - 1) * (w - 1) <= 0.4 * height * width
        assert (h + 1) * (w + 1) >= 0.02 * height * width
        assert 0.3 * (w - 1) <= h + 1
        assert h - 1 <= (w + 1) / 0.3


def test_rectangles_are_distributed_as_in_a_plain_second_implementation() -> None:
    height, width, count = 256, 128, 6000
    plain = random.Random(8)

    def second() -> tuple[int, int, int, int]:
        while True:
            area = plain.uniform(0.02, 0.4) * height * width
            aspect = plain.uniform(0.3, 1 / 0.3)
            h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if h < height and w < width:
                return plain.randint(0, height - h), plain.randint(0, width - w), h, w

    rng = np.random.default_rng(8)
    ours = np.array([erased_rectangle(height, width, rng) for _ in range(count)])
    theirs = np.array([second() for _ in range(count)])
    spread = np.sqrt((ours.var(0) + theirs.var(0)) / count)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 5 * spread).all()
    areas = [boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs)]
    assert areas[0].mean() == pytest.approx(areas[1].mean(), rel=0.05)
    for quantile in (0.1, 0.5, 0.9):
        assert np.quantile(ours[:, 2], quantile) == pytest.approx(np.quantile(theirs[:, 2], quantile), rel=0.06)


def test_an_image_into_which_no_rectangle_fits_stays_whole() -> None:
    # one pixel wide: the narrowest rectangle, sqrt(20 * 0.3) pixels, is wider
    assert erased_rectangle(1000, 1, np.random.default_rng(9)) == (0, 0, 0, 0)
    views = training_views(
        np.zeros((1, 1000, 1, 3), np.uint8), np.random.default_rng(9), padding=0, erase_probability=1
    )
    assert erased_box(views[0]) is None


# --- streams ---------------------------------------------------------------------------------------------------------


def views_of(seed: int, purpose: str, round_number: int) -> torch.Tensor:
    rng = numpy_stream(seed, purpose, round_number)
    return training_views(pictures(16, 32, 16), rng, padding=4, erase_probability=0.5)


def test_the_same_stream_gives_the_same_views() -> None:
    assert torch.equal(views_of(1, "views of peer 1", 2), views_of(1, "views of peer 1", 2))


@pytest.mark.parametrize("other", [(1, "views of peer 2", 2), (1, "views of peer 1", 3), (2, "views of peer 1", 2)])
def test_another_peer_round_or_seed_sees_other_views(other: tuple[int, str, int]) -> None:
    ours, theirs = views_of(1, "views of peer 1", 2), views_of(*other)
    assert sum(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)) <= 1


def test_views_do_not_depend_on_the_global_random_state() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    first = views_of(1, "views", 0)
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(first, views_of(1, "views", 0))
