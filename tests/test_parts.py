"""Masks of a pedestrian's parts: they change nothing that is drawn, and lie where the parts are seen."""

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo import photographs
from demo.canvas import SCALE, Canvas
from demo.data_sets import taken, taken_with_parts
from demo.identities import Head, Identity, invented
from demo.part_sets import draw_parts, planned_parts
from demo.parts import COLOURS, Part, palette, part_names
from demo.parts_sheet import parts_sheet
from demo.pedestrians import paint_figure
from demo.photographs import framings, photograph_with_parts
from demo.scenes import Camera, Domain, cameras, summer, winter
from demo.skeleton import Pose
from mutual.machine.streams import numpy_stream
from mutual.segmentation.pairs import read_pairs

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CYAN, MAGENTA, YELLOW = (0, 255, 255), (255, 0, 255), (255, 255, 0)
# what wears a colour in :func:`loud`; red is skin, which heads show as well
WORN = {BLUE: Part.UPPER_CLOTHES, GREEN: Part.LOWER_CLOTHES, CYAN: Part.SHOES, MAGENTA: Part.HEAD, YELLOW: Part.BAG}
ALL_SEEN = {"train": 30}


def loud(person: Identity) -> Identity:
    """The same person in one pure colour a part."""
    head, top = person.head, replace(person.top, colour=BLUE, accent=BLUE)
    return Identity(
        body=replace(person.body, skin=RED),
        head=replace(head, hair_colour=MAGENTA, hat_colour=MAGENTA, scarf=BLUE if head.scarf else None),
        top=top,
        bottom=replace(person.bottom, colour=GREEN),
        shoes=replace(person.shoes, colour=CYAN),
        bag=replace(person.bag, colour=YELLOW),
    )


def people(count: int) -> list[Identity]:
    wardrobes = (summer().wardrobe, winter().wardrobe)
    return [loud(invented(numpy_stream(7, "loud", k), wardrobes[k % 2])) for k in range(count)]


def pure(picture: np.ndarray, colour: tuple[int, int, int], least: float) -> np.ndarray:
    """Where nothing but this colour is, however light or dark: (H, W) bool."""
    lit = np.array(colour) > 0
    high, low = picture[..., lit], picture[..., ~lit]
    return (high.min(-1) > least) & (high.max(-1) - high.min(-1) < 0.02) & (low.max(-1) < 0.02)


@cache
def clean_camera(domain: Domain) -> Camera:
    """A camera before a black wall that changes no colour."""
    camera = cameras(3, replace(domain, occluder_probability=0.0, passer_by_probability=0.0))[0]
    plain = {"saturation": 1.0, "haze": 0.0, "gain": 1.0, "gamma": 0.0, "blur": 0.0, "resolution": 1.0, "noise": 0.0}
    return replace(camera, place=np.zeros_like(camera.place), balance=(1.0, 1.0, 1.0), **plain)  # type: ignore[arg-type]


