import io
from pathlib import Path

import pytest
from rich.console import Console

from deepseq.lab import progress


class Clock:
    """A time that tests set."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_the_time_left_counts_only_the_work_of_this_session(clock):
    left = progress._time_left(1000)
    assert left(500, "seed 0") == ""  # restored from a checkpoint
    clock.now = 10.0
    assert left(600, "seed 0") == "40 s left"
    assert left(800, "seed 1") == "20 s left"  # the first of a label: restored again
    clock.now = 20.0
    assert left(900, "seed 1") == "10 s left"
    assert left(1000, "seed 1") == ""


def test_without_a_terminal_a_line_now_and_then(clock, capsys):
    with progress.bar(100) as tick:
        for done in range(101):
            clock.now = done / 4
            tick(done, "plain-20, seed 0")
    assert capsys.readouterr().out.splitlines() == [
        "plain-20, seed 0: 40 %, 15 s left",
        "plain-20, seed 0: 80 %, 5 s left",
    ]


def test_a_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        progress, "Console", lambda: Console(file=screen, force_terminal=True, width=100)
    )
    with progress.bar(2) as tick:
        for done in range(3):
            tick(done, "net [A], seed 0")
    assert "net [A], seed 0" in screen.getvalue() and "100%" in screen.getvalue()


def test_the_verdict_table(capsys):
    claim = {
        "id": "C-R1a",
        "claim": "deeper [plain] nets train worse",
        "verdict": "holds",
        "statistic": "difference",
        "criterion": "> 0",
    }
    claims = [
        claim | {"interval": [0.25, 0.5]},
        claim | {"id": "C-R4", "verdict": "undecided", "interval": None},
    ]
    result = {"experiment": "degradation", "tier": "smoke", "seeds": [0], "claims": claims}
    progress.verdicts(result, {"figure": Path("runs/a/figure.png")}, Path("runs/a/report.html"))
    out = capsys.readouterr().out
    for text in (
        "degradation, smoke, 1 seed",
        "C-R1a",
        "deeper [plain] nets train worse",
        "holds",
        "undecided",
        "0.25",
        "claimed > 0",
    ):
        assert text in out
    assert out.endswith("figure  runs/a/figure.png\nreport  runs/a/report.html\n")
