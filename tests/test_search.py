"""A search in a folder of one's own: what it finds, what it keeps, and what it says of bad input."""

import csv
import os
import re
import shutil
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import faiss
import numpy as np
import pytest
from PIL import Image

from mutual.base.errors import InputError
from mutual.machine.device import CPU
from mutual.search import gallery as galleries
from mutual.search import index as indexes
from mutual.search import sheet as sheets
from mutual.search import teachers
from mutual.search.gallery import Gallery, opened
from mutual.search.index import Index, coded, read_codes, recall, write_codes
from mutual.search.listing import INDEX_FOLDER, listed
from mutual.search.pictures import thumbnail
from mutual.search.ranking import ranked, read_queries
from mutual.search.results import Found
from mutual.search.sheet import contact_sheet
from tests.snippets import blocks, calls
from tests.test_datasets import touch
from tests.tiny import refusal
from tools import bench_search, embed, search

ROOT = Path(__file__).resolve().parents[1]
ODD = "o'dd\n\"<b>&.png"


class Colours(teachers.Teachers):
    """Sees the mean colours of the quarters of an image: features of 12 numbers, computed without a network."""

    @property
    def length(self) -> int:
        return 12

    def embed(self, images: np.ndarray, label: str) -> np.ndarray:
        quarters = images.reshape(-1, 2, self.height // 2, 2, self.width // 2, 3).mean((2, 4))
        features = quarters.reshape(-1, 12).astype(np.float32) + 1
        return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float32)


SEEING = Colours([], 8, 4, ["one peer"], CPU)
OTHERS = Colours([], 8, 4, ["another peer"], CPU)


