"""Progress: a bar on a terminal, lines where there is none, and a closing line."""

import io
import re
import sys

import pytest

from mutual.base.errors import duration, run
from mutual.base.progress import Progress


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Progress, "_time", property(lambda self: clock, lambda self, _: None), raising=False)
    monkeypatch.setattr(Progress, "monitor_interval", 0)  # a thread that looks at the real time
    return clock


def test_without_a_terminal_a_line_comes_every_half_minute(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    for _ in (bar := Progress(range(200), desc="training", unit="it")):
        bar.note(loss="1.234")
        clock.now += 1.0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 6
    assert lines[0] == "training: 30 of 200 it, 1.00it/s, 02:50 left, loss=1.234"
    assert all(re.fullmatch(r"training: \d+ of 200 it, .+ left, loss=1\.234", line) for line in lines)


def test_every_line_has_the_count_of_its_moment(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """A step that is longer than half a minute, or than those before, is a line by itself, and none comes twice."""
    for _ in Progress(range(8), desc="epochs", unit="epoch"):
        clock.now += 16.0
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"epochs: {n} of 8 epoch" for n in (2, 4, 6, 8)]


def test_what_is_over_sooner_leaves_no_line(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with Progress(total=10, desc="packing", unit="img") as bar:
        for _ in range(10):
            clock.now += 2.0
            bar.update()
    assert capsys.readouterr() == ("", "")


def test_of_work_without_an_end_the_line_says_what_is_done(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with Progress(desc="k-means", unit="it") as bar:
        for _ in range(40):
            clock.now += 1.0
            bar.update()
    assert capsys.readouterr().err == "k-means: 30 it, 1.00it/s\n"


def test_work_that_goes_on_starts_where_it_was(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with Progress(total=100, initial=60, desc="embedding", unit="img") as bar:
        clock.now += 31.0
        bar.update(31)
    assert capsys.readouterr().err == "embedding: 91 of 100 img, 1.00img/s, 00:09 left\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    for _ in (bar := Progress(range(3), desc="training", unit="it")):
        bar.note(loss="0.5")
    shown = screen.getvalue()
    assert "training:   0%|" in shown
    assert "loss=0.5" in shown
    assert "\n" not in shown
    assert shown.split("\r")[-2].strip() == ""


def test_the_closing_line_says_what_was_made_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda: "models/r01")
    run(lambda: None)
    assert re.fullmatch(r"made models/r01 in 0\.\d s\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (725, "12 min 5 s"), (11220, "3 h 7 min")],
)
def test_durations_are_as_exact_as_one_reads_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
