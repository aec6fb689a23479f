"""Damaged and odd files, thousands of them, given to the readers of each kind of file that the project reads.

A reader may refuse a file, in one line that names it, or take it: then what it took is what stands there, as another
reader has it (DVC's of YAML, Python's of JSON and CSV, NumPy's, safetensors'). Anything else is a fault: a traceback,
several lines, a value that is not the file's. Hypothesis makes the files, and of those at fault the smallest that it
finds. Writes to a temporary folder alone; the exit code is 1 where there is a fault.
Example: python -m tests.fuzz --cases 10000 --seed 1
"""

import argparse
import csv
import io
import json
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from dvc.utils.serialize import parse_yaml as as_dvc
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load, save

from mutual.base.errors import InputError
from mutual.base.params import PLACES, read_params, read_rounds, unfolded
from mutual.base.store import read_array, write_array
from mutual.classification.params import ClassificationParams
from mutual.clusters.pseudo_labels import PseudoLabels, read_figures, read_pseudo_labels, write_pseudo_labels
from mutual.datasets.images_csv import read_list
from mutual.datasets.layouts import read_dataset
from mutual.datasets.names import PATTERNS, read_name
from mutual.datasets.packing import decode
from mutual.few.reading import read_params as read_few
from mutual.images.index import Index, read_index, write_index
from mutual.networks.peers import KEY, Peer, read_classifier, read_peer
from mutual.noise.params import NoisyParams, read_noisy_params
from mutual.segmentation.params import SegmentationParams
from tests.tiny_demo import ROOT

LONGEST = 400  # characters of a refusal, the path aside
FILES = [f"images/{i:02d} é,{i}.jpg" for i in range(6)]


class Kind(NamedTuple):
    """A kind of file: how odd ones are made, and what is made of one below a folder."""

    contents: st.SearchStrategy[Any]
    read: Callable[[Path, Any], bool]  # whether it was taken; raises AssertionError for a fault


