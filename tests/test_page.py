"""The page: what is chosen and counted by hand, and that it is whole, honest, safe and the same bytes again."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mutual.base.errors import InputError
from mutual.base.store import read_array, write_array, write_json
from mutual.evaluation.ranking import Nearest, Ranking
from mutual.evaluation.retrieval import write_ranking
from mutual.images.index import Index, read_index, write_index
from mutual.page import charts, headline, known, labels, projection
from mutual.page.cameras import confusion
from mutual.page.galleries import galleries
from mutual.page.pictures import Album, encoded, thumbnail
from mutual.page.queries import by_change, by_precision, nearest_rows
from mutual.page.run import read_packed
from stages import page
from tests.drawn_run import PEERS, draw
from tests.snippets import blocks, calls
from tools import page as tool
from tools.imports import beside, code_of

TOP = Path(__file__).parent.parent

# --- figures by hand -------------------------------------------------------------------------------------------------


def test_queries_are_chosen_by_what_became_of_them() -> None:
    before = np.array([0.1, 0.5, 0.9, np.nan, 0.2])
    after = np.array([0.8, 0.4, 0.9, 0.7, 0.25])
    gained, lost, worst, best, drawn = by_precision(before, after, 2, np.random.default_rng(1))
    assert gained.rows == [0, 4]
    assert lost.rows == [1, 2]
    assert worst.rows == [4, 1]
    assert best.rows == [2, 0]
    assert len(drawn.rows) == 2
    assert 3 not in drawn.rows  # it has no match


def test_of_equal_queries_the_first_come_first() -> None:
    groups = by_precision(np.zeros(5), np.full(5, 0.5), 3, np.random.default_rng(1))
    assert [group.rows for group in groups[:4]] == [[0, 1, 2]] * 4


def test_candidates_are_chosen_by_how_many_neighbours_are_new() -> None:
    before = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3]])
    after = np.array([[3, 2, 1], [1, 9, 8], [4, 2, 1]])  # none, two and one are new, whatever the order
    most, least, _ = by_change(before, after, 3)
    assert most.rows == [1, 2, 0]
    assert least.rows == [0, 2, 1]


def test_nearest_rows_leave_the_image_itself_out() -> None:
    features = np.array([[0.0], [1.0], [3.0], [1.0], [10.0]], np.float32)
    assert nearest_rows(features, np.array([0, 4]), 3).tolist() == [[1, 3, 2], [2, 1, 3]]
    assert nearest_rows(features, np.array([2]), 10).tolist() == [[1, 3, 0, 4]]


def test_clusters_are_matched_so_that_most_images_stay() -> None:
    before = np.array([0, 0, 0, 1, 1, 2, -1, -1])
    after = np.array([1, 1, 0, 0, 0, 2, -1, 2])
    # 1 goes on as 0 of before (2 images), 0 as 1 (2), 2 as 2 (1): image 2 changed, and the outlier that is none now
    assert labels.matched(before, after).tolist() == [1, 0, 2]
    assert labels.changed(before, after) == 2
    assert labels.changed(before, before) == 0
    assert labels.changed(before, (before + 1) % 3 * (before >= 0) - (before < 0)) == 0  # other numbers alone


def test_a_cluster_that_splits_stays_in_its_larger_part() -> None:
    before, after = np.array([0, 0, 0, 0, 0]), np.array([0, 0, 1, 1, 1])
    assert labels.matched(before, after).tolist() == [-1, 0]
    assert labels.changed(before, after) == 2
    assert labels.changed(after, before) == 2  # where they join again, the smaller part changed
    assert labels.changed(np.array([-1, 0]), np.array([0, -1])) == 2


def test_names_of_clusters_stay_from_round_to_round() -> None:
    rounds = [np.array([0, 0, 1, 1, -1]), np.array([1, 1, 0, 0, 2]), np.array([0, 0, -1, -1, 1])]
    first, second, third = labels.lineages(rounds)
    assert first.tolist() == [0, 0, 1, 1, -1]
    assert second.tolist() == [0, 0, 1, 1, 2]
    assert third.tolist() == [0, 0, -1, -1, 2]


def index(pid: list[int], camid: list[int]) -> Index:
    return Index([f"{i}.jpg" for i in range(len(pid))], np.array(pid, np.int64), np.array(camid, np.int64))


def test_cameras_by_hand() -> None:
    query, gallery = index([1, 1, 2, 3], [1, 2, 1, 4]), index([1, 2, 9], [2, 4, 2])
    nearest = np.array([[0, 1], [1, 0], [2, 1], [-1, -1]])
    counts = confusion(nearest, query, gallery, np.array([1, 2, 4]))
    # camera 1 finds camera 2 twice, right then wrong; camera 2 finds camera 4, wrong; the last query found nothing
    expected = np.zeros((3, 3, 2), int)
    expected[0, 1] = 1, 1
    expected[1, 2] = 0, 1
    assert (counts == expected).all()


def test_what_is_known_of_images() -> None:
    assert known.pids_known(index([1, 0], [1, 1]))
    assert not known.pids_known(index([-1, -1], [1, 2]))
    assert not known.pids_known(index([], []))
    assert known.cameras_known([index([1, 1], [1, 2]), index([1], [2])])
    assert not known.cameras_known([index([1, 1], [1, 2]), index([1], [3])])


def test_galleries_by_hand() -> None:
    features = np.array([[0.0], [0.1], [5.0], [0], [0], [1], [7]], np.float32)
    classes = np.array([0, 0, 0, 1, 1, 2, -1])
    pids = np.array([4, 4, 5, 6, 7, 8, 9])
    largest, purest, mixed, outliers = galleries(features, classes, pids, 2, 10)
    assert [(each.label, each.size) for each in largest.clusters] == [(0, 3), (1, 2)]
    assert [(each.label, each.purity) for each in purest.clusters] == [(2, 1.0), (0, pytest.approx(2 / 3))]
    assert [each.label for each in mixed.clusters] == [1, 0]
    assert outliers.clusters[0].rows == [6]
    # the mean is 1.7: nearest to it 0.1, then 0, then 5, which is somebody else
    assert largest.clusters[0].rows == [1, 0, 2]
    assert largest.clusters[0].agree == [True, True, False]
    tightest = galleries(features, classes, None, 3, 2)[1]
    assert (tightest.title, [each.label for each in tightest.clusters]) == ("Tightest", [1, 2, 0])
    assert len(tightest.clusters[2].rows) == 2


def results(labelled: bool) -> dict[str, Any]:
    figures = {"mAP": 0.4, "rank1": 0.5, "rank5": 0.6, "rank10": 0.7}
    better = {key: value + 0.1 for key, value in figures.items()}
    return {
        "r00": {"peers": {"1": figures if labelled else {}, "2": better if labelled else {}}, "pseudo_labels": {}},
        "r01": {"peers": {"1": better if labelled else {}, "2": figures if labelled else {}}, "pseudo_labels": {}},
    }


def test_protocols_stand_apart_and_only_where_there_are_figures() -> None:
    label_free = {"r00": {"agreement": 0.3}, "r01": {"agreement": 0.2}}
    direct, last, selected, best = headline.protocols(results(labelled=True), label_free)
    assert direct.figures["mAP"] == last.figures["mAP"] == pytest.approx(0.45)
    assert (best.figures["rank1"], best.by_test, last.by_test) == (0.6, True, False)
    assert (selected.figures, selected.by_test) == (direct.figures, False)
    assert [each.title for each in headline.protocols(results(labelled=True), {})] == [
        "Direct transfer",
        "Last round",
        "Best on test",
    ]
    assert headline.protocols(results(labelled=False), label_free) == []


def test_what_needs_no_label_is_a_curve_each() -> None:
    rows = charts.label_free_rows({"r00": {"silhouette": 0.12345, "variance": 0.5}, "r01": {"camera_nmi": 0.3}})
    assert rows == [
        {"round": 0, "figure": "silhouette", "value": 0.1235},
        {"round": 1, "figure": "camera NMI", "value": 0.3},
    ]


def test_curves_have_every_peer_and_the_mean() -> None:
    rows = charts.accuracy_rows(results(labelled=True), "mAP")
    assert [(row["round"], row["peer"]) for row in rows] == [
        (i, peer) for i in (0, 1) for peer in ("peer 1", "peer 2", charts.MEAN)
    ]
    assert rows[2]["value"] == pytest.approx(0.45)
    assert charts.accuracy_rows(results(labelled=False), "mAP") == []


# --- pictures and maps -----------------------------------------------------------------------------------------------


def test_pictures_are_small_and_each_is_asked_for_once() -> None:
    images = {"train": np.random.default_rng(1).integers(0, 256, (3, 300, 120, 3), np.uint8)}
    assert thumbnail(images["train"][0]).size == (51, 128)
    assert thumbnail(np.zeros((64, 32, 3), np.uint8)).size == (32, 64)
    album = Album()
    assert [album.add("train", row) for row in (2, 0, 2)] == [0, 1, 0]
    size = len(encoded(images["train"][2])) + 3
    assert album.pictures(images, size) == [encoded(images["train"][2]), ""]
    assert album.pictures(images, 0) == ["", ""]


def test_a_map_keeps_what_stays_in_its_place() -> None:
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(4), 15)
    features = (10 * np.eye(4, 6)[groups] + random.standard_normal((60, 6))).astype(np.float32)
    first, second = projection.maps([features, features + 0.01], seed=1)
    assert first.min() == 0 or second.min() == 0
    assert max(first.max(), second.max()) == projection.SCALE
    middles = np.array([[each[groups == group].mean(0) for group in range(4)] for each in (first, second)])
    apart = np.linalg.norm(middles[0, :, None] - middles[0], axis=2)[~np.eye(4, dtype=bool)].min()
    within = max(np.linalg.norm(first[groups == group] - middles[0, group], axis=1).mean() for group in range(4))
    moved = np.linalg.norm(middles[1] - middles[0], axis=1).max()
    assert apart > 2 * within
    assert moved < apart


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_few_images_have_a_map(count: int) -> None:
    features = np.random.default_rng(1).standard_normal((count, 3)).astype(np.float32)
    (found,) = projection.maps([features], seed=1)
    assert found.shape == (count, 2)


def test_rounds_of_maps_are_even() -> None:
    assert projection.evenly(5, 12) == [0, 1, 2, 3, 4]
    assert projection.evenly(41, 3) == [0, 20, 40]
    assert projection.evenly(1, 12) == [0]


# --- the page --------------------------------------------------------------------------------------------------------


class Checked(HTMLParser):
    """Whether what is opened is closed, ids are there once, and links within the page lead somewhere."""

    EMPTY = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wanted: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("for", "aria-labelledby", "aria-describedby"):
                self.wanted |= set((value or "").split())
            if name in ("href", "src", "action", "srcset", "data", "poster"):
                self.addresses.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_bytes((TOP / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["page"])
    return tmp_path


def written() -> str:
    page.main()
    return page.PAGE.read_text(encoding="utf-8")


def content_of(text: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def check(text: str) -> None:
    parsed = Checked(text)
    assert parsed.open == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    targets = {address[1:] for address in parsed.addresses if address.startswith("#")}
    assert parsed.wanted | targets <= set(parsed.ids)
    # nothing is fetched: what is embedded, and places on the page
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert "default-src 'none'" in text
    ours = re.sub(r"(?s)<script>\(\(\) => \{.*?</script>", "", text)  # Vega names its namespaces
    assert len(ours) < len(text) - 500_000
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]+[\w./]*", ours)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|\beval\(", ours)


@pytest.mark.parametrize("outliers", [False, True])
def test_the_page_of_a_labelled_target(project: Path, outliers: bool) -> None:
    draw(project, outliers=outliers)
    text = written()
    check(text)
    data, specs = content_of(text, "data"), content_of(text, "specs")
    assert data["lists"]["kind"] == "tested"
    (run,) = data["lists"]["runs"]
    nearest = np.load("data/retrieval/r01/peer2.nearest.npy")
    files = [f"gallery/image{row}.jpg" for row in nearest[:, :10].ravel()]
    # a query's list is what its file says, right where the pids are the same
    gallery = dict(line.split(",")[:2] for line in Path("data/packed/target/gallery.csv").read_text().split()[1:])
    query = dict(line.split(",")[:2] for line in Path("data/packed/target/query.csv").read_text().split()[1:])
    for place, image in enumerate(data["lists"]["queries"]):
        name = data["images"]["file"][image]
        row = int(re.findall(r"\d+", name)[0])
        found = [data["images"]["file"][each] for each in run["found"][1][1][place]]
        assert found == files[10 * row : 10 * row + 10]
        marks = "".join("1" if gallery[each] == query[name] else "0" for each in found)
        assert run["right"][1][1][place] == marks
    assert [state["after"] for state in data["map"]["states"]] == [0, 1, 2]
    assert len(data["cameras"]["counts"]) == 3
    assert np.array(data["cameras"]["counts"]).sum() == 3 * 2 * 12
    assert {"mAP", "rank1", "losses", "changes"} <= set(specs)
    assert [kind["title"] for kind in data["clusters"]][-1] == ("Outliers" if outliers else "Most mixed")
    pictures = content_of(text, "pictures")
    assert len(pictures) == len(data["images"]["file"])
    assert all(pictures)
    with Image.open(page.SHEET) as sheet:
        assert sheet.width > 800


def test_the_page_of_a_target_that_nobody_labelled(project: Path) -> None:
    draw(project, labelled=False)
    text = written()
    check(text)
    data, specs = content_of(text, "data"), content_of(text, "specs")
    assert data["lists"]["kind"] == "clustered"
    assert data["cameras"] is None
    assert set(data["images"]["pid"]) == set(data["images"]["camid"]) == {None}
    assert "mAP" not in specs
    assert "no labelled test images" in text
    assert [kind["title"] for kind in data["clusters"]] == ["Largest", "Tightest", "Widest"]
    # the neighbours are the nearest of the round's features, and right where they share its pseudo label
    features, (run,) = np.load("data/rounds/r01/features.npy"), data["lists"]["runs"]
    rows = [int(re.findall(r"\d+", name)[0]) for name in data["images"]["file"]]
    classes = [int(line.split(",")[1]) for line in Path("data/rounds/r01/pseudo_labels.csv").read_text().split()[1:]]
    for place, image in enumerate(data["lists"]["queries"]):
        squared = ((features - features[rows[image]]) ** 2).sum(1)
        nearest = [row for row in np.argsort(squared) if row != rows[image]][:10]
        assert [rows[each] for each in run["found"][0][0][place]] == nearest
        same = [classes[row] == classes[rows[image]] for row in nearest]
        assert run["right"][0][0][place] == "".join("1" if each else "0" for each in same)


def test_what_goes_wrong_is_told_with_its_round(project: Path) -> None:
    draw(project, outliers=True)
    assert 'id="alarms"' not in written()
    path = Path("metrics/rounds/r02.json")
    figures = json.loads(path.read_text())
    figures["label_free"] |= {"camera_nmi": 0.75}
    write_json(path, figures)
    text = written()
    check(text)
    (section,) = re.findall(r'(?s)<section id="alarms".*?</section>', text)
    (line,) = re.findall(r"<li>(.*?)</li>", section)
    assert line.startswith("<b>after round 1</b>: clusters follow the cameras more than what is on the images")


def test_images_that_were_labelled_later_are_found_where_they_lie(project: Path) -> None:
    draw(project, labelled=False)
    train = read_index(project / "data/packed/target/train.csv")
    rows = [5, 9, 2, 7]
    listed = Index([train.file[row] for row in rows], np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]))
    for after in ("r00", "r01", "r02"):
        folder = project / "data/retrieval" / after
        write_index(folder / "tested.csv", listed)
        for peer in PEERS:
            write_array(folder / f"peer{peer}.nearest.npy", np.array([[1], [0], [3], [2]], np.int32))
            write_array(folder / f"peer{peer}.average_precision.npy", np.ones(4))
        path = project / f"metrics/rounds/{after}.json"
        result = json.loads(path.read_text())
        result["peers"] = {peer: {"mAP": 1.0, "rank1": 1.0, "rank5": 1.0, "rank10": 1.0} for peer in PEERS}
        path.write_text(json.dumps(result))
    run = page.run_in("this run", Path())
    stored = read_array(project / "data/packed/target/train.npy")
    assert (read_packed(run)["query"] == stored[rows]).all()
    check(written())
    write_index(
        project / "data/retrieval/r00/tested.csv", Index([*listed.file[:3], "elsewhere.jpg"], listed.pid, listed.camid)
    )
    with pytest.raises(InputError, match=r"tested.csv: .*elsewhere.jpg.* is no image of the target"):
        read_packed(page.run_in("this run", Path()))


def test_the_same_again_is_the_same_bytes(project: Path) -> None:
    draw(project)
    first = written(), page.SHEET.read_bytes()
    assert (written(), page.SHEET.read_bytes()) == first


def test_pictures_can_be_left_out(project: Path) -> None:
    draw(project)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("page_pictures: true", "page_pictures: false"))
    for file in Path("data/packed/target").glob("*.npy"):
        file.unlink()
    text = written()
    check(text)
    assert content_of(text, "pictures") == []
    assert "data:image" not in re.sub(r"(?s)<script>.*?</script>", "", text)
    assert "Pictures are left out" in text


def test_pictures_end_where_the_page_would_be_too_large(project: Path) -> None:
    draw(project, train=400, size=(128, 64))
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("page_megabytes: 20", "page_megabytes: 2"))
    text = written()
    pictures = content_of(text, "pictures")
    assert 1_900_000 < len(text.encode()) <= 2_000_000
    assert 0 < pictures.count("") < len(pictures)
    assert f"{pictures.count(''):,} of {len(pictures):,} pictures are left out" in text


def test_odd_file_names_and_parameters_break_nothing(project: Path) -> None:
    name = '</script><script>alert(1)</script>"&\udcff\n'
    draw(project, name=name)
    params = Path("params.yaml")
    odd = "a<b>&\"'{{ 1 }}"
    params.write_text(re.sub(r"(?m)^target_name: .*", lambda _: f"target_name: {json.dumps(odd)}", params.read_text()))
    text = written()
    check(text)
    assert "alert(1)</script>" not in text
    assert "\\xff" in "".join(content_of(text, "data")["images"]["file"])
    assert "a&lt;b&gt;&amp;" in text


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("data/retrieval/r01/peer1.nearest.npy", None, "not found"),
        ("data/retrieval/r01/peer1.nearest.npy", np.full((12, 50), 40, np.int32), "expected rows of the gallery"),
        ("data/retrieval/r01/peer2.average_precision.npy", np.zeros(3), "expected an array of shape"),
        ("data/rounds/r02/features.npy", np.zeros((3, 8), np.float32), "expected an array of shape"),
        ("metrics/rounds/r01.json", {"peers": {}}, "peers"),
        ("metrics/losses/r01.csv", None, "not found"),
    ],
)
def test_what_is_missing_or_damaged_is_named(project: Path, file: str, content: Any, fault: str) -> None:
    draw(project)
    written()
    before, path = page.PAGE.read_bytes(), Path(file)
    path.unlink()
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        write_json(path, content | {"pseudo_labels": {}, "computed": {}})
    with pytest.raises(InputError, match=rf"^{re.escape(file)}: [^\n]*{fault}[^\n]*$"):
        page.main()
    assert page.PAGE.read_bytes() == before


def test_what_evaluate_writes_is_what_the_page_reads(project: Path) -> None:
    draw(project)
    rows = np.full((12, 50), 3, np.int32)
    nearest = Nearest(rows, np.zeros((12, 50), np.float32))
    write_ranking(Path("data/retrieval/r01"), 1, Ranking(np.full(12, 0.25), np.ones(12, np.int64)), nearest)
    found = page.run_in("x", Path()).found("r01", "1")
    assert (found.nearest == 3).all()
    assert (found.average_precision == 0.25).all()


def test_the_map_after_a_round_is_what_the_next_learned_from(project: Path) -> None:
    draw(project)
    Path("rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r00\n")
    run = page.run_in("x", Path())
    direct, last = run.state("r00"), run.state("r02")
    assert direct is not None
    assert last is not None
    assert (direct.features == np.load("data/rounds/r01/features.npy")).all()
    assert run.state("r01") is None  # nothing started from it, and it is not the last
    assert (last.features == np.load("data/retrieval/last/peer1.train.npy")).all()
    check(written())


# --- another run beside it -------------------------------------------------------------------------------------------


def test_a_page_among_the_pictures_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(project)
    out = "data/demo/Market-1501-v15.09.15/report.html"
    monkeypatch.setattr("sys.argv", ["page", "--out", out])
    with pytest.raises(InputError, match=rf"^--out: {re.escape(out)}: belongs to target_root, where DVC [^\n]*$"):
        tool.main()
    assert not Path(out).parent.exists()


def test_a_page_in_place_of_a_result_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(project)
    lock = "schema: '2.0'\nstages:\n  report:\n    outs:\n    - path: metrics/results.md\n"
    (project / "dvc.lock").write_text(lock, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["page", "--out", "metrics/results.md"])
    with pytest.raises(InputError, match=r"^--out: metrics/results\.md: belongs to .*results\.md.* in dvc\.lock"):
        tool.main()


def test_another_run_stands_beside_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(project)
    other = project / "other"
    draw(other, rounds=1)
    (other / "params.yaml").write_text(
        re.sub(r"(?m)^alpha: .*", "alpha: 0.123", Path("params.yaml").read_text(encoding="utf-8"))
    )
    for name in ("data/rounds", "metrics/losses"):  # neither is needed of it
        (other / name).rename(other / name.replace("/", "-"))
    for split in ("query", "gallery", "train"):  # drawn with the same seed up to here
        (other / f"data/packed/target/{split}.csv").write_bytes(Path(f"data/packed/target/{split}.csv").read_bytes())
    monkeypatch.setattr("sys.argv", ["page", "--compare", "other", "--out", "both.html"])
    tool.main()
    text = Path("both.html").read_text(encoding="utf-8")
    check(text)
    runs = content_of(text, "data")["lists"]["runs"]
    assert [(run["name"], len(run["after"])) for run in runs] == [("this run", 3), ("other", 2)]
    assert len({len(run["found"][0][0]) for run in runs}) == 1
    assert {row["run"] for row in content_of(text, "specs")["mAP"]["data"]["values"]} == {"this run", "other"}
    assert re.search(r'class="differs"><th scope="row"><code>alpha</code></th><td>0.95</td><td>0.123</td>', text)
    assert not page.PAGE.exists()


def test_lists_of_other_test_images_are_not_compared(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(project)
    draw(project / "other", name="another")
    (project / "other/params.yaml").write_bytes(Path("params.yaml").read_bytes())
    monkeypatch.setattr("sys.argv", ["page", "--compare", "other"])
    tool.main()
    text = tool.COMPARED.read_text(encoding="utf-8")
    assert [run["name"] for run in content_of(text, "data")["lists"]["runs"]] == ["this run"]
    assert "other test images" in text


def sh(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_runs_that_the_documentation_compares_with(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit is read from git and the cache, another project from its folder."""
    shutil.copytree(project, project / "here")
    project = project / "here"
    monkeypatch.chdir(project)
    draw(project)
    shutil.copytree(project, project.parent / "other/project")
    for command in (
        ("git", "init", "--quiet", "--initial-branch=main"),
        (sys.executable, "-m", "dvc", "init", "--quiet"),
        (sys.executable, "-m", "dvc", "add", "--quiet", "data", "metrics"),
        ("git", "add", "--all"),
        ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "x"),
    ):
        done = sh(project, *command)
        assert done.returncode == 0, done.stderr
    first = json.loads(Path("metrics/rounds/r02.json").read_text())["peers"]["1"]["mAP"]
    draw(project, seed=2)
    monkeypatch.setattr("sys.argv", ["page"])  # as `make page` does
    tool.main()
    assert page.PAGE.exists()
    lines = calls("tools.page")
    assert [name for _, name in lines] == ["main", "../other/project"]
    for line in lines:
        monkeypatch.setattr("sys.argv", ["page", *line])
        tool.main()
        text = tool.COMPARED.read_text(encoding="utf-8")
        rows = content_of(text, "specs")["mAP"]["data"]["values"]
        found = {row["run"]: row["value"] for row in rows if (row["round"], row["peer"]) == (2, "peer 1")}
        assert found[line[1]] == first != found["this run"]
    monkeypatch.setattr("sys.argv", ["page", "--compare", "nowhere"])
    with pytest.raises(InputError, match=r"^nowhere: [^\n]+$"):
        tool.main()


# --- the pipeline ----------------------------------------------------------------------------------------------------


def test_templates_are_dependencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    named = beside(Path("mutual/page/document.py"))
    assert {path.suffix for path in named} == {".j2", ".css", ".js"}
    assert named == {path for path in Path("mutual/page").iterdir() if path.suffix in (".j2", ".css", ".js")}
    assert named <= code_of(Path("stages/page.py"))
    assert not beside(Path("mutual/page/run.py"))


def test_it_waits_for_no_network() -> None:
    script = "import sys, stages.page; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "faiss"} & set(done.stdout.split())


def test_what_the_documentation_shows_holds() -> None:
    for block in blocks("docs/page.md", "python"):
        exec(block, {})
