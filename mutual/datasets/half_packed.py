"""How far a split is packed, in a note beside its array: what a kill costs is the time since the last one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from mutual.base.errors import InputError, Stopped
from mutual.base.stopping import Stop
from mutual.base.store import named, read_json, write_json

WORTH = 5  # seconds of work that are sooner done again than noted


@contextmanager
def half_packed(packed: Path, made_of: str) -> Iterator[Path]:
    """Yield the folder of what is made for ``packed``; it goes when all of it is whole and taken there.

    It lies beside, for the disk that has the room. What it is made of is in its name: two runs at once write the same.
    """
    half = packed.with_name(f".{packed.name}.{made_of[:16]}.half")
    for other in packed.parent.glob(f".{packed.name}.*.half"):
        if other != half:
            print(f"{other}: not gone on from: images, parameters or code were others", flush=True)
            shutil.rmtree(other)
    half.mkdir(parents=True, exist_ok=True)
    try:
        yield half
    except (InputError, OSError) as error:  # what mends that changes what it is made of, or wants the room
        if isinstance(error, OSError):
            named(error, half, packed)
        shutil.rmtree(half, ignore_errors=True)
        raise
    shutil.rmtree(half)


class HalfPacked:
    """The array at ``path``, rows of so many bytes, and the note of those that are on the disk, every ``seconds``."""

    def __init__(self, path: Path, row_bytes: int, seconds: float, label: str) -> None:
        self.path, self.note, self.row_bytes, self.label = path, path.with_suffix(".json"), row_bytes, label
        self.seconds, self.began = seconds, monotonic()
        self.next = self.began + seconds

    def rows(self) -> int:
        """How many an earlier run has done."""
        try:
            done: int = read_json(self.note, dict[str, int])["rows"]
            if self.path.stat().st_size < done * self.row_bytes:
                return 0
        except (InputError, KeyError, FileNotFoundError):
            return 0
        if done:
            print(f"{self.label}: goes on from image {done + 1}", flush=True)
        return done

    def between(self, stop: Stop, done: int) -> None:
        """Between two chunks: note the rows where it is time; :class:`Stopped` where a signal asked to stop."""
        if stop.by is not None or monotonic() >= self.next:
            self._keep(done)
        if stop.by is not None:
            onwards = f"the same command goes on from there ({self.path})"
            raise Stopped(f"{self.label}: stopped by {stop.by.name} after {done} images: {onwards}", stop.by)

    def whole(self, done: int) -> None:
        """Note that all are done, of a stage that has more to do."""
        if monotonic() - self.began >= min(self.seconds, WORTH):
            self._keep(done)

    def _keep(self, done: int) -> None:
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())  # before it is said that they are there
        write_json(self.note, {"rows": done})
        self.next = monotonic() + self.seconds