def main() -> None:
    """Print a line for each kind: files, refused, taken, faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of all kinds together (default: 10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)} (default: all)")
    args = parser.parse_args()
    if unknown := set(args.kinds) - KINDS.keys():
        parser.error(f"expected kinds of {', '.join(KINDS)}, found {', '.join(sorted(unknown))}")
    kinds, began, total, faults = args.kinds or list(KINDS), time.monotonic(), Counter[str](), []
    for name in kinds:
        try:
            counts = tried(name, -(-args.cases // len(kinds)), args.seed)
        except Exception:  # whatever a reader raised
            faults.append(name)
            print(f"{name}: a fault", flush=True)
            traceback.print_exc()
            continue
        total += counts
        print(f"{name}: {counts.total()} files, {counts['refused']} refused, {counts['taken']} taken", flush=True)
    print(
        f"{total.total()} files in {time.monotonic() - began:.0f} s: {total['refused']} refused in a line, "
        f"{total['taken']} taken as they are; kinds with faults: {', '.join(faults) or 'none'}"
    )
    sys.exit(bool(faults))


def tried(name: str, cases: int, seed: int | None = None) -> Counter[str]:
    """How many files of a kind were refused and taken, of so many; always the same without a ``seed``."""
    kind, counts = KINDS[name], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:

        def case(content: Any) -> None:
            counts["taken" if kind.read(Path(folder), content) else "refused"] += 1

        test = settings(
            max_examples=cases,
            derandomize=seed is None,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )(given(kind.contents)(case))
        (test if seed is None else seeded(seed)(test))()
    return counts


def refused(path: Path, read: Callable[[], Any]) -> tuple[bool, Any]:
    """Whether the file was refused, in one line that names it, and else what was read."""
    try:
        return False, read()
    except InputError as error:
        told = str(error)
    assert str(path) in told, told
    assert told.isprintable(), told
    assert len(told) <= len(str(path)) + LONGEST, told
    return True, None


# --- damage ----------------------------------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, text: bool = False) -> bytes:
    """A file with other bits, bytes more or less, cut, doubled, or in another encoding; now and then whole."""
    content = bytearray(whole)
    places = st.integers(0, max(0, len(whole) - 1)) | st.integers(0, min(len(whole), 200) - 1)
    ways = ["bit", "bytes", "cut", "gone", "zeros", "double", "swap", "whole"]
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 5]))):
        place, other = sorted((draw(places), draw(places)))
        match draw(st.sampled_from([*ways, "encoding", "line"] if text else ways)):
            case "bit":
                content[place : place + 1] = bytes(
                    byte ^ 1 << draw(st.integers(0, 7)) for byte in content[place : place + 1]
                )
            case "bytes":
                content[place : place + draw(st.integers(0, 8))] = draw(st.binary(max_size=8) | ODD.map(to_bytes))
            case "cut":
                del content[place:]
            case "gone":
                del content[place:other]
            case "zeros":
                content[place:other] = bytes(other - place)
            case "double":
                content[place:place] = content[place:other]
            case "swap":
                content[place : place + 4], content[other : other + 4] = (
                    content[other : other + 4],
                    content[place : place + 4],
                )
            case "encoding":
                as_text = content.decode("utf-8", "replace")
                how = draw(st.sampled_from(["utf-16", "utf-8-sig", "latin-1", "crlf", "cr"]))
                ends = {"crlf": "\r\n", "cr": "\r"}
                content[:] = (
                    as_text.replace("\n", ends[how]).encode() if how in ends else as_text.encode(how, "replace")
                )
            case "line":
                lines = content.splitlines(keepends=True)
                if lines:
                    at = draw(st.integers(0, len(lines) - 1))
                    lines[at : at + draw(st.integers(0, 1))] = draw(
                        st.sampled_from([[], [lines[at]], [b"\n"], lines[:1]])
                    )
                content = bytearray(b"".join(lines))
    return bytes(content)


def to_bytes(text: str) -> bytes:
    """UTF-8, and where the text can have none, what Python writes of it."""
    return text.encode("utf-8", "surrogatepass")


TELLING = [
    "", "~", "null", "true", "no", "0", "-0", "-1", "1.0", "1e3", "1e309", "5e-324", ".nan", ".inf", "0x10", "1_0",
    "9" * 40, "9" * 401, "9" * 5000, "2147483648", "9223372036854775808", "\u0663", "2001-12-14", "12:30", "''", "' '",
    "[]", "[1]", "[[1]]", "[1, 1]", "[.nan]", "[" * 60 + "]" * 60, "{}", "{a: 1}", "!!set {a}", "!foo 1", "&a [*a]",
    "*a", "!!python/object/apply:os.system [id]", "<<", "|\n  a", '"\\0"', '"\\ud800"', "a\tb", "\x07", "# 1", "'",
    "[", "-", "?", "none", "imagenet", "dbscan", "resnet50", "bf16", "rule", "r00", "r01", "r001", "r\u06601", "/",
    "..", "/dev/zero", "x" * 2000,
]  # fmt: skip
ODD = st.sampled_from(TELLING) | st.text(max_size=12) | st.integers().map(str) | st.floats().map(repr)


@st.composite
def documents(draw: st.DrawFn, whole: str) -> bytes:
    """YAML in which values or keys are others, or which is damaged."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(whole.encode(), text=True))
    lines = whole.splitlines()
    places = [place for place, line in enumerate(lines) if re.match(r" *\w+: *[^ #]", line)]
    for _ in range(draw(st.sampled_from([1, 1, 1, 3]))):
        place = draw(st.sampled_from(places))
        key, _, value = lines[place].partition(":")
        match draw(st.sampled_from(["value", "value", "value", "value", "key", "gone", "twice", "more"])):
            case "value":
                lines[place] = f"{key}: {draw(ODD)}"
            case "key":
                lines[place] = f"{draw(ODD | st.just(key.upper()) | st.just(key + 's'))}:{value}"
            case "gone":
                lines[place] = ""
            case "twice":
                lines.append(f"{key.strip()}:{value}")
            case "more":
                lines.append(f"{draw(ODD)}: {draw(ODD)}")
    return to_bytes("\n".join(lines) + "\n")


# --- YAML ------------------------------------------------------------------------------------------------------------


