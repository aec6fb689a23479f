"""Views for classifiers: RandAugment beside Pillow's operations, the mild augmentation, crops, flips, normalisation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from mutual.classification import mild, randaugment
from mutual.classification.randaugment import CUT, ENHANCING, GEOMETRIC, OPERATIONS, Plan
from mutual.classification.views import CIFAR, Augment, classifier_input, classifier_views, cropped
from mutual.classification.warping import centred, interpolated, moved
from mutual.images.normalisation import Normalisation
from mutual.machine.device import CPU, deterministic_device

ONE_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
IDENTITY = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
AUGMENTS: list[Augment] = ["none", "mild", "randaugment"]
Operation = Callable[[Image.Image, float], Image.Image]


def photographs(count: int, height: int, width: int) -> np.ndarray:
    """Smooth pictures with noise, bright and dark: (count, height, width, 3) uint8."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    waves = np.sin(
        x[..., None] / rng.uniform(2, 6, (count, 1, 1, 3)) + y[..., None] / rng.uniform(2, 6, (count, 1, 1, 3))
    )
    middle, reach = rng.uniform(70, 180, (count, 1, 1, 3)), rng.uniform(10, 60, (count, 1, 1, 3))
    return np.clip(middle + reach * waves + rng.normal(0, 6, waves.shape), 0, 255).astype(np.uint8)


def channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def plan(name: str, strengths: list[int], signs: list[int], place: tuple[float, float] = (0.5, 0.5)) -> Plan:
    count = len(strengths)
    operation = np.full(count, OPERATIONS.index(name))
    return Plan(operation, np.array(strengths), np.array(signs), np.tile(place, (count, 1)))


def affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def solarise_add(image: Image.Image, value: float) -> Image.Image:
    return image.point([min(255, int(level + value)) if level < 128 else level for level in range(256)] * 3)


PILLOW: dict[str, Operation] = {
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalise": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "rotate": lambda image, value: image.rotate(value),
    "posterise": lambda image, value: ImageOps.posterize(image, max(1, int(value))),
    "solarise": lambda image, value: ImageOps.solarize(image, value),  # type: ignore[arg-type]
    "solarise-add": solarise_add,
    "colour": lambda image, value: ImageEnhance.Color(image).enhance(value),
    "contrast": lambda image, value: ImageEnhance.Contrast(image).enhance(value),
    "brightness": lambda image, value: ImageEnhance.Brightness(image).enhance(value),
    "sharpness": lambda image, value: ImageEnhance.Sharpness(image).enhance(value),
    "shear x": lambda image, value: affine(image, (1, value, 0, 0, 1, 0)),
    "shear y": lambda image, value: affine(image, (1, 0, 0, value, 1, 0)),
    "translate x": lambda image, value: affine(image, (1, 0, value, 0, 1, 0)),
    "translate y": lambda image, value: affine(image, (1, 0, 0, 0, 1, value)),
}
# what the facts of the authors' code say, strength by strength
LEAST_AND_MOST = {
    "rotate": (0, 30), "posterise": (0, 4), "solarise": (0, 256), "solarise-add": (0, 110), "colour": (0.1, 1.9),
    "contrast": (0.1, 1.9), "brightness": (0.1, 1.9), "sharpness": (0.1, 1.9), "shear x": (0, 0.3), "shear y": (0, 0.3),
    "translate x": (0, 100), "translate y": (0, 100),
}  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", PILLOW)
def test_each_operation_is_pillows_at_every_strength(name: str, sign: int) -> None:
    images = photographs(10, 32, 32)
    found = randaugment.apply(channels_first(images), plan(name, list(range(1, 11)), [sign] * 10))
    for image, strength, ours in zip(images, range(1, 11), found.permute(0, 2, 3, 1).numpy(), strict=True):
        least, most = LEAST_AND_MOST.get(name, (0, 0))
        value = least + (most - least) * strength / 10
        expected = np.asarray(PILLOW[name](Image.fromarray(image), sign * value if name in GEOMETRIC else value))
        off = np.abs(ours.astype(int) - expected)
        if name in GEOMETRIC:  # lines from between two pixels may be either: Pillow rounds to 1 / 65536
            assert (off.max(2) > 0).mean() <= (2 / 32 if "shear" in name else 0.01)
        else:  # and blends in another order
            assert off.max() <= (1 if name in ENHANCING or name == "autocontrast" else 0)


def test_the_operations_are_the_16_and_no_other_than_cutout_lacks_a_second_opinion() -> None:
    assert len(OPERATIONS) == 16
    assert set(OPERATIONS) - set(PILLOW) == {"cutout"}


