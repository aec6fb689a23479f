"""The drawn demo: layouts, names, who is where, and the same bytes however many processes draw."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.contact_sheet import Panel, contact_sheet
from demo.data_sets import Shot, Sizes, draw_set, duke_name, market_name, planned_set, taken
from demo.identities import Identity
from demo.scenes import Domain, cameras, summer, winter
from stages import synthesize

SIZES = Sizes(train_pids=16, images_per_train_pid=9, test_pids=12, images_per_test_pid=10)
NAMES = {
    "summer": re.compile(r"(\d{4})_c([1-8])_f\d{7}\.jpg"),
    "winter": re.compile(r"(-1|\d{4})_c([1-6])s[1-6]_\d{6}_\d{2}\.jpg"),
}


def source(sizes: Sizes = SIZES, seed: int = 3) -> list[Shot]:
    return planned_set(seed, summer(), sizes, duke_name, uneven=False, extras=False)


def target(sizes: Sizes = SIZES, seed: int = 3) -> list[Shot]:
    return planned_set(seed, winter(), sizes, market_name, uneven=True, extras=True)


def in_folder(shots: list[Shot], folder: str) -> list[Shot]:
    return [shot for shot in shots if shot.path.split("/")[0] == folder]


@pytest.mark.parametrize(("plan", "domain"), [(source, "summer"), (target, "winter")])
def test_file_names_follow_the_layout_and_say_who_and_where(plan: Callable[[], list[Shot]], domain: str) -> None:
    shots = plan()
    assert len({shot.path for shot in shots}) == len(shots)
    for shot in shots:
        folder, name = shot.path.split("/")
        found = NAMES[domain].fullmatch(name)
        assert folder in ("bounding_box_train", "query", "bounding_box_test")
        assert found is not None, name
        assert (int(found[1]), int(found[2])) == (shot.pid, shot.camera + 1)


@pytest.mark.parametrize("plan", [source, target])
@pytest.mark.parametrize("images", [2, 3, 5, 10, 12])
def test_every_query_is_in_the_gallery_of_another_camera(plan: Callable[[Sizes], list[Shot]], images: int) -> None:
    shots = plan(replace(SIZES, images_per_test_pid=images))
    seen: dict[int, set[int]] = defaultdict(set)
    for shot in in_folder(shots, "bounding_box_test"):
        seen[shot.pid].add(shot.camera)
    queries = in_folder(shots, "query")
    assert {shot.pid for shot in queries} == {pid for pid in seen if pid > 0}
    for shot in queries:
        assert seen[shot.pid] - {shot.camera}


@pytest.mark.parametrize("plan", [source, target])
def test_sizes_are_kept_and_training_people_are_others(plan: Callable[[], list[Shot]]) -> None:
    shots = plan()
    train, query = in_folder(shots, "bounding_box_train"), in_folder(shots, "query")
    gallery = [shot for shot in in_folder(shots, "bounding_box_test") if shot.pid > 0]
    assert len(train) == 16 * 9
    assert len(query) == len(gallery) == 12 * 5
    assert len({shot.pid for shot in train}) == 16
    assert not {shot.pid for shot in train} & {shot.pid for shot in query + gallery}
    assert {shot.camera for shot in train} == {shot.camera for shot in gallery} == set(range(5))


def test_target_training_is_uneven_over_two_or_more_cameras() -> None:
    counts: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(5, int))
    for shot in in_folder(target(), "bounding_box_train"):
        counts[shot.pid][shot.camera] += 1
    seen = [np.count_nonzero(count) for count in counts.values()]
    assert min(seen) >= 2
    assert len(set(seen)) > 1
    assert any(len(set(count[count > 0])) > 1 for count in counts.values())


def test_target_gallery_has_distractors_and_junk_and_source_has_none() -> None:
    extras = [shot for shot in target() if shot.pid <= 0]
    assert {shot.path.split("/")[0] for shot in extras} == {"bounding_box_test"}
    assert sum(shot.pid == 0 for shot in extras) == 6  # a tenth of 60
    junk = [shot for shot in extras if shot.pid == -1]
    assert len(junk) == 3
    assert all(shot.framing != "good" for shot in junk)
    assert all(shot.pid > 0 for shot in source())


@pytest.mark.parametrize("domain", [summer(), winter()])
def test_a_share_of_the_people_are_near_twins(domain: Domain) -> None:
    sizes = Sizes(train_pids=40, images_per_train_pid=2, test_pids=2, images_per_test_pid=2)
    shots = planned_set(5, domain, sizes, duke_name, uneven=False, extras=False)
    people = list({shot.pid: shot.person for shot in shots if shot.split == "train" and shot.person}.values())
    groups = [field.name for field in fields(Identity) if field.name != "bag"]

    def shared(one: Identity, other: Identity) -> int:
        return sum(getattr(one, group) == getattr(other, group) for group in groups)

    # bags alone have so few values that strangers share them
    alike = sum(any(shared(one, other) >= 2 for other in people if other is not one) for one in people)
    assert alike == pytest.approx(2 * domain.twin_share * len(people), abs=2)
    assert len(set(people)) == len(people)


def test_the_bytes_do_not_depend_on_the_processes_or_on_other_pictures(tmp_path: Path) -> None:
    sizes = Sizes(train_pids=2, images_per_train_pid=8, test_pids=2, images_per_test_pid=6)
    shots = target(sizes)
    for workers in (1, 2):
        draw_set(tmp_path / str(workers), 3, winter(), shots, workers)
    one, two = (
        {path.relative_to(tmp_path / name): hashlib.sha256(path.read_bytes()).digest() for path in files}
        for name, files in ((name, (tmp_path / name).rglob("*.jpg")) for name in ("1", "2"))
    )
    assert one == two
    assert len(one) == len(shots)
    again = tmp_path / "again"
    draw_set(again, 3, winter(), shots[7:8], 1)
    assert (again / shots[7].path).read_bytes() == (tmp_path / "1" / shots[7].path).read_bytes()


def test_pictures_are_of_the_right_size_and_neither_black_nor_white(tmp_path: Path) -> None:
    sizes = Sizes(train_pids=2, images_per_train_pid=2, test_pids=2, images_per_test_pid=2)
    draw_set(tmp_path, 3, winter(), target(sizes), 1)
    files = list(tmp_path.rglob("*.jpg"))
    assert files
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (64, 128), "RGB")
            assert 40 < np.asarray(picture).mean() < 215


def test_another_seed_draws_other_people_and_places() -> None:
    one, other = cameras(1, summer()), cameras(2, summer())
    assert any(not np.array_equal(a.place, b.place) for a, b in zip(one, other, strict=True))
    assert {shot.person for shot in source(seed=1)}.isdisjoint({shot.person for shot in source(seed=2)})


def test_camera_properties_are_spread_evenly_whatever_the_seed() -> None:
    for name in ("gain", "gamma", "saturation", "haze", "noise", "blur"):
        first, second = (sorted(getattr(camera, name) for camera in cameras(seed, winter())) for seed in (1, 2))
        assert first == second
        assert np.ptp(np.diff(first)) == pytest.approx(0, abs=1e-9)


def test_one_shot_is_the_same_twice() -> None:
    shot = source()[0]
    camera = cameras(3, summer())[shot.camera]
    assert taken(3, camera, shot).tobytes() == taken(3, camera, shot).tobytes()


def test_contact_sheet_shows_both_domains() -> None:
    panels = (Panel("Source", "one", summer(), source()), Panel("Target", "two", winter(), target()))
    sheet = contact_sheet(3, panels, 2)
    assert sheet.width > 2 * 2 * 64
    assert sheet.height > 5 * 128


def test_the_stage_replaces_an_older_demo_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    text = (here / "params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^(demo_\w+_pids): \d+", r"\1: 3", text, flags=re.MULTILINE)
    text = re.sub(r"^(demo_images_per_\w+): \d+", r"\1: 4", text, flags=re.MULTILINE)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "rounds.yaml").write_bytes((here / "rounds.yaml").read_bytes())
    older = tmp_path / "data" / "demo" / "older.jpg"
    older.parent.mkdir(parents=True)
    older.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["synthesize"])
    synthesize.main()
    assert not older.exists()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["demo"]
    assert sorted(path.name for path in (tmp_path / "data" / "demo").iterdir()) == [
        "DukeMTMC-reID",
        "Market-1501-v15.09.15",
    ]
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["demo.png"]
