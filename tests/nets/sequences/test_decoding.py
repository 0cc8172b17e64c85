"""Greedy decoding and beam search, against a loop without a cache, every sequence there is, and
chains whose best is known.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences import decoding
from deepseq.nets.sequences.transformer import post_norm, pre_norm, transformer

pytestmark = pytest.mark.usefixtures("compiled_quickly")

BEGIN, END = 0, 1


def chain():
    """A Markov chain: params (V, V) are log-probabilities of the next token after each; the memory
    only says how many rows.
    """

    def teach(params, memory, tokens, *, key):
        return params[tokens]

    def decode(params, memory, carry, token):
        return carry + 1, params[token]

    def encode(params, source, *, lengths, key):
        return source

    return Seq2Seq(
        lambda key: None, encode, decode, lambda params, memory, steps: memory[:, :1], teach
    )


@functools.cache
def small(vocabulary, norm=post_norm):
    """A small Transformer, with its functions compiled once for all tests."""
    net = transformer(vocabulary, layers=2, size=8, heads=2, feed_forward=12, norm=norm)
    encode, teach = (jax.jit(functools.partial(f, key=None)) for f in (net.encode, net.teach))
    return net._replace(init=jax.jit(net.init), encode=encode, teach=teach)


def trained(vocabulary, seed, rows=3, norm=post_norm):
    """The same with weights large enough for sharp and varied probabilities, and memories of
    ``rows`` sources.
    """
    net = small(vocabulary, norm)
    params = net.init(jax.random.key(seed))
    params = params._replace(embedding=1.5 * params.embedding)
    source = np.random.default_rng(seed).integers(0, vocabulary, (rows, 4))
    return net, params, net.encode(params, source, lengths=np.arange(rows) % 4 + 1)


def every_sequence(vocabulary, steps):
    """All hypotheses: those that end with END, padded with it, and those of all steps without."""
    for tokens in itertools.product(range(vocabulary), repeat=steps):
        ended = tokens.index(END) if END in tokens else steps
        if all(token == END for token in tokens[ended:]):
            yield tokens


def length(tokens):
    return list(tokens).index(END) + 1 if END in tokens else len(tokens)


def row(memory, n):
    return jax.tree.map(lambda a: a[n : n + 1], memory)


def log_probability(net, params, memory, sequences):
    """By teacher forcing, of sequences (N, steps) after one row of memory."""
    sequences = np.asarray(sequences)
    memory = jax.tree.map(lambda a: jnp.repeat(a, len(sequences), 0), memory)
    given = np.concatenate([np.full((len(sequences), 1), BEGIN), sequences[:, :-1]], 1)
    logs = np.asarray(jax.nn.log_softmax(net.teach(params, memory, given)))
    each = np.take_along_axis(logs, sequences[..., None], 2)[..., 0]
    return np.array([e[: length(s)].sum() for e, s in zip(each, sequences, strict=True)])


def penalty(n, alpha):
    return ((5 + n) / 6) ** alpha


@functools.cache
def search(net, *, beam, steps=6):
    """(params, memory, alpha) -> tokens, scores."""

    def run(params, memory, alpha):
        how = {"begin": BEGIN, "end": END, "steps": steps, "beam": beam, "length_penalty": alpha}
        return decoding.beam_search(net, params, memory, **how)

    return jax.jit(run)


@functools.cache
def greedy(net, steps=6):
    return jax.jit(
        lambda params, memory: decoding.greedy(
            net, params, memory, begin=BEGIN, end=END, steps=steps
        )
    )


@pytest.mark.parametrize(("vocabulary", "steps"), [(3, 4), (3, 5), (4, 4)])
def test_a_wide_beam_is_exhaustive(vocabulary, steps):
    sequences = np.array(list(every_sequence(vocabulary, steps)))
    lengths = np.array([length(s) for s in sequences])
    best = set()
    for seed, alpha in itertools.product(range(3), (0.0, 0.6, 4.0)):
        net, params, memory = trained(vocabulary, seed)
        tokens, scores = search(net, beam=len(sequences), steps=steps)(params, memory, alpha)
        assert tokens.shape == (3, len(sequences), steps) and scores.shape == (3, len(sequences))
        for n in range(3):
            logs = log_probability(net, params, row(memory, n), sequences)
            np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-4)
            expected = logs / penalty(lengths, alpha)
            assert {tuple(s) for s in np.asarray(tokens[n])} == {tuple(s) for s in sequences}
            np.testing.assert_allclose(scores[n], np.sort(expected)[::-1], rtol=1e-4, atol=1e-4)
            assert tuple(np.asarray(tokens[n, 0])) == tuple(sequences[expected.argmax()])
            best.add((seed, n, lengths[expected.argmax()]))
    assert len(best) > 9  # the penalty decides for some of the nine


def test_a_beam_of_one_is_greedy():
    for seed, alpha in itertools.product(range(4), (0.0, 0.6)):
        net, params, memory = trained(7, seed, 6, pre_norm)
        tokens, _ = search(net, beam=1)(params, memory, alpha)
        np.testing.assert_array_equal(tokens[:, 0], greedy(net)(params, memory))


def test_greedy_is_a_loop_without_a_cache():
    lengths = set()
    for seed in range(4):
        net, params, memory = trained(7, seed, 6)
        given, ended = np.full((6, 7), BEGIN), np.zeros(6, bool)
        for t in range(6):
            logits = np.asarray(net.teach(params, memory, given))[
                :, t
            ]  # which the tokens to come do not change
            given[:, t + 1] = np.where(ended, END, logits.argmax(-1))
            ended |= given[:, t + 1] == END
        tokens = np.asarray(greedy(net)(params, memory))
        np.testing.assert_array_equal(tokens, given[:, 1:])
        lengths |= {length(t) for t in tokens.tolist()}
    assert len(lengths) > 1  # some ended early


def test_scores_are_those_of_teacher_forcing():
    net, params, memory = trained(7, 1, 6)
    tokens, scores = search(net, beam=4)(params, memory, 0.6)
    for n in range(6):
        sequences = np.asarray(tokens[n]).tolist()
        expected = log_probability(net, params, row(memory, n), sequences) / [
            penalty(length(s), 0.6) for s in sequences
        ]
        np.testing.assert_allclose(scores[n], expected, rtol=1e-4)
        assert len({tuple(s) for s in sequences}) == 4 and (np.diff(scores[n]) <= 0).all()
        for s in sequences:
            assert set(s[length(s) :]) <= {END}


def test_rows_do_not_know_of_one_another():
    net, params, memory = trained(7, 2, 6)
    together, likeliest = search(net, beam=4)(params, memory, 0.6), greedy(net)(params, memory)
    for n in range(3):
        tokens, scores = search(net, beam=4)(params, row(memory, n), 0.6)
        np.testing.assert_array_equal(tokens[0], together[0][n])
        np.testing.assert_allclose(scores[0], together[1][n], rtol=1e-5)
        np.testing.assert_array_equal(greedy(net)(params, row(memory, n))[0], likeliest[n])


def test_jit_changes_nothing():
    net, params, memory = trained(7, 3, 6)
    how = {"begin": BEGIN, "end": END, "steps": 6}
    tokens, scores = decoding.beam_search(net, params, memory, beam=4, **how)
    jitted = search(net, beam=4)(params, memory, 0.6)
    np.testing.assert_array_equal(tokens, jitted[0])
    np.testing.assert_allclose(scores, jitted[1], rtol=1e-5)
    np.testing.assert_array_equal(
        decoding.greedy(net, params, memory, **how), greedy(net)(params, memory)
    )


# Tokens: 0 begin, 1 end, 2 the tempting one, 3 the sure one.
TEMPTING = np.log(
    np.array(
        [
            [1e-9, 1e-9, 0.6, 0.4],  # the first step: 2 looks best
            [0.25, 0.25, 0.25, 0.25],
            [0.25, 0.25, 0.25, 0.25],  # but nothing after it is likely
            [1e-9, 0.9, 0.05, 0.05],  # while 3 is almost sure to end
        ]
    )
)


def test_a_beam_finds_what_greed_misses():
    """P(3 end) = 0.36 beats P(2 end) = 0.15, but greed takes 2."""
    memory, params = jnp.zeros((2, 3), int), jnp.asarray(TEMPTING, jnp.float32)
    net = chain()
    assert (np.asarray(greedy(net)(params, memory))[:, 0] == 2).all()
    tokens, scores = search(net, beam=2, steps=4)(params, memory, 0.0)
    np.testing.assert_array_equal(tokens[:, 0], [[3, 1, 1, 1]] * 2)
    np.testing.assert_allclose(scores[:, 0], np.log(0.36), rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_best_path_of_a_chain_is_viterbis(steps):
    """Dynamic programming over the last token: the best sequence that ends in a token begins with
    the best up to there.
    """
    beam = sum(3**n for n in range(steps)) + 3**steps
    find = search(chain(), beam=beam, steps=steps)
    for seed in range(5):
        logits = 2 * np.random.default_rng(seed).standard_normal((4, 4))
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        best = {BEGIN: 0.0}
        finished = []
        for _ in range(steps):
            after = {t: max(p + logs[s, t] for s, p in best.items()) for t in range(4)}
            finished.append(after.pop(END))
            best = after
        expected = max([*finished, *best.values()])
        _, scores = find(jnp.asarray(logits, jnp.float32), jnp.zeros((1, 1), int), 0.0)
        assert float(scores[0, 0]) == pytest.approx(expected, rel=1e-4)


def test_what_has_ended_is_kept():
    """A sequence that ends at once with probability 0.5 stays first, whatever else is still being
    written.
    """
    p = np.full((4, 4), 1e-9)
    p[0], p[2], p[3] = [1e-9, 0.5, 0.3, 0.2], [1e-9, 1e-9, 0.5, 0.5], [1e-9, 1e-9, 0.5, 0.5]
    memory, params = jnp.zeros((1, 3), int), jnp.asarray(np.log(p), jnp.float32)
    find = search(chain(), beam=3, steps=8)
    tokens, scores = find(params, memory, 0.0)
    assert tokens[0, 0].tolist() == [1] * 8 and float(scores[0, 0]) == pytest.approx(
        np.log(0.5), rel=1e-4
    )
    tokens, _ = find(params, memory, 9.0)  # but a large alpha prefers what is long
    assert END not in tokens[0, 0].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beam": 0}, "a beam of 0"),
        ({"beam": 32}, "from 1 to the 31 hypotheses"),
        ({"steps": 0}, "0 steps"),
        ({"begin": 3}, r"vocabulary, 0\.\.2"),
        ({"end": -1}, r"vocabulary, 0\.\.2"),
    ],
)
def test_bad_searches(change, message):
    net, params, memory = trained(3, 0)
    how = {"begin": BEGIN, "end": END, "steps": 4, "beam": 2} | change
    with pytest.raises(ValueError, match=message):
        decoding.beam_search(net, params, memory, **how)
    if "beam" not in change:
        how.pop("beam")
        with pytest.raises(ValueError, match=message):
            decoding.greedy(net, params, memory, **how)