def test_cutout_by_hand() -> None:
    images = channels_first(np.full((2, 32, 32, 3), 7, np.uint8))
    found = randaugment.apply(images, plan("cutout", [1, 10], [1, 1], (0.25, 0.5)))
    cut = (found == torch.tensor(CUT, dtype=torch.uint8)[:, None, None]).all(1)
    assert torch.equal(cut, ~(found == 7).all(1))
    # 4 pixels around row 8, column 16
    assert cut[0].nonzero().amin(0).tolist() == [6, 14]
    assert cut[0].nonzero().amax(0).tolist() == [9, 17]
    assert int(cut[0].sum()) == 16
    # 40 pixels: to row 27, over the other edges
    assert cut[1, :28].all()
    assert not cut[1, 28:].any()


@pytest.mark.parametrize("name", ["translate x", "translate y", "cutout"])
def test_pixels_scale_with_the_sides(name: str) -> None:
    small = photographs(1, 32, 32)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    ours = [randaugment.apply(channels_first(each), plan(name, [2], [1], (0.5, 0.5))) for each in (small, large)]
    assert torch.equal(ours[0].repeat_interleave(2, 2).repeat_interleave(2, 3), ours[1])
    assert not torch.equal(ours[0], channels_first(small))


def test_a_plan_is_drawn_evenly_and_an_image_does_not_depend_on_the_others() -> None:
    drawn = randaugment.draw(np.random.default_rng(1), 16000)
    assert np.bincount(drawn.operation, minlength=16).min() > 800
    assert np.bincount(drawn.operation).shape == (16,)
    assert np.bincount(drawn.strength)[1:].min() > 1400
    assert np.bincount(drawn.strength).shape == (11,)
    assert sorted(set(drawn.sign.tolist())) == [-1, 1]
    assert abs(drawn.sign.mean()) < 0.05
    some = Plan(*(each[:64] for each in drawn))
    images = channels_first(photographs(64, 16, 12))
    kept = images.clone()
    whole = randaugment.apply(images, some)
    assert torch.equal(images, kept)
    one_by_one = [randaugment.apply(images[i : i + 1], Plan(*(each[i : i + 1] for each in some))) for i in range(64)]
    assert torch.equal(whole, torch.cat(one_by_one))


def test_turning_by_hand() -> None:
    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 0, 1] = 9  # above the middle
    turned = moved(image, centred(np.deg2rad(90.0), 1.0, 3, 3)[None], (5,))
    assert turned[0, 0].tolist() == [[0, 0, 0], [9, 0, 0], [0, 0, 0]]  # counter-clockwise: to its left
    shifted = moved(image, np.array([[[1.0, 0, 0], [0, 1, -1]]]), (5,))
    assert shifted[0, 0].tolist() == [[5, 5, 5], [0, 9, 0], [0, 0, 0]]


