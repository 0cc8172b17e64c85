import os
import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax import Array

from deepseq.train import log as metrics_log
from deepseq.train.checkpoints import CheckpointError, Checkpoints
from deepseq.train.loop import Diverged, Interrupted, fit, interruption, train_in_chunks


@struct.dataclass
class State:
    step: Array
    total: Array


@jax.jit
def step(state, x):
    return State(state.step + 1, state.total + x), {"loss": x, "error": 2 * x}


def run(
    directory,
    *,
    batches=jnp.float32,
    steps=14,
    every=4,
    save_every=4,
    tag=None,
    step=step,
    **options,
):
    tag = {"net": "a"} if tag is None else tag
    with Checkpoints(directory / f"checkpoints-{tag['net']}", keep=9) as checkpoints:
        return fit(
            step,
            State(jnp.int32(0), jnp.float32(0)),
            batches,
            steps=steps,
            every=every,
            save_every=save_every,
            log=directory / "metrics.jsonl",
            tag=tag,
            checkpoints=checkpoints,
            **options,
        )


def records(directory):
    return metrics_log.read(directory / "metrics.jsonl")


def test_records_are_means_on_the_grid_and_at_the_end(tmp_path):
    state = run(tmp_path, observe=lambda state: {"total": state.total})
    assert state == State(14, sum(range(14)))
    assert records(tmp_path) == [
        {"net": "a", "step": 4, "loss": 1.5, "error": 3.0, "total": 6.0},
        {"net": "a", "step": 8, "loss": 5.5, "error": 11.0, "total": 28.0},
        {"net": "a", "step": 12, "loss": 9.5, "error": 19.0, "total": 66.0},
        {"net": "a", "step": 14, "loss": 12.5, "error": 25.0, "total": 91.0},
    ]
    assert sorted(int(p.name) for p in (tmp_path / "checkpoints-a").iterdir()) == [4, 8, 12, 14]


def test_progress_is_told_at_the_start_and_after_each_step(tmp_path):
    told = []
    run(tmp_path, steps=6, tick=told.append)
    assert told == list(range(7))
    run(tmp_path, steps=6, tick=told.append)  # finished
    assert told == [*range(7), 6]


def test_a_run_goes_on_where_it_stopped_and_its_log_is_cut_to_there(tmp_path):
    run(tmp_path, tag={"net": "b"}, steps=4)
    seen = []

    def batches(t):
        seen.append(t)
        return jnp.float32(t)

    with pytest.raises(
        Interrupted, match="net=a: interrupted at step 7; run the same command again"
    ):
        run(tmp_path, batches=batches, every=2, stopping=lambda: len(seen) == 7)
    assert [r["step"] for r in records(tmp_path)] == [4, 2, 4, 6]
    seen.clear()
    state = run(tmp_path, batches=batches, every=2)
    assert seen == list(range(4, 14)) and state == State(14, sum(range(14)))
    assert [r["step"] for r in records(tmp_path)] == [4, 2, 4, 6, 8, 10, 12, 14]


def test_a_loss_that_is_not_finite_stops_the_run_after_its_record(tmp_path):
    for _ in range(2):  # the second time it continues from step 4 and finds the same
        with pytest.raises(Diverged) as error:
            run(tmp_path, batches=lambda t: jnp.float32(np.nan if t == 6 else t))
        assert (
            str(error.value)
            == "net=a: the loss is not finite at step 8; lower the learning rate or warm up"
        )
        assert (error.value.step, error.value.tag) == (8, {"net": "a"})
        assert [r["step"] for r in records(tmp_path)] == [4, 8]
        assert np.isnan(records(tmp_path)[-1]["loss"])
    assert [p.name for p in (tmp_path / "checkpoints-a").iterdir()] == ["4"]


def test_parameters_that_are_not_finite_stop_the_run_though_the_loss_is(tmp_path):
    """The update of step 8 is too large: no loss has seen it, and no checkpoint holds it."""

    def overflow(state, x):
        return State(state.step + 1, state.total + x), {"loss": jnp.float32(1)}

    for _ in range(2):
        with pytest.raises(Diverged, match="the parameters are not finite at step 8") as error:
            run(
                tmp_path,
                batches=lambda t: jnp.float32(np.inf if t == 7 else t),
                step=jax.jit(overflow),
            )
        assert (error.value.step, error.value.tag) == (8, {"net": "a"})
        assert [(r["step"], r["loss"]) for r in records(tmp_path)] == [(4, 1.0), (8, 1.0)]
    assert [p.name for p in (tmp_path / "checkpoints-a").iterdir()] == ["4"]