def text_of(name: str) -> str:
    """A file of the project's."""
    return (ROOT / name).read_text(encoding="utf-8")


def dvc_has(content: bytes) -> dict[Any, Any]:
    """What DVC makes of YAML."""
    return as_dvc(content.decode("utf-8-sig"), "a.yaml")


def read_yaml_params(folder: Path, content: bytes) -> bool:
    path, rounds = folder / "params.yaml", folder / "rounds.yaml"
    rounds.write_text("rounds:\n  r01: r00\n", encoding="utf-8")
    path.write_bytes(content)
    no, params = refused(path, lambda: read_params(path, rounds))
    assert no or unfolded(dvc_has(content)) == params.values(PLACES)
    return not no


def read_yaml_rounds(folder: Path, content: bytes) -> bool:
    path = folder / "rounds.yaml"
    path.write_bytes(content)
    no, rounds = refused(path, lambda: read_rounds(path))
    assert no or dvc_has(content) == {"rounds": rounds}
    return not no


def reads_as(form: Any, read: Callable[[Path], Any]) -> Callable[[Path, bytes], bool]:
    """Of the other pipelines' parameters: what DVC has of them makes the same."""

    def reads(folder: Path, content: bytes) -> bool:
        path = folder / "params.yaml"
        path.write_bytes(content)
        no, params = refused(path, lambda: read(path))
        assert no or form.model_validate(dvc_has(content)) == params
        return not no

    return reads


# --- tables ----------------------------------------------------------------------------------------------------------


def records(content: bytes) -> list[list[str]]:
    """The rows of a CSV file as Python has them."""
    return list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")))


