"""What a process says when orbax cannot write: one line of ours, once ``quiet_orbax`` is called."""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest

from deepseq.train.checkpoints import Checkpoints, quiet_orbax

ROOT = Path(__file__).parents[2]


FULL = """
import resource, sys
import jax, jax.numpy as jnp
from deepseq.train.checkpoints import Checkpoints, quiet_orbax
quiet_orbax()
layers = [jnp.zeros(100_000)] * 40  # many arrays are under way when the first one fails
with Checkpoints(sys.argv[1]) as checkpoints:
    assert int(checkpoints.restore({"step": jnp.int32(0), "w": layers})["step"]) == 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        weights = list(jax.random.normal(jax.random.key(0), (40, 100_000)))
        checkpoints.save(30, {"step": jnp.int32(30), "w": weights})
        checkpoints.wait()
    except OSError as error:
        print(error)
"""


def test_a_full_disk_is_one_clear_error_and_the_earlier_checkpoints_stay(tmp_path):
    like = {"step": jnp.int32(0), "w": [jnp.zeros(100_000)] * 40}
    weights = list(jax.random.normal(jax.random.key(1), (40, 100_000)))
    with Checkpoints(tmp_path) as checkpoints:
        for t in (10, 20):
            checkpoints.save(t, {"step": jnp.int32(t), "w": weights})
    full = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "JAX_ENABLE_COMPILATION_CACHE": "false",
        },  # the tests' own, which cannot be written either
    )
    assert full.returncode == 0, full.stderr
    assert full.stderr == ""
    assert (
        full.stdout.count("\n") == 1
        and "cannot write a checkpoint" in full.stdout
        and "make room" in full.stdout
    )
    with Checkpoints(tmp_path) as checkpoints:
        found = checkpoints.restore(like)
    assert int(found["step"]) == 20
    chex.assert_trees_all_equal(found["w"], weights)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "10",
        "20",
    ]  # what was half written is cleaned up


FAILED, LEFT = "Task exception was never retrieved", "Task was destroyed but it is pending!"


@pytest.mark.parametrize(
    "folder, file, told",
    [
        (Path(ocp.__file__).parent, "x", []),
        (ROOT, "30.orbax-checkpoint-tmp/default.orbax-checkpoint-tmp/d/x", [LEFT]),
        (ROOT, "x", [FAILED, LEFT]),
    ],
)
def test_tasks_that_orbax_leaves_behind_are_silent_and_others_are_not(
    tmp_path, caplog, folder, file, told
):
    source = (
        f"async def fail():\n    raise OSError({file!r})\nasync def wait(event):\n    await"
        " event.wait()"
    )
    scope = {}
    # asyncio tells a task by the file of its coroutine
    exec(compile(source, str(folder / "writer.py"), "exec"), scope)
    quiet_orbax()
    with Checkpoints(tmp_path):
        loop = asyncio.new_event_loop()
        tasks = [
            loop.create_task(scope["wait"](asyncio.Event())),
            *(loop.create_task(scope["fail"]()) for _ in range(2)),
        ]
        with pytest.raises(OSError):
            loop.run_until_complete(tasks[1])  # the first failure ends the loop, as in orbax
        loop.close()
        del tasks
        gc.collect()
    lines = [
        record.getMessage().splitlines()[0] for record in caplog.records if record.name == "asyncio"
    ]
    assert sorted(lines) == told


def test_only_quiet_orbax_changes_what_the_process_prints(tmp_path):
    code = """
import logging, sys
from deepseq.train.checkpoints import Checkpoints, quiet_orbax
loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
hooks = lambda: (sys.unraisablehook, *(logger.filters[:] for logger in loggers))
before = hooks()
with Checkpoints(sys.argv[1]):
    pass
assert hooks() == before
quiet_orbax()
assert all(now != then for now, then in zip(hooks(), before))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
