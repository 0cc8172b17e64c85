"""Trainings side by side: in order, stopped at once, their errors told, and none left behind."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepseq.lab.processes import results
from deepseq.train.loop import Interrupted

ROOT = Path(__file__).resolve().parents[2]


def pids(number, seconds, stopping):
    time.sleep(seconds)
    return number, os.getpid(), stopping()


def fails(number, stopping):
    raise ValueError(f"number {number}")


@pytest.mark.parametrize("together", [1, 2])
def test_results_come_in_order(together):
    began, asked = time.monotonic(), []
    found = list(
        results(
            pids, [(n, 0.6 - 0.2 * n) for n in range(3)], together, lambda: bool(asked.append(1))
        )
    )
    assert [number for number, _, _ in found] == [0, 1, 2] and not any(stop for *_, stop in found)
    assert {pid == os.getpid() for _, pid, _ in found} == {together == 1}
    assert asked and time.monotonic() - began < 30


@pytest.mark.parametrize("together", [1, 2])
def test_it_stops_when_asked(together):
    asked = iter([False] * 4 + [True] * 99)
    with pytest.raises(Interrupted, match="run the same command again"):
        list(
            results(
                pids,
                [(n, 0.1 if together == 1 else 60) for n in range(9)],
                together,
                lambda: next(asked),
            )
        )


def hushed(name, stopping):
    return [f.__name__ for f in logging.getLogger(name).filters]


def test_orbax_is_quiet_in_each_process():
    found = list(results(hushed, [("absl",), ("asyncio",)], 2, lambda: False))
    assert found == [["_not_orbax"], ["_not_a_task_of_orbax"]]


def test_an_error_is_the_caller_s():
    with pytest.raises(ValueError, match="number 3"):
        list(results(fails, [(3,), (4,)], 2, lambda: False))


ORPHANS = """
import sys, time
from deepseq.lab.processes import results
sys.path.insert(0, {folder!r})
import napping
if __name__ == "__main__":
    for _ in results(napping.nap, [(1,), (2,)], 2, lambda: False):
        pass
"""


def test_a_killed_parent_leaves_nobody(tmp_path):
    (tmp_path / "napping.py").write_text(
        "import os, pathlib, time\n"
        "def nap(n, stopping):\n"
        f"    pathlib.Path({str(tmp_path)!r}, f'pid{{n}}').write_text(str(os.getpid()))\n"
        "    time.sleep(120)\n"
    )
    script = tmp_path / "main.py"
    script.write_text(ORPHANS.format(folder=str(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    files = [tmp_path / "pid1", tmp_path / "pid2"]
    until = time.monotonic() + 60
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    for pid in (int(file.read_text()) for file in files):
        while (
            Path(f"/proc/{pid}").exists()
            and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
        ):
            assert time.monotonic() < until + 20
            time.sleep(0.1)
