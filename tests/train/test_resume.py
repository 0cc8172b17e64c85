"""Runs survive: killed at any instant and continued, a run ends with the same log and the same
bits.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("tiny_run.py")
ROOT = SCRIPT.parents[2]


def start(directory, *args):
    command = [sys.executable, "-W", "error", str(SCRIPT), str(directory), *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(directory):
    process = start(directory)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""  # nothing chatters


def read(directory):
    states = [dict(np.load(directory / f"state-{seed}.npz")) for seed in range(2)]
    return (directory / "metrics.jsonl").read_bytes(), [
        x.tobytes() for state in states for x in state.values()
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    finish(directory)
    assert read(directory)[0].count(b"\n") == 2 * 18
    return directory


def test_killed_at_random_instants_ends_with_the_same_bits(tmp_path, undisturbed):
    instants = random.Random(0)
    for _ in range(4):
        process = start(tmp_path, 0.02)
        # after the first step, or at the end if there was nothing left to do
        process.stdout.readline()
        time.sleep(instants.uniform(0.0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    finish(tmp_path)
    assert read(tmp_path) == read(undisturbed)


def test_terminated_stops_cleanly_and_continues(tmp_path, undisturbed):
    process = start(tmp_path, 0.02)
    assert process.stdout.readline()
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        errors.count("\n") == 1
        and "interrupted at step" in errors
        and "run the same command again" in errors
    )
    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert before and read(undisturbed)[0].startswith(before)  # whole records, none lost
    finish(tmp_path)
    assert read(tmp_path) == read(undisturbed)


def test_a_finished_run_is_left_as_it_is(tmp_path, undisturbed):
    directory = shutil.copytree(undisturbed, tmp_path / "copy")
    finish(directory)
    assert read(directory) == read(undisturbed)
