"""The demo's two data sets: who is in them, which camera takes which picture, and what the files are called."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.identities import Identity, invented, invented_people
from demo.photographs import framings, photograph, photograph_with_parts
from demo.scenes import Camera, Domain, cameras
from mutual.base.progress import Progress
from mutual.machine.processes import in_order
from mutual.machine.streams import numpy_stream

DISTRACTOR, JUNK = 0, -1  # Market-1501's identities of what is nobody in the query, and of what is not evaluated
QUALITY = 90  # of the JPEG files
BATCH = 24  # pictures a process takes at a time


@dataclass(frozen=True)
class Sizes:
    """Identities and pictures of one domain."""

    train_pids: int
    images_per_train_pid: int
    test_pids: int
    images_per_test_pid: int


@dataclass(frozen=True)
class Shot:
    """One picture to be taken: who (None: nobody), by which camera (from 0), with which random stream, for which file.

    ``pid`` is the identity in the file's name and ``number`` counts its pictures.
    """

    path: str
    pid: int
    number: int
    split: str
    camera: int
    person: Identity | None
    framing: str = "good"


Name = Callable[[int, int, int, np.random.Generator], str]
Batch = tuple[Path, int, Camera, list[Shot]]  # the folder of the files, the seed, pictures of this one camera


def duke_name(pid: int, camera: int, number: int, rng: np.random.Generator) -> str:
    """A file name as DukeMTMC-reID has them, such as ``0001_c2_f0046182.jpg``; ``camera`` counts from 1."""
    return f"{pid:04d}_c{camera}_f{40000 + 60 * number + int(rng.integers(60)):07d}.jpg"


def market_name(pid: int, camera: int, number: int, rng: np.random.Generator) -> str:
    """A file name as Market-1501 has them, such as ``0002_c1s1_000451_03.jpg``; ``camera`` counts from 1."""
    frame, sequence, box = 25 * number + int(rng.integers(25)), int(rng.integers(1, 7)), int(rng.integers(1, 6))
    return f"{'-1' if pid < 0 else f'{pid:04d}'}_c{camera}s{sequence}_{frame:06d}_{box:02d}.jpg"


def planned_set(seed: int, domain: Domain, sizes: Sizes, name: Name, uneven: bool, extras: bool) -> list[Shot]:
    """Every picture of one domain.

    ``uneven``: each training identity is seen by three or more of the cameras, unequally often. ``extras``: the gallery
    also holds distractors and junk.
    """
    rng = numpy_stream(seed, f"{domain.name}/pids")
    pids = [int(pid) for pid in rng.permutation(sizes.train_pids + sizes.test_pids) + 1]
    train, test = sorted(pids[: sizes.train_pids]), sorted(pids[sizes.train_pids :])
    shots: list[Shot] = []

    def add(folder: str, pid: int, number: int, split: str, camera: int, person: Identity | None, framing: str) -> None:
        stream = numpy_stream(seed, f"{domain.name}/{split}/name/{pid}", number)
        file = name(pid, camera + 1, number, stream)
        shots.append(Shot(f"{folder}/{file}", pid, number, split, camera, person, framing))

    people = invented_people(seed, f"{domain.name}/train", train, domain.wardrobe, domain.twin_share)
    for pid in train:
        stream = numpy_stream(seed, f"{domain.name}/train/cameras", pid)
        for number, camera in enumerate(_train_cameras(stream, domain.cameras, sizes.images_per_train_pid, uneven)):
            add("bounding_box_train", pid, number, "train", camera, people[pid], "good")
    people = invented_people(seed, f"{domain.name}/test", test, domain.wardrobe, domain.twin_share)
    queries = min(sizes.images_per_test_pid // 2, domain.cameras)
    for pid in test:
        order = numpy_stream(seed, f"{domain.name}/test/cameras", pid).permutation(domain.cameras)
        for number in range(sizes.images_per_test_pid):
            folder = "query" if number < queries else "bounding_box_test"
            # in turn over the cameras: a query and the gallery picture after the last query never share one
            add(folder, pid, number, "test", int(order[number % domain.cameras]), people[pid], "good")
    if extras:
        gallery = sizes.test_pids * (sizes.images_per_test_pid - queries)
        for pid, number, camera, person, framing in _extras(seed, domain, gallery, list(people.values())):
            add("bounding_box_test", pid, number, "extra", camera, person, framing)
    return shots


def draw_set(folder: Path, seed: int, domain: Domain, shots: Sequence[Shot], workers: int) -> None:
    """Take every picture with ``workers`` processes: the bytes do not depend on how many."""
    for path in {folder / shot.path for shot in shots}:
        path.parent.mkdir(parents=True, exist_ok=True)
    batches = in_batches(folder, seed, domain, shots)
    with Progress(total=len(shots), desc=f"draw {domain.name}", unit="img") as bar:
        for count in in_order(_write_batch, batches, workers, str(folder)):
            bar.update(count)


def in_batches(folder: Path, seed: int, domain: Domain, shots: Sequence[Shot]) -> list[Batch]:
    """What one process draws at a time: pictures of one camera, whose place is drawn but once."""
    batches: list[Batch] = []
    for number, camera in enumerate(cameras(seed, domain)):
        own = [shot for shot in shots if shot.camera == number]
        batches += [(folder, seed, camera, own[k : k + BATCH]) for k in range(0, len(own), BATCH)]
    return batches


def taken(seed: int, camera: Camera, shot: Shot) -> Image.Image:
    """The picture of one shot: it depends on nothing but the seed, its camera and itself."""
    return Image.fromarray(photograph(camera, shot.person, shot.framing, _stream(seed, camera, shot)))


def taken_with_parts(seed: int, camera: Camera, shot: Shot) -> tuple[Image.Image, NDArray[np.uint8]]:
    """The picture of :func:`taken`, and its mask, uint8 (128, 64): the :class:`demo.parts.Part` at each pixel."""
    stream = _stream(seed, camera, shot)
    picture, mask = photograph_with_parts(camera, shot.person, shot.framing, stream)
    return Image.fromarray(picture), mask


def _stream(seed: int, camera: Camera, shot: Shot) -> np.random.Generator:
    return numpy_stream(seed, f"{camera.domain.name}/{shot.split}/picture/{shot.pid}", shot.number)


def _write_batch(batch: Batch) -> int:
    folder, seed, camera, shots = batch
    for shot in shots:
        taken(seed, camera, shot).save(folder / shot.path, "JPEG", quality=QUALITY)
    return len(shots)


def _train_cameras(rng: np.random.Generator, cameras: int, images: int, uneven: bool) -> list[int]:
    """Which camera (from 0) takes each picture of one training identity."""
    seen = int(rng.integers(3, cameras + 1)) if uneven else cameras
    order = [int(camera) for camera in rng.permutation(cameras)[:seen]]
    if not uneven:
        return [order[k % len(order)] for k in range(images)]
    once = order[:images]  # each of them at least once
    often = rng.choice(order, images - len(once), p=rng.dirichlet(np.full(len(order), 3.0)))
    return sorted(once + [int(camera) for camera in often])


def _extras(
    seed: int, domain: Domain, gallery: int, people: list[Identity]
) -> Iterator[tuple[int, int, int, Identity | None, str]]:
    """Distractors (a tenth of the gallery: strangers, and boxes around nobody) and junk (a twentieth: bad boxes)."""
    for number in range(max(2, round(0.1 * gallery))):
        rng = numpy_stream(seed, f"{domain.name}/distractor", number)
        stranger = None if number % 5 == 4 else invented(rng, domain.wardrobe)
        yield DISTRACTOR, number, int(rng.integers(domain.cameras)), stranger, "good"
    bad = [*(framing for framing in framings() if framing != "good"), "nobody"]
    for number in range(max(2, round(0.05 * gallery))):
        rng = numpy_stream(seed, f"{domain.name}/junk", number)
        framing = bad[number % len(bad)]
        person = people[int(rng.integers(len(people)))] if framing != "nobody" else None
        yield JUNK, number, int(rng.integers(domain.cameras)), person, framing
