"""Features of all pictures below a folder, written piece by piece, so that a run that is stopped goes on."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import integers, read_columns, write_table
from mutual.base.errors import InputError, one_line
from mutual.base.progress import Progress
from mutual.base.store import ask_room, read_array, read_json, write_json, written_beside
from mutual.datasets.folders import shown
from mutual.machine.processes import in_order
from mutual.search.decoding import PIECE, Piece, pieces
from mutual.search.listing import Listing
from mutual.search.parts import begun, is_done, read_part, write_part
from mutual.search.teachers import Teachers

WRITTEN = FEATURES, IMAGES, LEFT_OUT = "features.npy", "images.csv", "left_out.csv"
MADE = ".made.json"  # of what the features were made
PARTS = ".parts"  # features of the pieces that are done
IMAGES_WORTH_A_PROCESS = 512  # below, decoding is over sooner than a process has started
NAMED = 10  # images that cannot be read are named on the terminal


@dataclass(frozen=True)
class Embedded:
    """The features of a folder's images; row i belongs to file i."""

    files: list[str]  # (N,) posix paths below the folder
    features: np.ndarray  # (N, D) float32 L2-normalised, memory-mapped
    left_out: list[tuple[str, str]]  # images that cannot be read, and why

    def remarks(self, out: Path) -> list[str]:
        """Lines that name what was left out of ``out``."""
        lines = [one_line(f"left out: {shown(file)}: {reason}") for file, reason in self.left_out[:NAMED]]
        more = len(self.left_out) - NAMED
        lines += [f"left out: {more:,} more, all in {shown(out / LEFT_OUT)}"] if more > 0 else []
        count = len(self.left_out) + len(self.files)
        return [*lines, f"{len(self.left_out):,} of {count:,} images cannot be read"] if lines else []


def embed_folder(listing: Listing, out: Path, teachers: Teachers, workers: int, *, strict: bool = False) -> Embedded:
    """Write features.npy, images.csv (file, row) and left_out.csv (file, reason) of the listed images to ``out``.

    Pieces that an earlier run over the same images with the same peers has done are not done again; the bytes do not
    depend on where that was stopped, nor on ``workers``. Raises :class:`InputError` where no image can be read, and
    when ``strict`` where one cannot.
    """
    made = made_of(listing, teachers)
    jobs = pieces(listing.folder, listing.files, teachers.height, teachers.width)
    ask_room(out, 2 * len(listing.files) * teachers.length * 4)  # the pieces, and the whole
    (out / MADE).unlink(missing_ok=True)
    begun(out / PARTS, made)
    todo = [n for n, job in enumerate(jobs) if not is_done(out / PARTS, n, len(job.files), teachers.length)]
    done = len(listing.files) - sum(len(jobs[n].files) for n in todo)
    if done:
        print(f"{done:,} of {len(listing.files):,} images are done already", flush=True)
    workers = min(workers, PIECE * len(todo) // IMAGES_WORTH_A_PROCESS)
    decoded = in_order(Piece.decode, [jobs[n] for n in todo], workers, shown(listing.folder), workers + 2)
    with Progress(total=len(listing.files), initial=done, desc="embedding", unit="img") as bar:
        for n, piece in zip(todo, decoded, strict=True):
            for fault in piece.faults if strict else []:
                _refuse(jobs[n].folder / jobs[n].files[fault.place], fault.reason)
            write_part(out / PARTS, n, teachers.embed(piece.images, shown(listing.folder)), piece.faults)
            bar.update(len(jobs[n].files))
    _join(jobs, out, teachers.length, strict)
    write_json(out / MADE, made | {"files": [file_state(out / name) for name in WRITTEN]})
    shutil.rmtree(out / PARTS)
    return read_embedded(out, teachers.length)


def made_of(listing: Listing, teachers: Teachers) -> dict[str, object]:
    """What features depend on."""
    return {"images": listing.fingerprint, "peers": sorted(teachers.fingerprints), "piece": PIECE}


def out_of_date(out: Path, listing: Listing, teachers: Teachers) -> str:
    """Why what lies in ``out`` is not what :func:`embed_folder` would write there; empty where it is."""
    if not (out / MADE).exists():
        return "there is none yet"
    try:
        found = read_json(out / MADE, dict[str, object])
        if found.pop("files", None) != [file_state(out / name) for name in WRITTEN]:
            return "it is damaged"
    except (InputError, OSError):
        return "it is damaged"
    made = made_of(listing, teachers)
    if found.get("peers") != made["peers"]:
        return "it was made by other peers"
    if found.get("images") != made["images"]:
        return "the images have changed"
    return "" if found == made else "another version made it"


def read_embedded(out: Path, length: int) -> Embedded:
    """What :func:`embed_folder` wrote. Raises :class:`InputError` where that is damaged."""
    files, rows = read_columns(out / IMAGES, ["file", "row"])
    if integers(out / IMAGES, "row", rows).tolist() != list(range(len(files))):
        raise InputError(f"{out / IMAGES}: expected the rows from 0 in their order")
    features = read_array(out / FEATURES, dtype=np.float32, shape=(len(files), length))
    names, reasons = read_columns(out / LEFT_OUT, ["file", "reason"])
    return Embedded(files, features, list(zip(names, reasons, strict=True)))


def _join(jobs: Sequence[Piece], out: Path, length: int, strict: bool) -> None:
    """Make the three files of the pieces; of the features one piece is in memory."""
    files: list[str] = []
    left_out: list[tuple[str, str]] = []
    for n, job in enumerate(jobs):
        faults = dict(read_part(out / PARTS, n, length)[1])
        left_out += [(job.files[place], reason) for place, reason in faults.items()]
        files += [name for place, name in enumerate(job.files) if place not in faults]
    if left_out and (strict or not files):  # of pieces that an earlier run did without being strict
        _refuse(jobs[0].folder / left_out[0][0], left_out[0][1], len(left_out) - 1)
    with written_beside(out / FEATURES) as temporary, open(temporary, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(files), length)}
        np.lib.format.write_array_header_1_0(file, header)
        for n in range(len(jobs)):
            file.write(read_part(out / PARTS, n, length)[0].data)
    write_table(out / IMAGES, ["file", "row"], zip(files, range(len(files)), strict=True))
    write_table(out / LEFT_OUT, ["file", "reason"], left_out)


def _refuse(path: Path, reason: str, more: int = 0) -> None:
    others = f"; nor can {more:,} more" if more else ""
    raise InputError(f"{shown(path)}: cannot be read as an image: {reason}{others}")


def file_state(path: Path) -> list[int]:
    """Size and time of a file: a change of it is seen without reading it."""
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns]
