"""Language models: counts, likelihoods that sum to one, PyTorch's numbers, dropout's places, and
draws from the right law.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks.embedding import look_up
from deepseq.nets.blocks.layers import Dense
from deepseq.nets.sequences import language_model as lm

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TINY = {"embedding": 3, "hidden": 4}
CELLS = {"lstm": lm.LSTM, "gru": lm.GRU, "rnn": lm.RNN}
TOKENS = np.random.default_rng(0).integers(0, 9, (6, 5))


def count(net):
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0))))


def close(a, b, tolerance=1e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("net", "expected"), [(lm.small, 4_651_600), (lm.medium, 19_775_200), (lm.large, 66_022_000)]
)
def test_parameter_counts_of_zaremba(net, expected):
    assert count(net()) == expected


@pytest.mark.parametrize(("net", "bound"), [(lm.small, 0.1), (lm.medium, 0.05), (lm.large, 0.04)])
def test_zaremba_draws_every_parameter_alike(net, bound):
    params = net(11).init(jax.random.key(0))
    leaves = jax.tree.leaves(params)
    everything = np.concatenate([leaf.ravel() for leaf in leaves])
    assert np.abs(everything).max() <= bound and np.abs(everything).max() > 0.999 * bound
    np.testing.assert_allclose(everything.std(), bound / 3**0.5, rtol=0.02)
    assert all(np.abs(leaf).max() > 0.7 * bound for leaf in leaves)  # biases too
    # no part is a copy of another
    assert len(np.unique(everything)) > 0.9 * len(everything) or len(everything) > 2**20


def test_embedding_is_a_product_with_one_hot():
    table = jax.random.normal(jax.random.key(0), (9, 3))
    weigh = jax.random.normal(jax.random.key(1), (6, 5, 3))

    def total(table, rows):
        return (rows(table) * weigh).sum()

    ours = jax.value_and_grad(total)(table, lambda e: look_up(e, TOKENS, "TB"))
    theirs = jax.value_and_grad(total)(table, lambda e: jax.nn.one_hot(TOKENS, 9) @ e)
    close(ours, theirs)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [False, True])
def test_all_texts_of_a_length_have_probability_one(cell, tied):
    """The chain rule over all 3^4 texts that follow a first token."""
    net = lm.language_model(3, CELLS[cell], embedding=4, hidden=4, layers=2, tied=tied)
    params = jax.tree.map(lambda p: 3 * p, net.init(jax.random.key(0)))
    texts = np.array(list(itertools.product(range(3), repeat=4))).T  # (4, 81)
    tokens = np.concatenate([np.ones((1, 81), int), texts[:-1]])
    logs = jax.nn.log_softmax(net.apply(params, tokens, carry=None, key=None)[0])
    joint = np.exp(np.take_along_axis(np.asarray(logs), texts[..., None], 2)[..., 0].sum(0))
    assert joint.std() > 0.1 * joint.mean()
    np.testing.assert_allclose(joint.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_equals_torch(cell):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    net = lm.language_model(9, CELLS[cell], **TINY, layers=2)
    params = net.init(jax.random.key(0))
    embedding, softmax = torch.nn.Embedding(9, 3), torch.nn.Linear(4, 9)
    layers = getattr(torch.nn, cell.upper())(3, 4, 2)

    def give(parameter, value):
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.array(value)))

    give(embedding.weight, params.embedding)
    give(softmax.weight, params.softmax.w.T)
    give(softmax.bias, params.softmax.b)
    for level, p in enumerate(params.layers):
        biases = (p.bx, p.bh) if cell == "gru" else (p.b, np.zeros_like(p.b))
        named = {
            "weight_ih": p.wx.T,
            "weight_hh": p.wh.T,
            "bias_ih": biases[0],
            "bias_hh": biases[1],
        }
        for name, value in named.items():
            give(getattr(layers, f"{name}_l{level}"), value)
    logits = softmax(layers(embedding(torch.from_numpy(TOKENS)))[0])
    torch.nn.functional.cross_entropy(
        logits[:-1].reshape(-1, 9), torch.from_numpy(TOKENS[1:].reshape(-1))
    ).backward()

    def loss(p):
        found = net.apply(p, TOKENS, carry=None, key=None)[0]
        logs = jax.nn.log_softmax(found[:-1])
        return -jnp.take_along_axis(logs, TOKENS[1:, :, None], 2).mean(), found

    (_, ours), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    close(ours, logits.detach().numpy())
    close(gradient.embedding, embedding.weight.grad.numpy())
    close(gradient.softmax.w, softmax.weight.grad.numpy().T)
    close(gradient.softmax.b, softmax.bias.grad.numpy())
    for level, p in enumerate(gradient.layers):
        close(p.wx, getattr(layers, f"weight_ih_l{level}").grad.numpy().T)
        close(p.wh, getattr(layers, f"weight_hh_l{level}").grad.numpy().T)
        close(p.bx if cell == "gru" else p.b, getattr(layers, f"bias_ih_l{level}").grad.numpy())


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_in_pieces_is_the_text(cell):
    net = lm.language_model(9, CELLS[cell], **TINY, layers=3)
    params = net.init(jax.random.key(0))
    whole, last = net.apply(params, TOKENS, carry=None, key=None)
    first, carry = net.apply(params, TOKENS[:2], carry=None, key=None)
    second, carry = net.apply(params, TOKENS[2:], carry=carry, key=None)
    close(jnp.concatenate([first, second]), whole)
    close(carry, last)


def test_tied_softmax_is_the_embedding():
    untied, tied = (lm.language_model(9, embedding=4, hidden=4, tied=t) for t in (False, True))
    params = tied.init(jax.random.key(0))
    assert count(untied) - count(tied) == 9 * 4
    same = params._replace(softmax=Dense(params.embedding.T, params.softmax.b))

    def total(net, p):
        return (net.apply(p, TOKENS, carry=None, key=None)[0] ** 2).sum()

    np.testing.assert_allclose(total(tied, params), total(untied, same), rtol=1e-6)
    g, h = (
        jax.grad(functools.partial(total, tied))(params),
        jax.grad(functools.partial(total, untied))(same),
    )
    close(g.embedding, h.embedding + h.softmax.w.T, 1e-4)


def test_dropout_is_at_every_connection_but_the_recurrent():
    """Through levels that change nothing, a one is seen doubled three times or not at all."""
    through = lm.Recurrence(
        lambda key, d, h: jnp.eye(d, h), lambda w, xs, carry, lengths=None: (carry, xs @ w)
    )
    net = lm.language_model(9, through, embedding=2000, hidden=2000, layers=2, dropout=0.5)
    softmax = Dense(jnp.eye(2000, 9), jnp.zeros(9))
    params = net.init(jax.random.key(0))._replace(embedding=jnp.ones((9, 2000)), softmax=softmax)
    seen = np.asarray(
        net.apply(params, np.zeros((3, 500), int), carry=(0, 0), key=jax.random.key(1))[0]
    )
    assert set(np.unique(seen)) == {0.0, 8.0}  # 2 x 2 x 2 where all three let it pass
    np.testing.assert_allclose((seen == 8).mean(), 1 / 8, atol=0.01)
    assert not (seen[0] == seen[1]).all()  # anew at every step
    np.testing.assert_array_equal(
        net.apply(params, np.zeros((3, 2), int), carry=(0, 0), key=None)[0], 1.0
    )


def test_dropout_leaves_the_recurrence_alone():
    net = lm.language_model(9, lm.RNN, **TINY, dropout=0.5)
    params = net.init(jax.random.key(0))
    silent = params._replace(layers=(params.layers[0]._replace(wx=jnp.zeros((3, 4))),))
    key = jax.random.key(1)
    carry = lambda p, key: net.apply(p, TOKENS, carry=None, key=key)[1]  # noqa: E731
    close(carry(silent, key), carry(silent, None))
    assert np.abs(carry(params, key)[0] - carry(params, None)[0]).max() > 1e-3


def test_samples_have_the_enumerated_law():
    net = lm.language_model(3, **TINY)
    params = jax.tree.map(lambda p: 3 * p, net.init(jax.random.key(0)))
    prompt, temperature = jnp.array([2, 0]), 0.7
    pairs = np.array(list(itertools.product(range(3), repeat=2)))
    expected = []
    for a, b in pairs:
        logits = (
            net.apply(params, jnp.array([[2], [0], [a]]), carry=None, key=None)[0][:, 0]
            / temperature
        )
        logs = jax.nn.log_softmax(logits)
        expected.append(float(jnp.exp(logs[1, a] + logs[2, b])))
    keys = jax.random.split(jax.random.key(5), 20_000)
    draw = jax.jit(
        jax.vmap(
            lambda key: lm.sample(net.apply, params, prompt, key, length=2, temperature=temperature)
        )
    )
    found = np.bincount(draw(keys) @ np.array([3, 1]), minlength=9) / 20_000
    np.testing.assert_allclose(sum(expected), 1, rtol=1e-5)
    np.testing.assert_allclose(found, expected, atol=4 * 0.5 / 20_000**0.5)


def test_samples_are_deterministic_and_greedy_when_cold():
    net = lm.language_model(9, **TINY)
    params = jax.tree.map(lambda p: 3 * p, net.init(jax.random.key(0)))
    draw = functools.partial(lm.sample, net.apply, params, jnp.array([1, 2]))
    long, short = draw(jax.random.key(0), length=20), draw(jax.random.key(0), length=7)
    np.testing.assert_array_equal(long[:7], short)
    assert (long != draw(jax.random.key(1), length=20)).any()
    cold, tokens = draw(jax.random.key(0), length=6, temperature=1e-4), [1, 2]
    for _ in range(6):
        tokens.append(
            int(
                net.apply(params, np.array(tokens)[:, None], carry=None, key=None)[0][
                    -1, 0
                ].argmax()
            )
        )
    assert cold.tolist() == tokens[2:]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"vocabulary": 0, "embedding": 3, "hidden": 4}, "must be at least 1"),
        ({"vocabulary": 9, "embedding": 3, "hidden": 4, "layers": 0}, "must be at least 1"),
        ({"vocabulary": 9, "embedding": 3, "hidden": 4, "dropout": 1.0}, "the rate is 1.0"),
        (
            {"vocabulary": 9, "embedding": 3, "hidden": 4, "tied": True},
            "embedding = hidden, not 3 and 4",
        ),
    ],
)
def test_bad_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        lm.language_model(**sizes)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.array([1, 2]), r"integers \(T, B\)"),
        (np.ones((2, 2)), r"integers \(T, B\)"),
        (np.array([[9]]), r"outside of 0\.\.8"),
        (np.array([[-1]]), r"outside of 0\.\.8"),
    ],
)
def test_bad_tokens(tokens, message):
    net = lm.language_model(9, **TINY)
    params = net.init(jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        net.apply(params, tokens, carry=None, key=None)


@pytest.mark.parametrize("bad", [9, -1])
def test_a_bad_token_under_jit_is_nan(bad):
    net = lm.language_model(9, **TINY)
    tokens, params = jnp.array([[0], [bad]]), net.init(jax.random.key(0))
    logits, _ = jax.jit(lambda p, t: net.apply(p, t, carry=None, key=None))(params, tokens)
    assert np.isfinite(logits[0]).all() and np.isnan(logits[1]).all()


@pytest.mark.parametrize(
    ("prompt", "length", "temperature"),
    [([], 3, 1.0), ([1], 0, 1.0), ([1], 3, 0.0), ([1], 3, -1.0)],
)
def test_bad_samples(prompt, length, temperature):
    net = lm.language_model(9, **TINY)
    prompt = jnp.array(prompt, int)
    with pytest.raises(ValueError, match="sample:"):
        lm.sample(
            net.apply, None, prompt, jax.random.key(0), length=length, temperature=temperature
        )
