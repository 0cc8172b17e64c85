import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepseq.train import sequences
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.loop import fit
from deepseq.train.state import init_state

RNG = np.random.default_rng(0)
XS = RNG.normal(size=(6, 8, 3)).astype(np.float32)  # steps, batch, inputs
YS = RNG.normal(size=(6, 8)).astype(np.float32)


def loss(params, batch):
    x, y = batch
    error = x @ params["w"] + params["b"] - y
    return jnp.mean(error**2), {"largest": jnp.abs(error).max()}


def params():
    return {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.zeros(())}


def numpy_step(w, b, x, y, rate, threshold):
    error = x @ w + b - y
    dw, db = 2 * x.T @ error / len(y), 2 * error.mean()
    norm = np.sqrt((dw**2).sum() + db**2)
    scale = min(1.0, threshold / norm)
    return (
        w - rate * scale * dw,
        b - rate * scale * db,
        np.mean(error**2),
        norm,
        np.abs(error).max(),
    )


@pytest.mark.parametrize("threshold", [0.3, np.inf])
def test_steps_equal_the_same_steps_in_numpy(threshold):
    optimizer = sequences.clipped(optax.sgd(0.1), threshold)
    step = jax.jit(sequences.sequence_step(loss, optimizer))
    state = init_state(params(), optimizer)
    w, b = np.array([1.0, -2.0, 0.5]), 0.0
    for t in range(6):
        w, b, value, norm, largest = numpy_step(
            w, b, XS[t].astype(float), YS[t].astype(float), 0.1, threshold
        )
        state, metrics = step(state, (XS[t], YS[t]))
        assert set(metrics) == {"loss", "gradient_norm", "finite", "largest"} and bool(
            metrics["finite"]
        )
        found = [metrics[key] for key in ("loss", "gradient_norm", "largest")]
        np.testing.assert_allclose(found, [value, norm, largest], rtol=1e-5)
        np.testing.assert_allclose(state.params["w"], w, rtol=1e-5)
        np.testing.assert_allclose(state.params["b"], b, rtol=1e-5)
    assert int(state.step) == 6 and norm > 0.3  # so that the clipping case clipped


def test_a_scan_over_stacked_runs_equals_the_runs_one_by_one():
    def run(rate, threshold, start):
        optimizer = sequences.clipped(optax.adam(rate), threshold)
        return jax.lax.scan(
            sequences.sequence_step(loss, optimizer), init_state(start, optimizer), (XS, YS)
        )

    rates, thresholds = jnp.array([0.1, 0.2, 0.1]), jnp.array([0.5, 0.5, jnp.inf])
    starts = jax.tree.map(lambda p: jnp.stack([p, 2 * p, p]), params())
    together = jax.jit(jax.vmap(run))(rates, thresholds, starts)
    for n in range(3):
        alone = jax.jit(run)(rates[n], thresholds[n], jax.tree.map(lambda p, n=n: p[n], starts))
        chex.assert_trees_all_close(jax.tree.map(lambda a, n=n: a[n], together), alone, rtol=1e-5)
    assert not np.allclose(together[0].params["w"][0], together[0].params["w"][2])


def test_divergence_is_recorded_and_stays_with_its_run():
    """The second run's rate makes its parameters overflow; the first does not notice."""

    def run(rate):
        optimizer = sequences.clipped(optax.sgd(rate), jnp.inf)
        steps = 10 * (jnp.arange(40)[:, None, None] >= 0) * XS[0], jnp.tile(YS[0], (40, 1))
        return jax.lax.scan(
            sequences.sequence_step(loss, optimizer), init_state(params(), optimizer), steps
        )

    states, metrics = jax.jit(jax.vmap(run))(jnp.array([1e-3, 10.0]))
    steps = [sequences.ended(row) for row in metrics["finite"]]
    assert steps[0] is None and 0 < steps[1] < 39
    assert (
        np.isfinite(metrics["loss"][0]).all() and np.isfinite(metrics["loss"][1, : steps[1]]).all()
    )
    assert not np.isfinite(metrics["loss"][1, steps[1] + 1 :]).any()  # nothing is repaired
    assert np.isfinite(states.params["w"][0]).all() and np.isnan(states.params["w"][1]).all()


def test_clipping_does_not_hide_a_gradient_that_is_not_finite():
    optimizer = sequences.clipped(optax.sgd(0.1), 1.0)
    x = XS[0].copy()
    x[0, 0] = np.inf
    state, metrics = sequences.sequence_step(loss, optimizer)(
        init_state(params(), optimizer), (x, YS[0])
    )
    assert not metrics["finite"] and np.isnan(state.params["w"]).any()


def test_another_direction_than_the_gradient():
    def gradient(params, batch):
        return loss(params, batch), jax.tree.map(jnp.ones_like, params)

    optimizer = optax.sgd(0.5)
    state, metrics = sequences.gradient_step(gradient, optimizer)(
        init_state(params(), optimizer), (XS[0], YS[0])
    )
    np.testing.assert_allclose(state.params["w"], params()["w"] - 0.5)
    assert (
        metrics["gradient_norm"] == pytest.approx(2.0)
        and metrics["loss"] == loss(params(), (XS[0], YS[0]))[0]
    )


def test_the_loop_takes_the_step(tmp_path):
    optimizer = sequences.clipped(optax.sgd(0.1), 1.0)
    step = jax.jit(sequences.sequence_step(loss, optimizer), donate_argnums=0)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        state = fit(
            step,
            init_state(params(), optimizer),
            lambda t: (XS[t], YS[t]),
            steps=6,
            every=3,
            save_every=6,
            log=tmp_path / "log",
            tag={},
            checkpoints=checkpoints,
        )
    assert int(state.step) == 6 and len((tmp_path / "log").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "finite, steps", [([1, 1, 1], None), ([1, 0, 1], 1), ([0, 0], 0), ([1, 1, 0], 2)]
)
def test_where_a_run_ended(finite, steps):
    assert sequences.ended(np.array(finite, bool)) == steps


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_is_above_zero(threshold):
    with pytest.raises(ValueError, match="must be above 0"):
        sequences.clipped(optax.sgd(0.1), threshold)