def developed_not_at_all(picture: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    return picture


@pytest.mark.parametrize("domain", [summer(), winter()])
def test_the_picture_is_the_one_that_is_taken_without_a_mask(domain: Domain) -> None:
    crowded = replace(domain, occluder_probability=0.5, passer_by_probability=0.5)
    eyes = cameras(3, crowded)
    shots = planned_parts(3, crowded, {"train": 12}, 1)
    shots = [replace(shot, framing=[*framings()][k % 6]) for k, shot in enumerate(shots)]
    for shot in [*shots, replace(shots[0], person=None)]:
        picture, mask = taken_with_parts(3, eyes[shot.camera], shot)
        assert picture.tobytes() == taken(3, eyes[shot.camera], shot).tobytes()
        assert mask.dtype == np.uint8
        assert mask.shape == (128, 64)


def test_pixels_of_a_part_s_colour_carry_its_label() -> None:
    counts = dict.fromkeys(WORN, 0)
    for k, person in enumerate(people(48)):
        pose = Pose(yaw=k * np.pi / 6, phase=0.7 * k, stride=0.35, arms=("swing", "pockets", "phone")[k % 3])
        canvas = Canvas(64, 128, 0.5, labelled=True)
        paint_figure(canvas, person, pose, (32.0, 121.5, 110.0))
        picture, mask = canvas.finished(), canvas.mask(np.zeros((128, 64), np.float32))
        np.testing.assert_array_equal(mask > 0, picture[..., 3] >= 0.5)
        for colour, part in WORN.items():
            # half blue and half green are cyan, but darker than this
            there = pure(picture[..., :3], colour, 0.6) & (picture[..., 3] == 1)
            labels = set(mask[there].tolist())
            # a hood worn up is of the top's cloth
            assert labels <= ({part, Part.HEAD} if part is Part.UPPER_CLOTHES and person.head.hat == "hood" else {part})
            counts[colour] += int(there.sum())
        skin = pure(picture[..., :3], RED, 0.1) & (picture[..., 3] == 1)
        height = (121.5 - np.arange(128)) / (110.0 * person.body.height)
        assert set(mask[skin].tolist()) <= {Part.HEAD, Part.SKIN}
        assert set(mask[skin & (height > 0.89)[:, None]].tolist()) <= {Part.HEAD}
        # from behind there is no face above the nape
        below_head = 0.88 if np.cos(pose.yaw) < -0.8 and person.head.hair != "bald" else 0.79
        assert set(mask[skin & (height < below_head)[:, None]].tolist()) <= {Part.SKIN}
    assert min(counts.values()) > 500


@pytest.mark.parametrize("framing", framings())
def test_a_mask_fits_the_photograph_however_it_is_framed(framing: str) -> None:
    checked = 0
    for k, person in enumerate(people(10)):
        camera = clean_camera((summer(), winter())[k % 2])
        rng = numpy_stream(3, "framed", k)
        picture, mask = photograph_with_parts(camera, person, framing, rng)
        # a mirror image on a wet ground, a mixture and what is covered by less than half are darker than this
        for colour, part in WORN.items():
            there = pure(picture / 255, colour, 0.62)
            assert set(mask[there].tolist()) <= ({part, Part.HEAD} if part is Part.UPPER_CLOTHES else {part})
            checked += int(there.sum())
        assert not mask[(picture.max(-1) < 3)].any()
    assert checked > 500


def test_a_mirror_image_is_background() -> None:
    camera = clean_camera(winter())
    picture, mask = photograph_with_parts(camera, people(1)[0], "far", numpy_stream(3, "mirrored"))
    lowest = int(np.flatnonzero(mask.any(1))[-1])
    assert picture[lowest + 4 :].max() > 20
    assert not mask[lowest + 1 :].any()


def test_of_a_pixel_s_parts_the_most_frequent_wins_and_less_than_half_is_background() -> None:
    canvas = Canvas(6, 1, 0.0, labelled=True)
    for pixel, (twos, fives) in enumerate(((16, 0), (8, 0), (7, 0), (5, 6), (4, 4), (16, 0))):
        for spot, part in enumerate([2] * twos + [5] * fives):
            x, y = pixel + spot % SCALE / SCALE, spot // SCALE / SCALE
            canvas.part = part
            canvas.flat([(x, y)] * 3, RED)  # a single spot
    hidden = np.array([[0, 0, 0, 0, 0, 0.51]], np.float32)
    assert canvas.mask(hidden).tolist() == [[2, 2, 0, 5, 2, 0]]
    hidden[0, 0] = 0.5
    assert canvas.mask(hidden)[0, 0] == 2


def test_a_canvas_without_labels_gives_no_mask_and_one_without_paint_an_empty_one() -> None:
    nothing = np.zeros((128, 64), np.float32)
    with pytest.raises(ValueError, match="labelled"):
        Canvas(64, 128, 0.5).mask(nothing)
    assert not Canvas(64, 128, 0.5, labelled=True).mask(nothing).any()


@pytest.mark.parametrize("domain", [summer(), winter()])
def test_what_stands_before_a_person_is_background(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "_developed", developed_not_at_all)
    free = replace(domain, occluder_probability=0.0)
    seen, seen_half = (cameras(3, kind)[2] for kind in (free, replace(free, occluder_probability=1.0)))
    lost = 0
    for k, person in enumerate(people(16)):
        before, whole = photograph_with_parts(seen, person, "good", numpy_stream(3, "occluded", k))
        after, rest = photograph_with_parts(seen_half, person, "good", numpy_stream(3, "occluded", k))
        same = (before == after).all(-1)
        np.testing.assert_array_equal(rest[same], whole[same])
        assert (rest[~same] == np.where(rest[~same] > 0, whole[~same], 0)).all()
        # a pixel that changed wholly shows the thing, not the person
        far = np.abs(before - after).max(-1) > 0.6
        assert not rest[far].any()
        lost += int(((whole > 0) & (rest == 0)).sum())
    assert lost > 200


def test_passers_by_are_background() -> None:
    camera = cameras(3, replace(winter(), passer_by_probability=1.0, occluder_probability=0.0))[1]
    for k in range(4):
        assert not photograph_with_parts(camera, None, "good", numpy_stream(3, "nobody", k))[1].any()


@pytest.mark.parametrize("domain", [summer(), winter()])
def test_every_part_occurs_and_none_has_the_wrong_size(domain: Domain) -> None:
    eyes = cameras(3, domain)
    masks = [taken_with_parts(3, eyes[shot.camera], shot)[1] for shot in planned_parts(3, domain, ALL_SEEN, 1)]
    shares = np.bincount(np.stack(masks).ravel(), minlength=len(Part)) / (len(masks) * 64 * 128)
    assert len(shares) == len(Part)
    assert 0.65 < shares[Part.BACKGROUND] < 0.85
    assert (shares[1:] > 0.001).all()
    clothes = (Part.UPPER_CLOTHES, Part.LOWER_CLOTHES)
    others = [part for part in Part if part > 0 and part not in clothes]
    assert min(shares[part] for part in clothes) > max(shares[part] for part in others)


def test_a_dress_and_a_scarf_are_upper_clothes_tights_lower_ones_and_a_hood_worn_up_head() -> None:
    person = people(1)[0]
    dress = replace(person.top, kind="dress", sleeve=0.0, hem=0.3, pattern="plain")
    head = Head("short", MAGENTA, False, "hood", MAGENTA, None)
    tights = replace(person, top=dress, head=head, bottom=replace(person.bottom, kind="skirt over tights"))
    canvas = Canvas(64, 128, 0.5, labelled=True)
    paint_figure(canvas, tights, Pose(yaw=np.pi, phase=0.0, stride=0.03, arms="swing"), (32.0, 121.5, 110.0))
    mask = canvas.mask(np.zeros((128, 64), np.float32))
    height = (121.5 - np.arange(128)) / (110.0 * person.body.height)

    def middle(low: float, high: float) -> set[int]:
        """Labels of the body's middle between two heights."""
        rows = (height > low) & (height < high)
        return set(mask[rows, 28:36].ravel().tolist()) - {Part.BACKGROUND}

    assert middle(0.88, 0.99) == {Part.HEAD}
    assert middle(0.34, 0.7) == {Part.UPPER_CLOTHES}
    assert middle(0.2, 0.26) == {Part.LOWER_CLOTHES}


def test_people_are_in_one_split_only_and_are_called_after_their_cameras() -> None:
    shots = planned_parts(3, summer(), {"train": 5, "val": 2, "test": 3}, 7)
    split_of: dict[int, set[str]] = {}
    faces: dict[int, set[Identity | None]] = {}
    for shot in shots:
        split, name = shot.path.split("/")
        split_of.setdefault(shot.pid, set()).add(split)
        faces.setdefault(shot.pid, set()).add(shot.person)
        assert name == f"{shot.pid:04d}_c{shot.camera + 1}_{shot.number:02d}"
    assert [splits for _, splits in sorted(split_of.items())] == [{"train"}] * 5 + [{"val"}] * 2 + [{"test"}] * 3
    assert all(len(face) == 1 for face in faces.values())
    assert len(set.union(*faces.values())) == 10
    assert {shot.camera for shot in shots if shot.pid == 1} == set(range(5))
    assert len({shot.path for shot in shots}) == len(shots) == 70


def test_files_are_the_same_however_many_processes_draw_and_read_back(tmp_path: Path) -> None:
    shots = planned_parts(3, winter(), {"train": 4, "val": 2, "test": 2}, 3)
    for workers in (1, 2):
        draw_parts(tmp_path / str(workers), 3, winter(), shots, workers)
    one, two = (
        {
            path.relative_to(tmp_path / name).as_posix(): hashlib.sha256(path.read_bytes()).digest()
            for path in (tmp_path / name).rglob("*.*")
        }
        for name in ("1", "2")
    )
    assert one == two
    wanted = {f"images/{shot.path}.jpg" for shot in shots} | {f"masks/{shot.path}.png" for shot in shots}
    assert set(one) == wanted
    eyes = cameras(3, winter())
    for shot in shots[::5]:
        with Image.open(tmp_path / "1" / "masks" / f"{shot.path}.png") as mask:
            assert (mask.mode, mask.size) == ("P", (64, 128))
            np.testing.assert_array_equal(np.asarray(mask), taken_with_parts(3, eyes[shot.camera], shot)[1])
            assert (mask.getpalette() or [])[: len(palette())] == palette()
        with Image.open(tmp_path / "1" / "images" / f"{shot.path}.jpg") as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (64, 128), "RGB")
    sources = read_pairs(tmp_path / "1")
    assert [len(part) for part in (sources.train, sources.validation, sources.test)] == [12, 6, 6]
    assert not sources.remarks


def test_every_part_has_a_name_and_a_colour_of_its_own() -> None:
    assert part_names() == ["background", "head", "upper clothes", "lower clothes", "skin", "shoes", "bag"]
    assert set(COLOURS) == set(Part)
    assert len(set(COLOURS.values())) == len(Part)
    assert palette()[3 * Part.BAG : 3 * Part.BAG + 3] == [*COLOURS[Part.BAG]]


def test_the_sheet_shows_pictures_masks_and_a_legend() -> None:
    shown = [(domain, planned_parts(3, domain, {"train": 3}, 1)) for domain in (summer(), winter())]
    sheet = np.asarray(parts_sheet(3, shown))
    assert sheet.shape[1] > 6 * 64
    legend = {tuple(colour) for colour in sheet[2 * 128 + 20 :].reshape(-1, 3).tolist()}
    assert set(COLOURS.values()) <= legend