@pytest.mark.parametrize("name", ["step", "net"])
def test_a_measure_of_a_name_that_is_taken_is_refused(tmp_path, name):
    def measured(state, x):
        return State(state.step + 1, state.total), {"loss": x, name: x}

    with pytest.raises(ValueError, match=f"the step measures {name}, which the record has already"):
        run(tmp_path, step=jax.jit(measured))
    assert not records(tmp_path)


def test_the_host_does_not_run_far_ahead_of_the_device(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(
        jax, "block_until_ready", lambda metrics: events.append(int(metrics["loss"]))
    )
    run(
        tmp_path, steps=30, every=30, save_every=30, tick=lambda done: events.append(("done", done))
    )
    # step 2 is waited for before step 11 counts as taken
    assert events.index(2) < events.index(("done", 11))


@pytest.mark.parametrize("every,save_every", [(4, 6), (4, 0), (0, 4), (4, 2)])
def test_grids_that_do_not_fit_are_refused(tmp_path, every, save_every):
    with pytest.raises(ValueError, match="save_every"):
        run(tmp_path, every=every, save_every=save_every)


def test_a_checkpoint_beyond_the_steps_is_refused(tmp_path):
    run(tmp_path, steps=8)
    with pytest.raises(
        ValueError, match="net=a: the checkpoint is of step 8, beyond the 4 asked for"
    ):
        run(tmp_path, steps=4)
    assert len(records(tmp_path)) == 2


def test_a_log_that_lacks_the_checkpoints_record_is_refused(tmp_path):
    run(tmp_path, steps=8)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(CheckpointError, match="net=a: the record of step 8 is missing"):
        run(tmp_path, steps=14)


def test_an_observation_that_hides_a_measurement_is_refused(tmp_path):
    with pytest.raises(ValueError, match="observe returned loss"):
        run(tmp_path, observe=lambda state: {"loss": 0.0})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_flag_and_the_usual_handlers_come_back(number):
    usual = signal.getsignal(number)
    with interruption() as stopping:
        assert not stopping()
        os.kill(os.getpid(), number)
        assert stopping()
        assert signal.getsignal(number) is usual
    assert signal.getsignal(number) is usual


def test_a_second_ctrl_c_is_immediate():
    # a shell's job in the background ignores Ctrl-C
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interruption():
            # to this thread: two sent to the process can arrive as one
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, found)


def test_the_log_is_on_the_disk_before_a_checkpoint_is_begun(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(metrics_log, "sync", lambda path: events.append("sync"))
    checkpoints = SimpleNamespace(
        restore=lambda like: None,
        save=lambda step, state: events.append(step),
        wait=lambda: events.append("wait"),
    )
    fit(
        step,
        State(jnp.int32(0), jnp.float32(0)),
        jnp.float32,
        steps=6,
        every=2,
        save_every=4,
        log=tmp_path / "metrics.jsonl",
        tag={},
        checkpoints=checkpoints,
    )
    assert events == ["sync", 4, "sync", 6, "wait"]


def test_chunks_are_counted_interrupted_and_continued():
    @jax.jit
    def advance(total, chunk):
        return total + chunk.sum(), {"last": chunk[-1]}

    def chunks(n):
        return jnp.arange(3) + 3 * n

    steps = list(train_in_chunks(advance, jnp.int32(0), chunks, updates=12, every=3))
    assert [done for done, _, _ in steps] == [3, 6, 9, 12]
    assert [int(metrics["last"]) for _, _, metrics in steps] == [2, 5, 8, 11]
    assert int(steps[-1][1]) == 66
    asked = iter([False, False, True])
    stopped = train_in_chunks(
        advance, jnp.int32(0), chunks, updates=12, every=3, stopping=lambda: next(asked)
    )
    *_, (done, state, _) = [next(stopped), next(stopped)]
    with pytest.raises(Interrupted, match="interrupted at step 6"):
        next(stopped)
    rest = list(train_in_chunks(advance, state, chunks, updates=12, every=3, begin=done))
    assert [done for done, _, _ in rest] == [9, 12] and int(rest[-1][1]) == 66
    with pytest.raises(ValueError, match="chunks of 5 do not divide 12"):
        next(train_in_chunks(advance, state, chunks, updates=12, every=5))