def made(write: Callable[[Path], None]) -> bytes:
    """The bytes of a file that something writes."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def read_table(folder: Path, content: bytes) -> bool:
    path = folder / "train.csv"
    path.write_bytes(content)
    no, index = refused(path, lambda: read_index(path))
    if not no:
        rows = records(content)[1:]
        assert index.file == [row[0] for row in rows]
        assert index.pid.tolist() == [int(row[1] or -1) for row in rows]
        assert index.camid.tolist() == [int(row[2]) for row in rows]
    return not no


def read_labels(folder: Path, content: bytes) -> bool:
    path = folder / "pseudo_labels.csv"
    path.write_bytes(content)
    no, labels = refused(path, lambda: read_pseudo_labels(path, FILES))
    if not no:
        header, *rows = records(content)
        assert [row[0] for row in rows] == FILES
        assert labels.classes.tolist() == [int(row[1]) for row in rows]
        for name, values in (("weight", labels.weights), ("kept", labels.kept)):
            told = [row[header.index(name)] for row in rows] if name in header else None
            assert (values is None) == (told is None)
            assert values is None or np.array_equal(values, np.array(told, np.float64).astype(values.dtype))
        assert labels.soft is None or np.allclose(labels.soft[labels.trained].sum(1), 1, rtol=0, atol=2e-4)
    return not no


def read_images_list(folder: Path, content: bytes) -> bool:
    path = folder / "images.csv"
    path.write_bytes(content)
    no, listed = refused(path, lambda: read_list(path))
    if not no:
        rows, further = listed
        text = content.decode("utf-8-sig")
        for line, row, split in rows:
            assert row.file, line
            assert not row.file.startswith(("/", "../"))
            assert os.path.basename(row.file) in text
            assert row.identity in text
            assert row.camera in text
            assert split == split.strip().lower()
            assert len(row.further) == len(further)
        assert len({row.file for _, row, _ in rows}) == len(rows)
        # a row that is not blank is an image: none is passed over
        separator = max(",;\t", key=text.partition("\n")[0].count)
        there = [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(cells)]
        assert len(rows) == len(there) - 1
    return not no


LISTED = 'file,pid,camid,split,note\na/1.jpg,anna,north,train,x\nb 2.jpg,anna,,query,\né3.jpg,,south,gallery,"1,2"\n'


# --- arrays, networks, JSON ------------------------------------------------------------------------------------------


def read_features(folder: Path, content: bytes) -> bool:
    path = folder / "features.npy"
    path.write_bytes(content)
    no, array = refused(path, lambda: read_array(path, dtype=np.float32, shape=(None, 4), finite=True))
    if not no:
        theirs = np.load(io.BytesIO(content), allow_pickle=False)
        assert theirs.dtype == np.float32
        assert theirs.shape == array.shape
        assert array.tobytes() == theirs.tobytes()
        assert np.isfinite(theirs).all()
        del array  # mapped from the file that the next takes the place of
    return not no


def read_tensors(folder: Path, content: bytes) -> bool:
    path = folder / "peer1.safetensors"
    path.write_bytes(content)
    no, found = refused(path, lambda: (read_peer(path), read_classifier(path, "teacher")))
    if not no:
        peer, classifier = found
        length = int.from_bytes(content[:8], "little")
        head = json.loads(content[8 : 8 + length])
        assert asdict(Peer(**json.loads(head["__metadata__"][KEY]))) == asdict(peer)
        theirs = load(content)["teacher.classifier.weight"]
        assert theirs.numpy().tobytes() == np.ascontiguousarray(classifier).tobytes()
        assert theirs.dtype == torch.float32
    return not no


def peers_file() -> bytes:
    """Of one that has a classifier alone."""
    tensors = {f"{role}.classifier.weight": torch.arange(12.0).reshape(4, 3) for role in ("student", "teacher")}
    told = asdict(Peer({"backbone": "resnet18"}, 4, 64, 32, 3, {"train": {"lr": 1e-3}}))
    return save(tensors, metadata={KEY: json.dumps(told, sort_keys=True)})


def read_clustering(folder: Path, content: bytes) -> bool:
    path = folder / "clustering.json"
    path.write_bytes(content)
    no, figures = refused(path, lambda: read_figures(path))
    if not no:
        theirs = json.loads(content)
        assert all(theirs[key] == value for key, value in figures.items())  # which says nothing of further keys
        assert all(type(theirs[key]) is int for key in ("clusters", "outliers", "smallest", "largest"))
    return not no


CLUSTERING = {"clusters": 6, "outliers": 0, "smallest": 1, "largest": 9, "inertia": 3.5, "eps": 0.5}
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def figures_files(draw: st.DrawFn) -> bytes:
    """Another value, or key, or damage."""
    if draw(st.booleans()):
        return draw(damaged(json.dumps(CLUSTERING).encode(), text=True))
    keys = st.sampled_from([*CLUSTERING, "label_free"]) | st.text(max_size=9)
    changed = CLUSTERING | draw(st.dictionaries(keys, JSONS, max_size=3))
    return json.dumps(draw(st.just(changed) | st.just(changed) | JSONS)).encode("utf-8", "surrogatepass")


# --- names and images ------------------------------------------------------------------------------------------------


def read_file_name(folder: Path, told: tuple[str, str]) -> bool:
    layout, name = told
    path = f"bounding_box_test/{name}"
    try:
        pid, camid = read_name(folder, path, layout, may_distract=True)
    except InputError as error:
        told_of = str(error)
        assert told_of.isprintable(), told_of
        assert len(told_of) <= len(str(folder)) + 3 * LONGEST
        return False
    number, camera = re.match(r"(-?[0-9]+)_c([0-9]+)", name).groups()  # type: ignore[union-attr]
    assert (pid, camid) == (int(number), int(camera))
    return True


PIECES = ["0001", "-1", "0000", "1", "_c", "_", "c2", "s1", "_000451", "_03", ".jpg", "_f00", "\u0663", "9" * 19, " "]
ANY_NAME = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=7).map("".join) | st.text(max_size=30)


@st.composite
def image_names(draw: st.DrawFn) -> tuple[str, str]:
    """A layout, and a name that has its form, nearly so, or not at all."""
    layout = draw(st.sampled_from(sorted(PATTERNS)))
    name = draw(ANY_NAME | st.from_regex(PATTERNS[layout]) | st.tuples(ANY_NAME, ANY_NAME).map("_c".join))
    return layout, name.replace("/", "-")


def read_folders(folder: Path, names: list[str]) -> bool:
    """A set whose images have these names: each is in the index or in a line that says that it is not."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root, there = Path(place), []
        for number, name in enumerate(names):
            path = root / f"person{number % 2}" / name
            path.parent.mkdir(exist_ok=True)
            if name in ("", ".", "..") or "\0" in name:
                continue
            path.touch()
            there.append(f"person{number % 2}/{name}")
        if not there:
            return False
        no, reading = refused(root, lambda: read_dataset(root, "folders"))
        if not no:
            found = [file for index in reading.splits.values() for file in index.file]
            assert len(found) == len(set(found))
            assert set(found) <= set(there)
            assert len(found) == len(set(there)) or reading.remarks
            path = root / "index.csv"
            for index in reading.splits.values():
                write_index(path, index)
                assert read_index(path).file == index.file
        return not no


