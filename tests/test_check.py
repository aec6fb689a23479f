"""The first stage: what cannot be run is refused before anything is recorded, quickly; what is left over goes."""

import subprocess
import sys
from pathlib import Path

import pytest

from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE
from stages import check

TOP = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_bytes((TOP / "params.yaml").read_bytes())
    (tmp_path / "rounds.yaml").write_text("rounds:\n  r01: r00\n  r02: r01\n")
    for keyword in ("none", "imagenet"):
        (tmp_path / keyword).touch()
    (tmp_path / "mutual/refineries").mkdir(parents=True)
    for file in (TOP / "mutual/refineries").glob("*.py"):
        (tmp_path / "mutual/refineries" / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["check"])
    return tmp_path


def change(old: str, new: str) -> None:
    text = PARAMS_FILE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    PARAMS_FILE.write_text(text.replace(old, new), encoding="utf-8")


def test_what_it_writes_does_not_depend_on_the_parameters(project: Path) -> None:
    """Or every stage would run again for every change."""
    check.main()
    before = check.CHECKED.read_bytes()
    change("\nalpha: ", "\nalpha: 0.5 # ")
    check.main()
    assert check.CHECKED.read_bytes() == before != b""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nlr: ", "\nlearning_rate: 1e-3\nlr: ", r"params\.yaml: learning_rate: unknown parameter"),
        ("\nkeep_features: last", "\nkeep_features: lst", r"params\.yaml: keep_features: "),
        ("\nmethod: mmt", "\nmethod: mtm", r"params\.yaml: method: expected core, coteaching, .* or self, got 'mtm'"),
        ("\nmethod: mmt", "\nmethod: losses", r"params\.yaml: method: expected core, .* or self, got 'losses'"),
        (
            "\n  forget_rate: 0.2",
            "\n  forget_rate: 0.5",
            r"params\.yaml: coteaching\.forget_rate: expected 0\.2 ",
        ),
        ("\n  forget_rate: 0.2", "\n  forget_rate: 1", r"params\.yaml: coteaching\.forget_rate: expected less than 1"),
    ],
)
def test_what_no_stage_reads_is_refused_too(project: Path, old: str, new: str, message: str) -> None:
    change(old, new)
    with pytest.raises(InputError, match=rf"^{message}[^\n]*$"):
        check.main()
    assert not check.CHECKED.exists()


@pytest.mark.parametrize(("method", "refused"), [("mmt", False), ("self", False), ("core", True), ("dmt", True)])
def test_a_method_that_needs_two_networks_says_so(project: Path, method: str, refused: bool) -> None:
    change("\nmethod: mmt", f"\nmethod: {method}")
    change("\n  - 1\n  - 2\n", "\n  - 1\n")
    if not refused:
        check.main()
        return
    with pytest.raises(InputError, match=rf"^params\.yaml: seeds: method {method} needs 2 networks at least, got 1$"):
        check.main()


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("\nsource_root: data/demo/DukeMTMC-reID", "source_root"),
        ("\ntarget_root: data/demo/Market-1501-v15.09.15", "target_root"),
        ("\nweights: none", "weights"),
        ("\npretrained: none", "pretrained"),
    ],
)
def test_what_is_named_and_not_there_is_refused_unless_dvc_can_get_it(project: Path, old: str, key: str) -> None:
    change(old, f"\n{key}: data/raw/mine")
    with pytest.raises(InputError, match=rf"^{key}: data/raw/mine: not found$"):
        check.main()
    (project / "data").mkdir()
    (project / "data/raw.dvc").touch()  # as "dvc add data/raw" writes
    check.main()
    (project / "data/raw.dvc").rename(project / "data/raw")
    with pytest.raises(InputError, match=rf"^{key}: data/raw/mine: not found$"):
        check.main()
    (project / "data/raw").unlink()
    (project / "data/raw/mine").mkdir(parents=True)
    check.main()


def test_rounds_are_checked_too(project: Path) -> None:
    (project / "rounds.yaml").write_text("rounds:\n  r01: r02\n  r02: r01\n")
    with pytest.raises(InputError, match=r"rounds\.yaml: "):
        check.main()


def test_what_seeds_and_rounds_that_are_no_more_have_left_is_removed_and_nothing_else(project: Path) -> None:
    """Folders of peers and results are dependencies as wholes: what lies in them would count as a change."""
    kept = [
        *(
            "models/r00/peer1.safetensors",
            "models/r00/peer2.safetensors",
            "models/r00/peerless",
            "models/r02/peer9.txt",
        ),
        *("models/theirs/peer3.safetensors", "models/r3/x", "metrics/rounds/r00.json", "metrics/rounds/r02.json"),
        *("metrics/rounds/notes.json", "metrics/losses/r01.csv", "metrics/losses/r10.txt", "data/rounds/r02/x"),
        *("data/retrieval/last/x", "data/retrieval/r01/x"),
    ]
    gone = ["models/r00/peer3.safetensors", "models/r00/peer12.safetensors", "models/r03/peer1.safetensors"]
    gone += ["metrics/rounds/r03.json", "metrics/rounds/r110.json", "metrics/losses/r03.csv"]
    gone += ["data/rounds/r03/x", "data/retrieval/r04/x"]
    for name in kept + gone:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    check.main()
    assert [name for name in kept if not (project / name).exists()] == []
    assert [name for name in gone if (project / name).exists()] == []
    assert not (project / "models/r03").exists()


def test_it_waits_for_no_large_library() -> None:
    script = "import sys, stages.check; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "pandas", "scipy", "sklearn", "faiss"} & set(done.stdout.split())
