"""The parts of the long-dependencies study: its cells, its regulariser, its batches and costs."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets import recurrent
from experiments.long_dependencies import cells
from experiments.long_dependencies.regulariser import omega, regularised
from experiments.long_dependencies.tasks import chunk, length, problem

RNG = np.random.default_rng(0)


def test_the_tied_cell_is_its_equation():
    params = cells.initial("tied", jax.random.key(0), 3, 4, 0.0)
    chex.assert_shape(tuple(params), [(3, 8), (4, 8), (8,)])
    xs, c = RNG.normal(size=(5, 3)), np.zeros(4)
    wx, wh, b = (np.asarray(p, float) for p in params)
    for x in xs:
        a = x @ wx + np.tanh(c) @ wh + b
        f, g = 1 / (1 + np.exp(-a[:4])), np.tanh(a[4:])
        c = f * c + (1 - f) * g
    hs = cells.states("tied", params, jnp.asarray(xs, jnp.float32)[:, None])
    np.testing.assert_allclose(hs[-1, 0], np.tanh(c), rtol=1e-5)


@pytest.mark.parametrize(
    "cell, layer", [("rnn", recurrent.rnn), ("lstm", recurrent.lstm), ("gru-wide", recurrent.gru)]
)
def test_states_equal_the_fast_forms(cell, layer):
    params = cells.initial(cell, jax.random.key(1), 3, 5, 1.0)
    xs = jnp.asarray(RNG.normal(size=(7, 2, 3)), jnp.float32)
    np.testing.assert_allclose(
        cells.states(cell, params, xs), layer(params, xs)[1], rtol=1e-5, atol=1e-6
    )


def test_starts_of_the_cells():
    irnn = cells.initial("irnn", jax.random.key(0), 3, 5, 0.0)
    np.testing.assert_array_equal(irnn.wh, np.eye(5))
    assert not np.asarray(irnn.b).any() and np.asarray(irnn.wx).std() > 0.1
    lstm = cells.initial("lstm", jax.random.key(0), 3, 5, 2.5)
    np.testing.assert_array_equal(lstm.b[5:10], np.full(5, 2.5))
    hs = cells.states("irnn", irnn, jnp.ones((4, 1, 3)))  # it counts
    np.testing.assert_allclose(hs[3], 4 * np.maximum(np.ones((1, 3)) @ irnn.wx, 0), rtol=1e-5)
    rotation = cells.initial(cells.ROTATION, jax.random.key(0), 3, 5, 0.0)
    square = cells.RADIUS**2 * np.eye(5)
    np.testing.assert_allclose(rotation.wh @ rotation.wh.T, square, atol=1e-6)


@pytest.mark.parametrize("inputs, outputs", [(1, 2), (2, 1), (6, 4), (10, 9)])
def test_counts(inputs, outputs):
    assert 4 * cells.torch_count("gru", 32, inputs) == 3 * cells.torch_count("lstm", 32, inputs)
    assert cells.torch_count("lstm", 32, inputs) == 4 * (32 * inputs + 32 * 32 + 2 * 32)
    wide = cells.width("gru-wide", 32, inputs, outputs)
    like = cells.parameters("lstm", 32, inputs, outputs)
    assert like == 4 * 32 * (inputs + 32 + 1) + 33 * outputs
    distance = [
        abs(cells.parameters("gru", units, inputs, outputs) - like)
        for units in (wide - 1, wide, wide + 1)
    ]
    assert min(distance) == distance[1] and wide > 32 and distance[1] < 0.03 * like


def test_trainings_that_differ_in_numbers_share_a_program():
    task, seeds = problem("order", 10), (0, 1)
    batches = chunk(task, seeds, 10, 0, 3, 2)
    chex.clear_trace_counter()
    counted = task._replace(encode=chex.assert_max_traces(lambda xs: task.encode(xs), n=1))
    program = cells.program(counted, cells.ROTATION, 4, "sgd")
    norms, ends = {}, {}
    ways = {"sgd": (0.1, math.inf, 0.0), "sgd-c": (0.1, 1e-3, 0.0), "sgd-cr": (0.1, 1e-3, 1.0)}
    for name, settings in ways.items():
        state = program.start(np.array(seeds, np.uint32), 0.0)
        state, metrics = program.advance(cells.Settings(*settings), state, batches)
        chex.assert_shape((metrics["loss"], metrics["gradient_norm"], metrics["finite"]), (2, 3))
        chex.assert_tree_all_finite((state.params, metrics))
        norms[name], ends[name] = metrics["gradient_norm"], state.params[0].wh
    np.testing.assert_allclose(norms["sgd"][:, 0], norms["sgd-c"][:, 0])  # before clipping
    assert np.abs(norms["sgd-cr"][:, 0] - norms["sgd-c"][:, 0]).min() > 1e-3
    start = program.start(np.array(seeds, np.uint32), 0.0).params[0].wh
    far, near = (np.abs(ends[name] - start).max() for name in ("sgd", "sgd-c"))
    assert near < 4e-4 < far


def squared(readout, hs, targets):
    return jnp.mean((hs[-1] @ readout - targets) ** 2), {}


def small_rnn():
    rnn = recurrent.rnn_init(jax.random.key(0), 2, 4)
    xs, targets, readout = (
        jnp.asarray(RNG.normal(size=size), jnp.float32) for size in ((6, 3, 2), (3,), (4,))
    )
    return (rnn, readout), (xs, targets)


def test_a_regulariser_of_no_weight_leaves_the_gradient():
    params, batch = small_rnn()
    (value, metrics), gradient = jax.jit(regularised(squared, 0.0))(params, batch)

    def plain(params):
        return squared(params[1], recurrent.rnn(params[0], batch[0])[1], batch[1])[0]

    expected, slope = jax.value_and_grad(plain)(params)
    assert float(value) == pytest.approx(float(expected), rel=1e-6) and set(metrics) == {"omega"}
    chex.assert_trees_all_close(gradient, slope, rtol=1e-4, atol=1e-6)


def numpy_omega(wh, hs, readout, targets):
    """Equation 9 step by step and sequence by sequence, with dE/dh from the chain rule by hand."""
    terms, (steps, batch, _) = [], hs.shape
    for n in range(batch):
        delta = 2 * (hs[-1, n] @ readout - targets[n]) * readout / batch
        for k in range(steps - 2, -1, -1):
            # of h_(k+1) to h_k, as a row vector meets it
            jacobian = np.diag(1 - hs[k + 1, n] ** 2) @ wh.T
            terms.append((np.linalg.norm(delta @ jacobian) / np.linalg.norm(delta) - 1) ** 2)
            delta = delta @ jacobian
    return np.mean(terms)


def test_omega_is_equation_9_and_its_derivative_the_immediate_one():
    params, batch = small_rnn()
    (_, metrics), with_term = regularised(squared, 2.0)(params, batch)
    _, without = regularised(squared, 0.0)(params, batch)
    wh, readout = np.asarray(params[0].wh, float), np.asarray(params[1], float)
    hs = np.asarray(recurrent.rnn(params[0], batch[0])[1], float)
    targets = np.asarray(batch[1], float)
    assert metrics["omega"] == pytest.approx(numpy_omega(wh, hs, readout, targets), rel=1e-4)

    # h and dE/dh fixed: perturb only the W of the one step that the ratio is of
    deltas = np.zeros_like(hs)
    deltas[-1] = 2 * (hs[-1] @ readout - targets)[:, None] * readout / 3
    for k in range(4, -1, -1):
        deltas[k] = (deltas[k + 1] * (1 - hs[k + 1] ** 2)) @ wh.T

    def at(w):
        back = np.linalg.norm((deltas[1:] * (1 - hs[1:] ** 2)) @ w.T, axis=-1)
        return np.mean((back / np.linalg.norm(deltas[1:], axis=-1) - 1) ** 2)

    added = np.asarray(with_term[0].wh - without[0].wh)
    for i, j in ((0, 0), (1, 3), (3, 2)):
        nudge = 1e-5 * np.eye(4)[:, [i]] * np.eye(4)[[j]]
        slope = (at(wh + nudge) - at(wh - nudge)) / 2e-5
        assert added[i, j] == pytest.approx(2 * slope, rel=1e-2, abs=1e-5)
    others = [(grads[0].wx, grads[0].b, grads[1]) for grads in (with_term, without)]
    chex.assert_trees_all_equal(*others)


@pytest.mark.parametrize("radius", [1.0, 0.9, 1.2])
def test_omega_of_a_scaled_rotation_near_zero(radius):
    wh = recurrent.orthogonal(radius)(jax.random.key(0), (4, 4))
    deltas = jnp.asarray(RNG.normal(size=(6, 3, 4)), jnp.float32)
    assert omega(wh, jnp.zeros((6, 3, 4)), deltas) == pytest.approx((radius - 1) ** 2, abs=1e-6)


def test_omega_where_the_error_is_gone():
    value, slope = jax.value_and_grad(omega)(jnp.eye(4), jnp.zeros((6, 3, 4)), jnp.zeros((6, 3, 4)))
    assert value == 0 and np.array_equal(slope, np.zeros((4, 4)))


@pytest.mark.parametrize("task, lag", [("adding", 4), ("copy", 2), ("order", 10), ("echo", 3)])
def test_batches_are_a_function_of_seed_lag_and_place(task, lag):
    drawn = problem(task, lag)
    xs, targets = chunk(drawn, (3, 5), lag, 7, 4, 2)
    again, _ = chunk(drawn, (5,), lag, 7, 4, 2)
    chex.assert_tree_shape_prefix((xs, targets), (2, 4))
    chex.assert_axis_dimension(xs, 3, 2)
    chex.assert_axis_dimension(targets, -1, 2)
    assert xs.shape[2] == length(task, lag)
    np.testing.assert_array_equal(xs[1], again[0])
    assert not np.array_equal(xs[0], xs[1])
    assert not np.array_equal(xs, chunk(drawn, (3, 5), lag, 8, 4, 2)[0])
    chex.assert_shape(drawn.encode(jnp.asarray(xs[0, 0])), (xs.shape[2], 2, drawn.inputs))
    if task == "adding":  # the rows still belong together
        np.testing.assert_allclose(targets, (xs[..., 0] * xs[..., 1]).sum(2), rtol=1e-6)
    if task == "copy":
        np.testing.assert_array_equal(targets[:, :, -10:], xs[:, :, :10])


@pytest.mark.parametrize("task, lag", [("adding", 4), ("copy", 2), ("order", 10), ("echo", 3)])
def test_costs_of_answers_without_memory_are_the_baselines(task, lag):
    """A readout that ignores its hidden state: exactly the baseline for fair symbols, its
    expectation for numbers.
    """
    drawn = problem(task, lag)
    xs, targets = (array[0, 0] for array in chunk(drawn, (0,), lag, 0, 1, 4000))
    bias = np.ones(1) if task == "adding" else np.zeros(drawn.outputs)
    hs = np.zeros((len(xs), 4000, 1), np.float32)
    w = np.zeros((1, drawn.outputs), np.float32)
    if task == "copy":  # the one task where time is to be known: blanks first, then a guess
        hs[: lag + 10], w[0, 8] = 1, 200.0
        bias = np.where(np.arange(9) == 8, -100.0, 0.0)
    value, _ = drawn.cost((w, bias.astype(np.float32)), jnp.asarray(hs), jnp.asarray(targets))
    assert float(value) == pytest.approx(drawn.baseline, rel=0.05 if task == "adding" else 1e-5)
