"""What does not fit the target is refused before any network is trained."""

from pathlib import Path

import pytest

from mutual.base.errors import InputError
from tests.herd import draw_herd, stage


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the herd's 24 pictures are packed."""
    monkeypatch.chdir(tmp_path)
    draw_herd()
    stage(monkeypatch, "prepare --set target")
    return tmp_path


def change(old: str, new: str) -> None:
    text = Path("params.yaml").read_text()
    assert text.count(old) == 1
    Path("params.yaml").write_text(text.replace(old, new))


def test_what_it_writes_does_not_depend_on_what_it_checks(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Path("data/target_checked.txt")
    stage(monkeypatch, "check_target")
    before = checked.read_bytes()
    change("\nclusters: 4", "\nclusters: 24")
    stage(monkeypatch, "check_target")
    assert checked.read_bytes() == before != b""


def test_more_clusters_than_images_are_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change("\nclusters: 4", "\nclusters: 25")
    with pytest.raises(InputError, match=r"^clusters: 25 clusters need as many images, the target's .* set has 24$"):
        stage(monkeypatch, "check_target")
    change("\nclustering: kmeans", "\nclustering: dbscan")
    stage(monkeypatch, "check_target")


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        ("file,pid,camid\n00.png,1,1\n99.png,1,2\n", r"labels\.csv: line 3: '99\.png' is no image of the target"),
        ("file,camid\n00.png,1\n01.png,2\n", r"labels\.csv: expected a column pid"),
        ("file,pid,camid\n00.png,1,1\n01.png,2,2\n", r"labels\.csv: expected two images of a pid"),
    ],
)
def test_a_list_of_something_else_is_refused(
    target: Path, monkeypatch: pytest.MonkeyPatch, listed: str, fault: str
) -> None:
    Path("labels.csv").write_text(listed)
    change("\ntest_labels: none", "\ntest_labels: labels.csv")
    with pytest.raises(InputError, match=f"^{fault}"):
        stage(monkeypatch, "check_target")
    Path("labels.csv").write_text("file,pid,camid\n00.png,1,1\n01.png,1,2\n")
    stage(monkeypatch, "check_target")