SUFFIXED = st.lists(
    st.tuples(st.text(max_size=20), st.sampled_from([".jpg", ".PNG", ".txt", ""])), min_size=1, max_size=6
)
FILE_NAMES = SUFFIXED.map(lambda pairs: [name.replace("/", "-") + suffix for name, suffix in pairs]).map(
    lambda names: [os.fsdecode(name.encode("utf-8", "surrogatepass")) for name in names]
)


def read_image(folder: Path, content: bytes) -> bool:
    path = folder / "0001_c1.jpg"
    path.write_bytes(content)
    no, images = refused(path, lambda: decode([str(path)], 16, 8))
    assert no or (images.shape, images.dtype) == ((1, 16, 8, 3), np.uint8)
    return not no


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """Of many formats, modes and sizes, damaged."""
    mode, form = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS))
    size = draw(st.sampled_from([(1, 1), (3, 9), (20, 40), (1, 300)]))
    noise = random.Random(draw(st.integers(0, 9))).randbytes(3 * size[0] * size[1])
    image, file = Image.frombytes("RGB", size, noise).convert(mode), io.BytesIO()
    try:
        image.save(file, form)
    except (OSError, KeyError, ValueError):  # a mode that the format has not
        image.convert("RGB").save(file, form)
    return draw(damaged(file.getvalue()))


Image.init()
MODES = ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "I", "F"]
FORMATS = [
    form for form in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "JPEG2000", "TGA", "PPM") if form in Image.SAVE
]
INDEX = Index(FILES, np.array([7, -1, 7, 12, 0, 3]), np.arange(1, 7))
SOFT = np.full((6, 3), 1 / 3, np.float32)
LABELS = PseudoLabels(np.array([0, 1, 2, 0, -1, 1]), np.linspace(0, 1, 6, dtype=np.float32), np.arange(6) != 1, SOFT)

KINDS = {
    "params": Kind(documents(text_of("params.yaml")), read_yaml_params),
    "rounds": Kind(documents("rounds:\n  r01: r00\n  r02: r01\n  r03: r02\n"), read_yaml_rounds),
    "noisy": Kind(documents(text_of("noisy/params.yaml")), reads_as(NoisyParams, read_noisy_params)),
    "classification": Kind(
        documents(text_of("semi/classification/params.yaml")),
        reads_as(ClassificationParams, lambda path: read_few(path, ClassificationParams)),
    ),
    "segmentation": Kind(
        documents(text_of("semi/segmentation/params.yaml")),
        reads_as(SegmentationParams, lambda path: read_few(path, SegmentationParams)),
    ),
    "names": Kind(image_names(), read_file_name),
    "folders": Kind(FILE_NAMES, read_folders),
    "images.csv": Kind(damaged(LISTED.encode(), text=True), read_images_list),
    "index": Kind(damaged(made(lambda path: write_index(path, INDEX)), text=True), read_table),
    "pseudo labels": Kind(damaged(made(lambda path: write_pseudo_labels(path, FILES, LABELS)), text=True), read_labels),
    "arrays": Kind(damaged(made(lambda path: write_array(path, SOFT.repeat(2, 1)[:, :4].copy()))), read_features),
    "networks": Kind(damaged(peers_file()), read_tensors),
    "JSON": Kind(figures_files(), read_clustering),
    "images": Kind(pictures(), read_image),
}


if __name__ == "__main__":
    main()
