"""Recurrent nets against NumPy loops: values and gradients, float64, and every edge of a padded
batch.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets import recurrent as R
from tests.nets.recurrent.recurrent_oracles import CELLS, INITS, LAYERS, close, draw, loop, scalar

KINDS = ("rnn", "lstm", "gru")
LENGTHS = np.array([11, 0, 7, 1])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def unrolled(kind, **options):
    return lambda params, carry, xs: R.unroll(CELLS[kind], params, carry, xs, **options)


def fast(kind, **options):
    return lambda params, carry, xs: LAYERS[kind](params, xs, carry, **options)


def gradients(f):
    return jax.jit(jax.grad(lambda *args: scalar(f(*args)), argnums=(0, 1, 2)))


def values_and_gradients(f):
    def total(*args):
        out = f(*args)
        return scalar(out), out

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("lengths", (None, LENGTHS), ids=("whole", "lengths"))
@pytest.mark.parametrize("kind", KINDS)
def test_values_equal_the_loop_and_gradients_its_finite_differences(kind, lengths, reverse):
    args, options = draw(kind), {"lengths": lengths, "reverse": reverse}
    expected = loop(kind, *args, lengths, reverse)
    (_, values), plain = values_and_gradients(unrolled(kind, **options))(*args)
    close(values, expected)
    # where no gradient is asked for, another function runs
    close(jax.jit(fast(kind, **options))(*args), expected)
    for form in (fast(kind, **options), unrolled(kind, **options, chunk=4)):
        (_, values), slopes = values_and_gradients(form)(*args)
        close(values, expected)
        close(slopes, plain)

    direction = jax.tree.map(lambda a: np.sin(np.arange(a.size)).reshape(a.shape), args)
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), plain, direction)))
    up, down = (jax.tree.map(lambda a, d, s=s: a + s * 1e-5 * d, args, direction) for s in (1, -1))
    difference = (
        scalar(loop(kind, *up, lengths, reverse)) - scalar(loop(kind, *down, lengths, reverse))
    ) / 2e-5
    np.testing.assert_allclose(along, difference, rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_wide_inputs_are_projected_outside_the_loop_alike(kind, monkeypatch):
    args = draw(kind)
    plain = gradients(fast(kind, lengths=LENGTHS))(*args)
    monkeypatch.setattr("deepseq.nets.recurrent.fused._IN_CACHE", 1)
    jax.clear_caches()
    close(gradients(fast(kind, lengths=LENGTHS))(*args), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind):
    params, carry, xs = draw(kind, steps=4, batch=(2,), hidden=3)

    def slope(form, xs):
        return (jax.grad(lambda xs: scalar(form(kind)(params, carry, xs)))(xs) ** 2).sum()

    close(
        *(jax.jit(jax.grad(functools.partial(slope, form)))(xs) for form in (fast, unrolled)), 1e-10
    )


@pytest.mark.parametrize("activation", (jax.nn.relu, jax.nn.sigmoid, jnp.sin))
def test_any_activation(activation):
    params, carry, xs = draw("rnn")
    cell = functools.partial(R.rnn_cell, activation=activation)
    close(
        gradients(lambda p, c, x: R.rnn(p, x, c, activation=activation))(params, carry, xs),
        gradients(lambda p, c, x: R.unroll(cell, p, c, x))(params, carry, xs),
    )


@pytest.mark.parametrize("form", (unrolled, fast))
@pytest.mark.parametrize("kind", KINDS)
def test_padding_reaches_nothing(kind, form):
    params, carry, xs = draw(kind)
    poisoned = np.where(np.arange(len(xs))[:, None, None] < LENGTHS[:, None], xs, np.nan)
    values, slopes = jax.jit(form(kind, lengths=LENGTHS)), gradients(form(kind, lengths=LENGTHS))
    (clean, dirty), (of_clean, of_dirty) = (
        [f(params, carry, x) for x in (xs, poisoned)] for f in (values, slopes)
    )
    close(dirty, clean, 0)
    close(of_dirty, of_clean, 0)
    ys, dxs = clean[1], of_clean[2]
    for b, length in enumerate(LENGTHS):
        assert not ys[length:, b].any() and not dxs[length:, b].any()
    # length 0
    jax.tree.map(
        lambda end, start: np.testing.assert_array_equal(end[1], start[1]), clean[0], carry
    )


@pytest.mark.parametrize("form", (unrolled, fast))
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_is_not_finite_in_the_padding_changes_nothing(kind, form):
    params, carry, xs = draw(kind)
    (_, ys), back = jax.vjp(form(kind, lengths=LENGTHS), params, carry, xs)
    dys = np.where(np.arange(len(xs))[:, None, None] < LENGTHS[:, None], np.cos(ys), np.nan)
    still = jax.tree.map(jnp.ones_like, carry)
    close(back((still, jnp.asarray(dys))), back((still, jnp.nan_to_num(dys))), 0)


def test_an_activation_undefined_in_the_padding_changes_nothing():
    # sqrt of a negative number where x = 0
    params = R.RNN(jnp.ones((2, 3)), jnp.full((3, 3), -0.1), jnp.zeros(3))
    xs = 1 + jax.random.uniform(jax.random.key(0), (5, 2, 2))

    def loss(params, xs, lengths=None):
        return R.rnn(params, xs, lengths=lengths, activation=jnp.sqrt)[1].sum()

    together = jax.grad(loss)(params, xs, np.array([5, 3]))
    alone = [jax.grad(loss)(params, xs[:length, b : b + 1]) for b, length in enumerate((5, 3))]
    close(together, jax.tree.map(jnp.add, *alone))


@pytest.mark.parametrize("kind", KINDS)
def test_two_batch_dimensions_none_and_lengths_under_jit(kind):
    params, carry, xs = draw(kind, batch=(2, 3))
    lengths = np.array([[11, 0, 4], [5, 11, 1]])
    flat = loop(
        kind,
        params,
        jax.tree.map(lambda s: s.reshape(6, -1), carry),
        xs.reshape(11, 6, -1),
        lengths.ravel(),
    )
    flat = jax.tree.map(lambda s: s.reshape(2, 3, -1), flat[0]), flat[1].reshape(11, 2, 3, -1)
    for form in (unrolled, fast):
        close(
            jax.jit(lambda c, x, n, form=form: form(kind, lengths=n)(params, c, x))(
                carry, xs, lengths
            ),
            flat,
        )
        one = form(kind)(params, jax.tree.map(lambda s: s[0, 0], carry), xs[:, 0, 0])
        close(one, jax.tree.map(lambda s: s[0, 0], loop_two(kind, params, carry, xs)))


def loop_two(kind, params, carry, xs):
    end, ys = loop(kind, params, jax.tree.map(lambda s: s[0], carry), xs[:, 0])
    return jax.tree.map(lambda s: s[None], end), np.moveaxis(ys, 0, 1)[None]


@pytest.mark.parametrize("kind", KINDS)
def test_reset_starts_anew(kind):
    params, carry, xs = draw(kind)
    reset = np.random.default_rng(1).random((11, 4)) < 0.3
    for lengths, reverse in ((None, False), (LENGTHS, True)):
        ours = unrolled(kind, reset=reset, lengths=lengths, reverse=reverse)(params, carry, xs)
        close(ours, loop(kind, params, carry, xs, lengths, reverse, reset))
    started = unrolled(kind, reset=np.ones((11, 4), bool), initial=carry)(params, carry, xs)[1]
    close(started[5], CELLS[kind](params, carry, xs[5])[1])


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_sequence_and_a_single_step(kind):
    params, carry, xs = draw(kind)
    for form in (unrolled, fast):
        end, ys = form(kind)(params, carry, xs[:0])
        close(end, carry, 0)
        assert ys.shape == (0, 4, 5)
        close(form(kind)(params, carry, xs[:1]), loop(kind, params, carry, xs[:1]))


@pytest.mark.parametrize("kind", KINDS)
def test_carries_and_gates_on_request(kind):
    params, carry, xs = draw(kind)
    _, (carries, ys) = R.unroll(R.with_carries(CELLS[kind]), params, carry, xs)
    assert jax.tree.leaves(carries)[0].shape == (11, 4, 5)
    close(jax.tree.map(lambda s: s[6], carries), loop(kind, params, carry, xs[:7])[0])
    if kind == "rnn":
        return
    gates = {"lstm": R.lstm_gates, "gru": R.gru_gates}[kind]
    _, (seen, zs) = R.unroll(R.with_gates(CELLS[kind], gates), params, carry, xs)
    close(zs, ys)
    before = jax.tree.map(lambda s: s[3], carries)
    close(jax.tree.map(lambda s: s[4], seen), gates(params, before, xs[4]))


def test_dropout_between_layers():
    layers = tuple(INITS["lstm"](jax.random.key(i), d, 64) for i, d in enumerate((8, 64, 64)))
    xs = np.ones((20, 3, 8))
    key = jax.random.key(3)
    none, still = (
        R.stack(R.lstm, drop)(layers, xs, key=k)[1]
        for drop, k in ((None, key), (R.each_step(0.5), None))
    )
    close(none, still)
    ones = np.ones((1000, 5, 64))
    each, whole = (drop(0.3)(key, ones) for drop in (R.each_step, R.whole_sequence))
    for dropped in (each, whole):
        close(np.unique(dropped), np.array([0, 1 / 0.7]))
    np.testing.assert_allclose(each.mean(), 1, atol=0.01)
    assert (np.ptp(whole, axis=0) == 0).all() and (np.ptp(each, axis=0) > 0).all()
    moved = R.stack(R.lstm, R.whole_sequence(0.5))(layers, xs, key=key)[1]
    assert np.abs(moved - none).max() > 1e-3
    expected = R.whole_sequence(0.5)(jax.random.fold_in(key, 1), R.lstm(layers[0], xs)[1])
    close(
        R.stack(R.lstm, R.whole_sequence(0.5))(layers[:2], xs, key=key)[1],
        R.lstm(layers[1], expected)[1],
    )
    with pytest.raises(ValueError, match="rate is 1"):
        R.each_step(1)


def test_dropped_state_and_learned_carry():
    params, carry, xs = draw("lstm")
    keep = np.random.default_rng(0).random((4, 5)) < 0.5
    dropped = R.with_dropped_state(R.lstm_cell, keep)
    close(
        dropped(params, carry, xs[0]), R.lstm_cell(params, carry._replace(h=carry.h * keep), xs[0])
    )
    start = R.LSTMState(np.arange(5.0), np.ones(5))
    wide = R.learned_carry(start, (4,))
    assert wide.h.shape == (4, 5)
    g = jax.grad(lambda s: scalar(R.lstm(params, xs, R.learned_carry(s, (4,)))))(start)
    each = jax.grad(lambda s: scalar(R.lstm(params, xs, s)))(wide)
    close(g, jax.tree.map(lambda s: s.sum(0), each))


@pytest.mark.parametrize("kind", KINDS)
def test_initialisation(kind):
    blocks = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    params = INITS[kind](jax.random.key(0), 300, 200)
    assert params.wx.shape == (300, blocks * 200) and params.wh.shape == (200, blocks * 200)
    bound = 200**-0.5
    assert 0.99 * bound < np.abs(params.wh).max() <= bound
    np.testing.assert_allclose(params.wx.std(), bound / 3**0.5, rtol=0.02)
    for draw_wh, singular in ((R.orthogonal(0.9), 0.9), (R.identity(1.1), 1.1)):
        drawn = INITS[kind](jax.random.key(0), 3, 16, recurrence=draw_wh)
        for block in np.split(drawn.wh, blocks, axis=1):
            close(np.linalg.svd(block)[1], np.full(16, singular), 1e-6)
        assert not drawn[2].any()
    if kind == "lstm":
        b = R.lstm_init(jax.random.key(0), 3, 4, forget_bias=5.0).b
        assert (b[4:8] == 5).all() and (b[:4] != 5).all() and (b[8:] != 5).all()


def test_bfloat16_and_vmap():
    params, carry, xs = draw("gru", dtype=jnp.bfloat16)
    ys = R.gru(params, xs, carry)[1]
    assert ys.dtype == jnp.bfloat16
    grads = jax.grad(lambda p: R.gru(p, xs, carry)[1].astype(jnp.float32).sum())(params)
    assert {g.dtype for g in grads} == {jnp.dtype(jnp.bfloat16)}
    params, carry, xs = draw("lstm")
    many = jax.tree.map(lambda p: np.stack([p, p * 0.5]), params)
    close(
        jax.vmap(lambda p: R.lstm(p, xs, carry)[1])(many)[1],
        R.lstm(jax.tree.map(lambda p: p * 0.5, params), xs, carry)[1],
    )


P, H, X = draw("lstm")
LONG, NEGATIVE, SINGLE = np.array([1, 12, 0, 0]), np.array([-1, 1, 0, 0]), np.float32
BAD = {
    "input size": (
        lambda: R.lstm(P, X[..., :2], H),
        "x (4, 2) does not end in the 3 inputs of wx (3, 20)",
    ),
    "rank": (lambda: R.lstm(P, X[0, 0], H), "xs has shape (3,), but sequences are (T, *batch, D)"),
    "weights": (lambda: R.lstm(P._replace(wh=P.wh[:, :-1]), X, H), "wx (3, 20), wh (5, 19)"),
    "carry": (lambda: R.lstm(P, X, H.h), "the carry is LSTMState(h, c), not ndarray"),
    "carry's batch": (
        lambda: R.lstm(P, X, jax.tree.map(lambda s: s[:3], H)),
        "a carry of shape (3, 5) does not fit x (4, 3)",
    ),
    "too long": (
        lambda: R.lstm(P, X, H, lengths=LONG),
        "lengths must be from 0 to the 11 steps of xs, not 0 to 12",
    ),
    "negative": (
        lambda: R.lstm(P, X, H, lengths=NEGATIVE),
        "lengths must be from 0 to the 11 steps of xs, not -1 to 1",
    ),
    "lengths' shape": (
        lambda: R.lstm(P, X, H, lengths=np.array([1])),
        "lengths have shape (1,), but the batch is (4,)",
    ),
    "lengths' type": (
        lambda: R.lstm(P, X, H, lengths=np.ones(4)),
        "lengths must be integers, not float64",
    ),
    "empty batch": (
        lambda: R.lstm(P, X[:, :0], jax.tree.map(lambda s: s[:0], H)),
        "x (0, 3) is an empty batch",
    ),
    "integers": (lambda: R.lstm(P, X.astype(int), H), "x is int64, but must be of floats"),
    "dtypes": (
        lambda: R.lstm(P, X, jax.tree.map(SINGLE, H)),
        "the carry is float32, but x float64 and weights float64",
    ),
    "reset": (
        lambda: R.unroll(R.lstm_cell, P, H, X, reset=np.ones((11, 3), bool)),
        "reset must be bools of shape (11, 4)",
    ),
    "unroll's batch": (
        lambda: R.unroll(R.lstm_cell, P, H, X[:, :3]),
        "do not fit carries of shapes [(4, 5), (4, 5)]",
    ),
    "chunk": (
        lambda: R.unroll(R.lstm_cell, P, H, X, chunk=0),
        "chunk is 0, but must be at least 1 step",
    ),
    "levels": (lambda: R.stack(R.lstm)((P,), X, (H, H)), "1 levels of parameters and 2 carries"),
    "sizes": (
        lambda: R.lstm_init(jax.random.key(0), 0, 4),
        "input_size 0 and hidden_size 4 must be at least 1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        call()
    assert "\n" not in str(error.value)
