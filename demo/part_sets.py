"""Pictures of pedestrians with masks of their parts: who is in which split, and the files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.data_sets import QUALITY, Batch, Shot, in_batches, taken_with_parts
from demo.identities import invented
from demo.parts import palette
from demo.scenes import Domain
from mutual.base.progress import Progress
from mutual.machine.processes import in_order
from mutual.machine.streams import numpy_stream

IMAGES, MASKS = "images", "masks"


def planned_parts(seed: int, domain: Domain, pids: Mapping[str, int], images_per_pid: int) -> list[Shot]:
    """Every picture of a set: ``pids`` is the number of people of each split, such as train, val and test.

    A person is in one split only and stands before the cameras in turn, from a random one on. ``path`` has no suffix:
    ``train/0001_c2_00``, where cameras count from 1.
    """
    shots: list[Shot] = []
    first = 1
    for split, count in pids.items():
        for pid in range(first, first + count):
            # purposes of their own: nobody here is somebody of the sets with identities
            person = invented(numpy_stream(seed, f"{domain.name}/parts/person", pid), domain.wardrobe)
            order = numpy_stream(seed, f"{domain.name}/parts/cameras", pid).permutation(domain.cameras)
            for number in range(images_per_pid):
                camera = int(order[number % domain.cameras])
                path = f"{split}/{pid:04d}_c{camera + 1}_{number:02d}"
                shots.append(Shot(path, pid, number, "parts", camera, person))
        first += count
    return shots


def draw_parts(folder: Path, seed: int, domain: Domain, shots: Sequence[Shot], workers: int) -> None:
    """Write ``images/PATH.jpg`` and ``masks/PATH.png`` of each shot with ``workers`` processes: always the same bytes.

    A mask is a PNG with a palette, whose indices are the labels.
    """
    for path in {folder / kind / shot.path for shot in shots for kind in (IMAGES, MASKS)}:
        path.parent.mkdir(parents=True, exist_ok=True)
    with Progress(total=len(shots), desc=f"draw {domain.name}, with parts", unit="img") as bar:
        for count in in_order(_write_batch, in_batches(folder, seed, domain, shots), workers, str(folder)):
            bar.update(count)


def as_picture(labels: NDArray[np.uint8]) -> Image.Image:
    """A mask, uint8 (H, W), as a picture of mode "P": its indices are the labels, its palette is readable."""
    mask = Image.fromarray(labels)
    mask.putpalette(palette())  # turns a grey picture into one of indices
    return mask


def _write_batch(batch: Batch) -> int:
    folder, seed, camera, shots = batch
    for shot in shots:
        picture, labels = taken_with_parts(seed, camera, shot)
        picture.save(folder / IMAGES / f"{shot.path}.jpg", "JPEG", quality=QUALITY)
        as_picture(labels).save(folder / MASKS / f"{shot.path}.png", "PNG")
    return len(shots)
