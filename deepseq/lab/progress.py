"""What the terminal shows: a bar with the time left while a study runs, and its verdicts at the
end.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from deepseq.lab import report

__all__ = ["Tick", "bar", "verdicts"]

Tick = Callable[[float, str], None]
_COLOURS = {"holds": "green", "refuted": "red", "undecided": "yellow"}


@contextlib.contextmanager
def bar(total: float, *, every: float = 10.0) -> Iterator[Tick]:
    """Shows how far a study is; yields ``tick(done, label)``, where ``done`` of ``total`` is all
    work so far.

    The first tick of a label says where that part starts: what a checkpoint already holds must not
    pass for fast work when the time left is worked out. Work may be weighted by its cost. Where the
    output is no terminal, a line is printed every ``every`` seconds at most."""
    left = _time_left(total)
    console = Console()
    if not console.is_terminal:
        yield _lines(total, every, left)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=total, left="")
        yield lambda done, label: progress.update(
            task, completed=done, description=escape(label), left=left(done, label)
        )


def verdicts(result: Mapping[str, Any], figures: Mapping[str, Path], html: Path) -> None:
    """Prints a result's verdict table, and where the figures and the report are."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 120)
    seeds = len(result["seeds"])
    table = Table(
        title=f"{result['experiment']}, {result['tier']}, {seeds} seed{'s' if seeds > 1 else ''}"
    )
    for heading in ("", "claim", "verdict", "statistic", "95 % interval"):
        table.add_column(heading, no_wrap=heading in ("", "verdict"))
    for claim in result["claims"]:
        interval = "" if claim["interval"] is None else report.interval(claim["interval"])
        verdict = f"[{_COLOURS.get(claim['verdict'], 'default')}]{claim['verdict']}[/]"
        table.add_row(
            escape(claim["id"]),
            escape(claim["claim"]),
            verdict,
            escape(f"{claim['statistic']}; claimed {claim['criterion']}"),
            interval,
        )
    console.print(table)
    for path in figures.values():
        print(f"figure  {path}")
    print(f"report  {html}")


def _time_left(total: float) -> Callable[[float, str], str]:
    """The time left, from the work done since the bar was opened."""
    began, before, worked, current = time.monotonic(), 0.0, 0.0, None

    def left(done: float, label: str) -> str:
        nonlocal before, worked, current
        if label == current:
            worked += done - before
        before, current = done, label
        if worked < 0.02 * total or done >= total:  # the first steps are mostly compilation
            return ""
        return (
            f"{report.duration(round((time.monotonic() - began) / worked * (total - done)))} left"
        )

    return left


def _lines(total: float, every: float, left: Callable[[float, str], str]) -> Tick:
    last = time.monotonic()

    def tick(done: float, label: str) -> None:
        nonlocal last
        remaining = left(done, label)
        if time.monotonic() - last >= every:
            last = time.monotonic()
            print(
                f"{label}: {100 * done / total:.0f} %" + (f", {remaining}" if remaining else ""),
                flush=True,
            )

    return tick