def coloured(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.repeat(8, 0).repeat(4, 1)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of twelve images, two of them in folders."""
    for seed, name in enumerate([*(f"{i}.png" for i in range(9)), ODD, "a/x.png", "a/b/y.jpg"]):
        coloured(tmp_path / "crops" / name, seed)
    return tmp_path / "crops"


def gallery_of(folder: Path, seeing: teachers.Teachers = SEEING) -> Gallery:
    return opened(listed(folder), folder / INDEX_FOLDER, seeing, 1)


def found_by(
    gallery: Gallery, queries: list[Path], seeing: teachers.Teachers, count: int, itself: bool = False
) -> list[Found]:
    return ranked(gallery, queries, read_queries(queries, seeing), seeing, count, itself=itself)


def unit(features: np.ndarray) -> np.ndarray:
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float32)


# --- the index -------------------------------------------------------------------------------------------------------


def test_exact_search_is_that_of_all_distances_and_equals_come_by_their_row() -> None:
    rng = np.random.default_rng(1)
    features, queries = unit(rng.standard_normal((60, 5))), unit(rng.standard_normal((7, 5)))
    features[40] = features[3]
    queries[0] = features[3]
    rows, distances = Index(features).search(queries, 9)
    wanted = ((queries[:, None].astype(np.float64) - features) ** 2).sum(2)
    order = np.argsort(wanted, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose(distances, np.take_along_axis(wanted, order, 1), atol=1e-6)
    assert rows[0, :2].tolist() == [3, 40]
    assert distances[0, :2].tolist() == [0, 0]
    assert Index(features).search(queries, 99)[0].shape == (7, 60)


def test_codes_find_what_is_near_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    features, _, queries = bench_search.drawn(tmp_path / "features.npy", 4000, 64)
    exact, true = Index(features).search(queries, 10)
    found = Index(features, coded(features))
    rows, distances = found.search(queries, 10)
    shares = [len({*a} & {*b}) / 10 for a, b in zip(exact.tolist(), rows.tolist(), strict=True)]
    assert np.mean(shares) > 0.97
    same = rows[:, 0] == exact[:, 0]
    np.testing.assert_array_equal(distances[same, 0], true[same, 0])  # of the features, not of their codes
    assert recall(found) > 0.97
    for name in ("one.faiss", "two.faiss"):
        write_codes(tmp_path / name, coded(features))
    assert (tmp_path / "one.faiss").read_bytes() == (tmp_path / "two.faiss").read_bytes()
    again = Index(features, read_codes(tmp_path / "one.faiss", features)).search(queries, 10)
    np.testing.assert_array_equal(again[0], rows)


def test_recall_counts_what_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    features = unit(np.random.default_rng(2).standard_normal((300, 6)))
    flat = faiss.IndexFlatL2(6)
    flat.add(features)
    assert recall(Index(features, flat)) == 1
    wrong = faiss.IndexFlatL2(6)
    wrong.add(-features)  # the farthest of all
    monkeypatch.setattr(indexes, "CANDIDATES", 11)
    assert recall(Index(features, wrong)) == 0


def test_a_file_that_is_no_index_of_these_features_is_refused(tmp_path: Path) -> None:
    features = unit(np.random.default_rng(3).standard_normal((700, 8)))
    write_codes(tmp_path / "codes.faiss", coded(features))
    whole = (tmp_path / "codes.faiss").read_bytes()
    said = refusal(lambda: read_codes(tmp_path / "codes.faiss", features[:-1]))
    assert said.endswith("expected an index of (699, 8) features, found (700, 8)")
    for data in (b"", b"IxPT", whole[: len(whole) // 2], b"x" * 100):
        (tmp_path / "codes.faiss").write_bytes(data)
        assert "codes.faiss: expected an index of Faiss" in refusal(
            lambda: read_codes(tmp_path / "codes.faiss", features)
        )


# --- what is kept of a gallery ---------------------------------------------------------------------------------------


def test_what_is_kept_is_used_until_something_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = gallery_of(folder)
    assert "there is none yet: 12 images to embed" in capsys.readouterr().out
    assert first.told == "exact search"
    before = (folder / INDEX_FOLDER / "features.npy").stat().st_mtime_ns
    assert gallery_of(folder).embedded.files == first.embedded.files
    assert capsys.readouterr().out == ""
    assert (folder / INDEX_FOLDER / "features.npy").stat().st_mtime_ns == before

    gallery_of(folder, OTHERS)
    assert "it was made by other peers: 12 images" in capsys.readouterr().out
    gallery_of(folder)
    capsys.readouterr()
    for change in (
        lambda: coloured(folder / "new.png", 99),
        lambda: (folder / "new.png").rename(folder / "newer.png"),
        lambda: os.utime(folder / "newer.png", (1, 1)),
        lambda: (folder / "newer.png").unlink(),
    ):
        change()
        found = gallery_of(folder)
        assert "the images have changed" in capsys.readouterr().out
        assert found.embedded.files == listed(folder).files
        assert len(found.index.features) == len(found.embedded.files)


@pytest.mark.parametrize("name", ["features.npy", "images.csv", "left_out.csv", ".made.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_what_is_damaged_is_made_anew(folder: Path, name: str, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = np.array(gallery_of(folder).embedded.features)
    path = folder / INDEX_FOLDER / name
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        path.unlink()
    capsys.readouterr()
    np.testing.assert_array_equal(gallery_of(folder).embedded.features, wanted)
    reason = "there is none yet" if (name, damage) == (".made.json", "gone") else "it is damaged"
    assert f"{reason}: 12 images to embed" in capsys.readouterr().out
    gallery_of(folder)
    assert capsys.readouterr().out == ""


def test_a_large_gallery_is_searched_by_codes_which_are_remade_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(galleries, "EXACT", 600)
    folder = tmp_path / "crops"
    for seed in range(650):
        coloured(folder / f"{seed}.bmp", seed)
    found = gallery_of(folder)
    assert re.fullmatch(r"approximate search: \d+\.\d% of the 10 nearest are found, measured on a.*", found.told)
    assert found.recall > 0.9
    query = [coloured(tmp_path / "query.png", 123)]
    wanted = found_by(found, query, SEEING, 5)[0]
    assert wanted.files[0] == "123.bmp"
    capsys.readouterr()
    assert gallery_of(folder).recall == found.recall
    assert capsys.readouterr().out == ""
    codes, about = folder / INDEX_FOLDER / galleries.CODES, folder / INDEX_FOLDER / galleries.ABOUT
    whole = codes.read_bytes()
    for damage in (lambda: codes.write_bytes(whole[:-9]), codes.unlink, about.unlink, lambda: about.write_text("{")):
        damage()
        assert found_by(gallery_of(folder), query, SEEING, 5)[0].files == wanted.files
        said = capsys.readouterr().out
        assert "codes.faiss is" in said
        assert "to embed" not in said
        assert codes.read_bytes() == whole


def test_a_gallery_that_cannot_be_written_is_refused_unless_a_folder_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / INDEX_FOLDER).touch()  # as a read-only disk: nothing can be put there
    said = refusal(lambda: gallery_of(folder))
    assert re.fullmatch(rf"{folder / INDEX_FOLDER}: cannot be written \(.*\): name another folder for the index", said)
    elsewhere = opened(listed(folder), tmp_path / "kept", SEEING, 1)
    assert len(elsewhere.embedded.files) == 12


# --- ranking ---------------------------------------------------------------------------------------------------------


def test_a_query_of_the_gallery_is_at_distance_0_of_itself_and_left_out(folder: Path, tmp_path: Path) -> None:
    gallery = gallery_of(folder)
    (tmp_path / "link").symlink_to(folder)
    shutil.copy(folder / "3.png", folder / "twin.png")
    for query in (folder / "a/x.png", tmp_path / "link/a/x.png", folder / "../crops/a/x.png"):
        (one,) = found_by(gallery, [query], SEEING, 50)
        assert one.inside
        assert "a/x.png" not in one.files
        assert len(one.files) == 11
        (with_itself,) = found_by(gallery, [query], SEEING, 50, itself=True)
        assert with_itself.files == ["a/x.png", *one.files]
        assert with_itself.distance[0] == 0
    # a copy elsewhere is another image, and so is one in the gallery
    (copy,) = found_by(gallery, [Path(shutil.copy(folder / "a/x.png", tmp_path / "copy.png"))], SEEING, 1)
    assert (copy.inside, copy.files) == (False, ["a/x.png"])
    assert copy.distance[0] < 1e-6
    (twin,) = found_by(gallery_of(folder), [folder / "3.png"], SEEING, 1)
    assert (twin.files, twin.distance.tolist()) == (["twin.png"], [0])


def test_several_queries_are_answered_in_their_order(folder: Path, tmp_path: Path) -> None:
    queries = [coloured(tmp_path / "q/5.png", 5), folder / "7.png", coloured(tmp_path / "q/2.png", 2)]
    found = found_by(gallery_of(folder), queries, SEEING, 3)
    assert [(one.query, one.inside, len(one.files)) for one in found] == [
        (query, inside, 3) for query, inside in zip(queries, (False, True, False), strict=True)
    ]
    assert [one.files[0] for one in (found[0], found[2])] == ["5.png", "2.png"]
    assert all((np.diff(one.distance) >= 0).all() for one in found)


def test_one_image_is_a_gallery(tmp_path: Path) -> None:
    gallery = gallery_of(coloured(tmp_path / "crops/only.png", 1).parent)
    assert found_by(gallery, [coloured(tmp_path / "q.png", 2)], SEEING, 10)[0].files == ["only.png"]
    assert found_by(gallery, [tmp_path / "crops/only.png"], SEEING, 10)[0].files == []


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> partial:
    """A command in a folder of its own, where every peer sees colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teachers, "read_teachers", lambda *_: SEEING)

    def run(module: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        {"tools.search": search, "tools.embed": embed}[module].main()

    return partial(run)


class Page(HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_table_picture_and_page_say_the_same(folder: Path, call: partial, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.png").write_bytes(b"x")
    coloured(Path("somebody.png"), 9)  # the picture with the odd name
    arguments = ["--gallery", folder, "somebody.png", folder / "0.png", "--peers", "p", "--top", 4, "--out", "out"]
    call("tools.search", *arguments)
    said = capsys.readouterr()
    assert "queries: 2, images: 12 -> out\n" in said.out
    assert "left out: broken.png: not an image" in said.err
    with Path("out/found.csv").open(encoding="utf-8", newline="") as file:
        header, *table = list(csv.reader(file))
    assert header == ["query", "rank", "file", "distance"]
    assert [row[1] for row in table] == ["1", "2", "3", "4"] * 2
    assert table[0] == ["somebody.png", "1", ODD, table[0][3]]
    assert float(table[0][3]) < 1e-6

    text = Path("out/sheet.html").read_text(encoding="utf-8")
    page = Page(text)
    pictures = [attributes for tag, attributes in page.found if tag == "img"]
    assert len(pictures) == 10
    assert all(str(each["src"]).startswith("data:image/jpeg;base64,") for each in pictures)
    assert pictures[0]["alt"] == "Query somebody.png"
    assert pictures[1]["alt"] == "Rank 1, distance 0.000: o'dd\\n\"<b>&.png"
    assert "<b>&.png" not in text
    # nothing is fetched, nothing runs, names of elements are there once, links lead to them
    assert not re.search(r"https?:|<script|url\(|@import", text)
    assert not {tag for tag, _ in page.found} & {"script", "link", "iframe", "object"}
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(attributes["href"])[1:] for tag, attributes in page.found if tag == "a"} <= set(map(str, ids))
    assert ("html", {"lang": "en"}) in page.found
    assert "prefers-color-scheme: dark" in text
    with Image.open("out/sheet.png") as sheet:
        assert sheet.format == "PNG"
        width, height = sheet.size
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    call("tools.search", *arguments)
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    call("tools.search", *arguments[:3], "--peers", "p", "--top", 8, "--out", "out")
    with Image.open("out/sheet.png") as sheet:
        assert sheet.width > width
        assert sheet.height < height


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": "note.txt"}, "note.txt: cannot be read as an image: not an image in a known format"),
        ({"query": "absent.png"}, "absent.png: not found"),
        ({"query": "crops"}, "crops: expected a file, found a folder"),
        ({"--gallery": "absent"}, "absent: expected a folder, found nothing"),
        ({"--gallery": "empty"}, "empty: holds no image"),
        ({"--top": "0"}, "--top: expected 1 to 1000, found 0"),
        ({"--top": "1001"}, "--top: expected 1 to 1000, found 1001"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    folder: Path, call: partial, change: dict[str, str], said: str
) -> None:
    Path("note.txt").write_text("no picture")
    Path("empty").mkdir()
    given = {"query": "crops/0.png", "--gallery": "crops", "--top": "3"} | change
    options = [part for name in ("--gallery", "--top") for part in (name, given[name])]
    assert said in refusal(lambda: call("tools.search", given["query"], *options, "--peers", "p"))
    assert not Path("data").exists()
    assert not (folder / INDEX_FOLDER).exists()  # the queries are looked at first


@pytest.fixture
def project(folder: Path, tmp_path: Path, call: partial, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, whose target is the gallery."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    shutil.copy(ROOT / "rounds.yaml", "rounds.yaml")
    set_target(folder)
    return tmp_path / "project"


def set_target(root: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(re.sub(r"(?m)^target_root: .*", f"target_root: {root}", text))


def test_the_index_of_a_gallery_that_dvc_watches_is_kept_in_the_project(
    folder: Path, tmp_path: Path, project: Path, call: partial, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [folder / "0.png", "--peers", "p"]
    before = sorted(folder.rglob("*"))
    call("tools.search", "--gallery", folder, *arguments)
    (kept,) = Path("data/index").iterdir()
    assert re.fullmatch(r"crops-[0-9a-f]{8}", kept.name)
    said = capsys.readouterr().out
    assert f"index of {folder}: kept in {kept}, since DVC watches target_root\n" in said
    assert "there is none yet" in said
    assert (kept / "features.npy").exists()
    # by another way to the same folder it is the same index, by another folder of the same name another one
    (tmp_path / "link").symlink_to(folder)
    call("tools.search", "--gallery", "../link", *arguments)
    assert "to embed" not in capsys.readouterr().out
    set_target(tmp_path / "other")
    coloured(tmp_path / "other/crops/a.png", 1)
    call("tools.search", "--gallery", tmp_path / "other/crops", *arguments)
    assert len(list(Path("data/index").iterdir())) == 2
    assert sorted(folder.rglob("*")) == before
    # a gallery that holds the target, or lies elsewhere, keeps its own
    set_target(folder / "a")
    call("tools.search", "--gallery", folder, *arguments)
    assert (folder / INDEX_FOLDER / "features.npy").exists()
    # git leaves the project's place alone
    assert "/data/index" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_what_earlier_runs_read_is_watched_too(
    folder: Path, tmp_path: Path, project: Path, call: partial, capsys: pytest.CaptureFixture[str]
) -> None:
    set_target(tmp_path / "elsewhere")
    entry = f"{{path: {folder}, hash: md5, md5: 0.dir, size: 9, nfiles: 3}}"
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages: {{prepare@target: {{cmd: python, deps: [{entry}]}}}}\n")
    call("tools.search", "--gallery", folder / "a", folder / "0.png", "--peers", "p")
    assert f"since DVC watches {folder} in dvc.lock\n" in capsys.readouterr().out
    assert not (folder / "a" / INDEX_FOLDER).exists()
    # paths of the project, outputs among them, of the demo's pipeline too
    Path("demo").mkdir()
    Path("demo/dvc.lock").write_text("stages: {synthesize: {cmd: python, outs: [{path: data/demo}]}}\n")
    shutil.copytree(folder, "data/demo")
    call("tools.search", "--gallery", "data/demo", folder / "0.png", "--peers", "p")
    assert "since DVC watches data/demo in demo/dvc.lock\n" in capsys.readouterr().out
    for text in ("stages: [", "stages: {a: {deps: [1]}}"):
        Path("dvc.lock").write_text(text)
        said = refusal(lambda: call("tools.search", "--gallery", folder, folder / "0.png", "--peers", "p"))
        assert said.startswith("dvc.lock: ")
    Path("dvc.lock").write_text("")
    call("tools.search", "--gallery", folder, folder / "0.png", "--peers", "p")
    assert (folder / INDEX_FOLDER).exists()


@pytest.mark.parametrize(
    ("module", "arguments", "option"),
    [
        ("tools.search", ["0.png", "--gallery", "crops", "--index"], "--index"),
        ("tools.search", ["0.png", "--gallery", "crops", "--out"], "--out"),
        ("tools.embed", ["crops"], "OUT"),
    ],
)
def test_a_place_that_dvc_watches_is_refused_where_it_is_named(
    folder: Path, project: Path, call: partial, module: str, arguments: list[str], option: str
) -> None:
    words = [str(folder / word) if word == "0.png" else word.replace("crops", str(folder)) for word in arguments]
    before = sorted(folder.rglob("*"))
    said = refusal(lambda: call(module, *words, folder / "kept", "--peers", "p"))
    assert said == (
        f"{option}: {folder / 'kept'}: belongs to target_root, where DVC would take it for a change of the data:"
        " name another place, outside of it"
    )
    # nor is a file replaced that a stage made
    made = "sheet.png" if option == "--out" else "features.npy"
    Path("dvc.lock").write_text(f"stages: {{extract@r01: {{outs: [{{path: data/rounds/r01/{made}}}]}}}}\n")
    said = refusal(lambda: call(module, *words, "data/rounds/r01", "--peers", "p"))
    assert said.startswith(f"{option}: data/rounds/r01: belongs to data/rounds/r01/{made} in dvc.lock, where")
    assert sorted(folder.rglob("*")) == before
    assert not Path("data").exists()
    call(module, *words, "kept", "--peers", "p")
    assert (project / "kept").is_dir()


def test_what_the_page_of_the_documentation_shows_works(folder: Path, call: partial) -> None:
    coloured(Path("somebody.jpg"), 3)
    # what is taken where no peers are named
    for name in ("params.yaml", "rounds.yaml"):
        shutil.copy(ROOT / name, name)
    for seed in (1, 2):
        touch(Path(f"models/r05/peer{seed}.safetensors"))
    for module in ("tools.embed", "tools.search"):
        for arguments in calls(module):
            call(module, *arguments)
    (lines,) = blocks("docs/search.md", "python")
    exec(lines, {})


# --- pictures and figures --------------------------------------------------------------------------------------------


def test_a_thumbnail_keeps_its_proportions(tmp_path: Path) -> None:
    picture = Image.new("RGB", (200, 50), (9, 99, 199))
    picture.save(tmp_path / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (4, 8)).save(tmp_path / "tiny.png")
    sizes = {
        (name, enlarge): thumbnail(tmp_path / name, 100, 100, enlarge=enlarge).size
        for name in ("wide.png", "turned.jpg", "tiny.png")
        for enlarge in (False, True)
    }
    assert sizes == {
        ("wide.png", False): (100, 25),
        ("wide.png", True): (100, 25),
        ("turned.jpg", False): (25, 100),
        ("turned.jpg", True): (25, 100),
        ("tiny.png", False): (4, 8),
        ("tiny.png", True): (50, 100),
    }
    (tmp_path / "none.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"none\.png: cannot be read as an image"):
        thumbnail(tmp_path / "none.png", 9, 9)


def sheet_of(folder: Path, names: list[str]) -> np.ndarray:
    """A sheet's pixels of one query and the same pictures found, by these names."""
    for seed, name in enumerate(names):
        coloured(folder / name, seed)
    found = Found(coloured(folder / "query.png", 9), False, names, np.linspace(0, 1, len(names), dtype=np.float32))
    return np.asarray(contact_sheet("Search", folder, [found]))


def test_the_sheet_has_the_ends_of_names_below_its_pictures(tmp_path: Path) -> None:
    first = sheet_of(tmp_path / "x/g", ["a.png", "sub/0001_c1.png", "W" * 90 + ".png"])
    np.testing.assert_array_equal(sheet_of(tmp_path / "x/g", ["a.png", "sub/0001_c1.png", "W" * 90 + ".png"]), first)
    left = sheets.MARGIN + sheets.WIDTH + 2 * sheets.GAP
    top = sheets.MARGIN + sheets.HEAD + sheets.NAME + sheets.HEIGHT
    line = slice(top + 20, top + sheets.CAPTION)
    places = [left + i * (sheets.WIDTH + sheets.GAP) for i in range(3)]
    ink = [(first[line, x : x + sheets.WIDTH] < 100).all(2).any(0).sum() for x in places]
    assert 10 < ink[0] < ink[1] < ink[2] <= sheets.WIDTH
    for x in places[1:]:  # no name touches the next one
        assert (first[line, x - sheets.GAP // 2 - 1 : x - sheets.GAP // 2 + 1] == 255).all()
    # what differs far from a name's end is not seen, what differs at its end is
    other = sheet_of(tmp_path / "y/g", ["b.png", "sub/0001_c1.png", "V" * 40 + "W" * 50 + ".png"])
    seen = [bool((first[line, x : x + sheets.WIDTH] != other[line, x : x + sheets.WIDTH]).any()) for x in places]
    assert seen == [True, False, False]


def test_drawn_features_are_people_and_the_same_each_time(tmp_path: Path) -> None:
    features, whose, queries = bench_search.drawn(tmp_path / "a.npy", 3000, 32)
    again, *_ = bench_search.drawn(tmp_path / "b.npy", 3000, 32)
    np.testing.assert_array_equal(features, again)
    assert features.dtype == np.float32
    assert (features.shape, queries.shape) == ((3000, 32), (200, 32))
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    rows, squared = Index(features).search(np.array(features[:100]), 3)
    assert (whose[rows[:, 1]] == whose[:100]).mean() > 0.5  # somebody of the same person
    distances = np.sqrt(squared)
    everyone = np.sqrt(np.maximum(2 - 2 * np.array(features[:100]) @ features.T, 0))
    assert np.median(distances[:, 1]) < 0.6 * np.median(everyone)  # there is always somebody like oneself


def test_a_row_of_the_table_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_search, "EXACT", 1000)
    for row in (bench_search.Row(1000, 16), bench_search.Row(1200, 16)):
        found = bench_search.measured(row)
        assert found["recall"] > 0.95
        assert (found["index"] > 0) == (row.images > 1000)
        assert found["query"] > 0
        line = bench_search.line(["name", *bench_search.cells(row, found)])
        assert line.count("|") == len(bench_search.COLUMNS) + 1