def bilinear(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(H, W) by a (2, 3) matrix, pixel by pixel."""
    height, width = image.shape
    out = np.empty(image.shape)
    for row in range(height):
        for column in range(width):
            x, y = matrix @ (column + 0.5, row + 0.5, 1)
            x, y = min(max(x - 0.5, 0), width - 1), min(max(y - 0.5, 0), height - 1)
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            across, down = x - left, y - top
            upper, lower = ((1 - across) * image[r, left] + across * image[r, left + 1] for r in (top, top + 1))
            out[row, column] = (1 - down) * upper + down * lower
    return out


def test_interpolation_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    images, matrices = rng.random((3, 2, 8, 6)), np.eye(2, 3) + rng.normal(0, 0.2, (3, 2, 3))
    ours = interpolated(torch.from_numpy(images), matrices).numpy()
    for i in range(3):
        for channel in range(2):
            assert np.allclose(ours[i, channel], bilinear(images[i, channel], matrices[i]), atol=1e-5)


def test_the_mild_augmentation_is_bilinear_and_enlarges_turns_and_shifts_as_it_says() -> None:
    images = photographs(2, 8, 8)
    still = np.zeros((2, 8, 8), np.float32)
    same = mild.Plan(np.zeros(2), np.ones(2), np.zeros((2, 2)), still)
    assert torch.allclose(mild.apply(channels_first(images), same), channels_first(images).float(), atol=1e-3)
    shifted = mild.apply(channels_first(images), same._replace(shift=np.array([[0.5, 0.0], [0.0, -1.0]])))
    first, second = channels_first(images).float()
    assert torch.allclose(shifted[0, :, :, 1:], (first[:, :, :-1] + first[:, :, 1:]) / 2, atol=1e-3)  # to the right
    assert torch.allclose(shifted[1, :, :-1], second[:, 1:], atol=1e-3)  # upwards
    pattern = np.zeros((1, 8, 8, 3), np.uint8)
    pattern[:, 3:5, 3:5] = 255
    larger = mild.apply(channels_first(pattern), mild.Plan(np.zeros(1), np.full(1, 2.0), np.zeros((1, 2)), still[:1]))
    assert larger.sum() > 2 * 4 * 3 * 255
    noisy = mild.apply(channels_first(images), same._replace(noise=still + np.float32(0.1)))
    assert torch.allclose(noisy, channels_first(images).float() + 25.5, atol=1e-3)


def test_mild_draws_stay_in_their_ranges() -> None:
    drawn = mild.draw(np.random.default_rng(3), 4000, 8, 8)
    assert 9.5 < np.rad2deg(np.abs(drawn.angle)).max() <= 10
    assert 0.9 <= drawn.scale.min() < 0.905
    assert 1.095 < drawn.scale.max() <= 1.1
    assert 0.49 < np.abs(drawn.shift).max() <= 0.5
    assert drawn.noise.std() == pytest.approx(0.05, rel=0.02)
    assert drawn.noise.dtype == np.float32


def test_crops_and_flips_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (40, 7, 5, 3), np.uint8)
    flips, shifts = rng.random(40) < 0.5, rng.integers(-2, 3, (40, 2))
    ours = cropped(torch.from_numpy(images), torch.from_numpy(flips), torch.from_numpy(shifts), 128)
    for image, flip, (down, right), view in zip(images, flips, shifts, ours.permute(0, 2, 3, 1).numpy(), strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), constant_values=128)
        crop = padded[2 - down : 9 - down, 2 - right : 7 - right]
        assert np.array_equal(view, crop[:, ::-1] if flip else crop)


def test_a_view_without_anything_is_the_normalised_image() -> None:
    images = photographs(3, 8, 8)
    view = classifier_views(
        images, np.random.default_rng(0), padding=0, flip=False, augment="none", normalisation=CIFAR
    )
    mean, std = np.array([0.49137, 0.48235, 0.44667]), np.array([0.24706, 0.24353, 0.26157])
    expected = ((images / 255 - mean) / std).transpose(0, 3, 1, 2)
    assert np.abs(view.numpy() - expected).max() < 1e-5
    assert view.dtype == torch.float32


@pytest.mark.parametrize("augment", AUGMENTS)
def test_views_follow_from_the_seed_and_are_channels_last(augment: Augment) -> None:
    images = photographs(32, 16, 12)

    def views(seed: int) -> Tensor:
        return classifier_views(
            images, np.random.default_rng(seed), padding=2, flip=True, augment=augment, normalisation=CIFAR
        )

    assert torch.equal(views(1), views(1))
    assert not torch.equal(views(1), views(2))
    assert views(1).shape == (32, 3, 16, 12)
    assert views(1).is_contiguous(memory_format=torch.channels_last)


def test_the_augmentation_comes_after_the_same_crop_and_flip() -> None:
    images = photographs(64, 16, 16)

    def levels(augment: Augment) -> Tensor:
        found = classifier_views(
            images, np.random.default_rng(6), padding=4, flip=True, augment=augment, normalisation=IDENTITY
        )
        return (found * 255).round().to(torch.uint8)

    rng = np.random.default_rng(6)
    rng.random(64)
    rng.integers(-4, 4, (64, 2), endpoint=True)
    expected = randaugment.apply(levels("none"), randaugment.draw(rng, 64))
    assert torch.equal(levels("randaugment"), expected)
    assert (levels("none") == 128).all(1).any()  # the padding is seen


def test_floats_are_normalised_in_a_copy() -> None:
    images = channels_first(photographs(2, 8, 8)).float()
    kept = images.clone()
    found = classifier_input(images, CIFAR)
    assert torch.equal(images, kept)
    assert torch.equal(found, classifier_input(images.to(torch.uint8), CIFAR))


@ONE_GPU
@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_gpus_views_are_the_cpus(augment: Augment) -> None:
    images = photographs(512, 32, 32)
    there, again, here = (
        classifier_views(
            images,
            np.random.default_rng(8),
            padding=4,
            flip=True,
            augment=augment,
            normalisation=IDENTITY,
            device=device,
        ).cpu()
        for device in (deterministic_device(), deterministic_device(), CPU)
    )
    assert torch.equal(there, again)
    off = (there - here).abs()
    assert off.max() < 1.5 / 255  # a level, where a blend lies on its edge
    assert (off > 1e-5).float().mean() < 0.01
