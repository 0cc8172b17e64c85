"""Encoder-decoders: loops from the papers' equations, PyTorch's numbers, step by step as at once,
and nothing from padding.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepseq.data import transduction
from deepseq.nets.blocks.initialise import uniform_everywhere
from deepseq.nets.sequences import language_model as lm
from deepseq.nets.sequences import seq2seq
from deepseq.nets.sequences.attentive import attentive
from deepseq.nets.sequences.transformer import transformer

pytestmark = pytest.mark.usefixtures("compiled_quickly")

B, S, T, READ, WRITE = 4, 5, 6, 9, 7
RNG = np.random.default_rng(0)
SOURCE, TOKENS = RNG.integers(0, READ, (B, S)), RNG.integers(0, WRITE, (B, T))
LENGTHS = np.array([5, 1, 3, 4])
_THROUGH = lm.Recurrence(None, lambda w, xs, carry, lengths=None: (xs.sum(0), xs @ w))
NETS = {
    "lstm": seq2seq.encoder_decoder(READ, WRITE, embedding=3, hidden=4, layers=2),
    "gru": seq2seq.encoder_decoder(READ, WRITE, lm.GRU, embedding=3, hidden=4),
    "reversed": seq2seq.reversed_source(
        seq2seq.encoder_decoder(READ, WRITE, embedding=3, hidden=4)
    ),
    "attentive": attentive(READ, WRITE, embedding=3, hidden=4, alignment=6, readout=5),
}


def close(a, b, tolerance=1e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def start(name, bound=1.0):
    """Parameters large enough to matter, biases too."""
    return uniform_everywhere(NETS[name].init, bound)(jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0)
def logits(net, params, source=SOURCE, tokens=TOKENS, lengths=LENGTHS, key=None):
    keys = (None, None) if key is None else jax.random.split(key)
    return net.teach(
        params, net.encode(params, source, lengths=lengths, key=keys[0]), tokens, key=keys[1]
    )


@functools.partial(jax.jit, static_argnums=0)
def loss(net, params, source, tokens, lengths):
    logs = jax.nn.log_softmax(logits(net, params, source, tokens[:, :-1], lengths))
    return -jnp.take_along_axis(logs, tokens[:, 1:, None], 2).mean()


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_step(p, h, c, x):
    i, f, g, o = np.split(x @ p.wx + h @ p.wh + p.b, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("order", [1, -1])
def test_encoder_decoder_equals_a_loop(order):
    """Sutskever, Vinyals, Le 2014, section 2: read a sentence, word by word; go on from there with
    the other LSTM.
    """
    net = NETS["lstm"] if order == 1 else seq2seq.reversed_source(NETS["lstm"])
    params = jax.tree.map(np.asarray, start("lstm"))
    found = logits(net, params)
    for b in range(B):
        states = [(np.zeros(4), np.zeros(4)) for _ in range(2)]

        def through(levels, x, states=states):
            for level, p in enumerate(levels):
                states[level] = lstm_step(p, *states[level], x)
                x = states[level][0]
            return x

        for word in SOURCE[b, : LENGTHS[b]][::order]:
            through(params.encoder, params.source[word])
        for t, word in enumerate(TOKENS[b]):
            close(
                found[b, t],
                through(params.decoder, params.target[word]) @ params.softmax.w + params.softmax.b,
            )


def test_encoder_decoder_equals_torch():
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    params = start("lstm", 0.5)
    tables = torch.nn.Embedding(READ, 3), torch.nn.Embedding(WRITE, 3)
    encoder, decoder = (torch.nn.LSTM(3, 4, 2, batch_first=True) for _ in range(2))
    softmax = torch.nn.Linear(4, WRITE)
    pairs = [(tables[0].weight, params.source), (tables[1].weight, params.target)]
    pairs += [(softmax.weight, params.softmax.w.T), (softmax.bias, params.softmax.b)]
    for side, levels in ((encoder, params.encoder), (decoder, params.decoder)):
        for n, p in enumerate(levels):
            names = {
                "weight_ih": p.wx.T,
                "weight_hh": p.wh.T,
                "bias_ih": p.b,
                "bias_hh": jnp.zeros_like(p.b),
            }
            pairs += [(getattr(side, f"{name}_l{n}"), value) for name, value in names.items()]
    with torch.no_grad():
        for parameter, value in pairs:
            parameter.copy_(torch.from_numpy(np.array(value)))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        tables[0](torch.from_numpy(SOURCE)),
        torch.from_numpy(LENGTHS),
        batch_first=True,
        enforce_sorted=False,
    )
    out = softmax(decoder(tables[1](torch.from_numpy(TOKENS)), encoder(packed)[1])[0])
    torch.nn.functional.cross_entropy(
        out[:, :-1].reshape(-1, WRITE), torch.from_numpy(TOKENS[:, 1:].reshape(-1))
    ).backward()
    close(logits(NETS["lstm"], params), out.detach().numpy())
    gradient = jax.grad(functools.partial(loss, NETS["lstm"]))(params, SOURCE, TOKENS, LENGTHS)
    expected = [gradient.source, gradient.target, gradient.softmax.w.T, gradient.softmax.b]
    for p in (*gradient.encoder, *gradient.decoder):
        expected += [p.wx.T, p.wh.T, p.b, p.b]
    for (parameter, _), ours in zip(pairs, expected, strict=True):
        close(ours, parameter.grad.numpy(), 2e-6)


@pytest.mark.parametrize("name", NETS)
def test_step_by_step_is_all_at_once(name):
    net, params = NETS[name], start(name)
    memory = net.encode(params, SOURCE, lengths=LENGTHS, key=None)
    carry = net.start(params, memory, T)
    assert all(leaf.shape[0] == B for leaf in jax.tree.leaves((memory, carry)))
    _, steps = jax.lax.scan(functools.partial(net.decode, params, memory), carry, TOKENS.T)
    close(steps.swapaxes(0, 1), net.teach(params, memory, TOKENS, key=None))
    again, first = net.decode(params, memory, carry, TOKENS[:, 0])  # outside of jit too
    close(first, steps[0])
    chex.assert_trees_all_equal_shapes_and_dtypes(again, carry)


@pytest.mark.parametrize("name", NETS)
def test_rows_do_not_know_each_other(name):
    net, params = NETS[name], start(name)
    order = np.array([2, 0, 0, 3])
    memory = jax.tree.map(lambda a: a[order], net.encode(params, SOURCE, lengths=LENGTHS, key=None))
    close(net.teach(params, memory, TOKENS[order], key=None), logits(net, params)[order], 1e-6)


@pytest.mark.parametrize("name", NETS)
def test_padding_changes_nothing(name):
    params, f = start(name), jax.jit(jax.value_and_grad(functools.partial(loss, NETS[name])))
    first = f(params, SOURCE, TOKENS, LENGTHS)
    other = np.where(np.arange(S) < LENGTHS[:, None], SOURCE, (SOURCE + 4) % READ)
    chex.assert_trees_all_equal(f(params, other, TOKENS, LENGTHS), first)
    close(f(params, np.pad(SOURCE, ((0, 0), (0, 3))), TOKENS, LENGTHS), first, 1e-6)
    for b in (1, 2):  # and each as if it were alone
        alone = logits(NETS[name], params, SOURCE[b : b + 1, : LENGTHS[b]], TOKENS[b : b + 1], None)
        close(alone[0], logits(NETS[name], params)[b])
    close(
        logits(NETS[name], params, lengths=None),
        logits(NETS[name], params, lengths=np.full_like(LENGTHS, S)),
        1e-6,
    )


def test_rows_are_reversed_within_their_lengths():
    rows = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 3, 4]])
    expected = [[4, 3, 2, 1], [5, 6, 7, 8], [3, 2, 1, 4]]
    np.testing.assert_array_equal(seq2seq.reverse_rows(rows, np.array([4, 1, 3])), expected)
    np.testing.assert_array_equal(seq2seq.reverse_rows(rows, None), rows[:, ::-1])


def test_a_source_of_one_token():
    one = SOURCE[:, :1]
    for name in ("lstm", "attentive"):
        net, params = NETS[name], start(name)
        found = logits(net, params, one, lengths=np.ones(B, int))
        assert np.isfinite(found).all()
        close(found, logits(net, params, one, lengths=None), 1e-6)
    plain, params = seq2seq.encoder_decoder(READ, WRITE, embedding=3, hidden=4), start("reversed")
    close(
        logits(plain, params, one, lengths=None),
        logits(NETS["reversed"], params, one, lengths=None),
        1e-6,
    )
    assert np.abs(logits(plain, params) - logits(NETS["reversed"], params)).max() > 0.01


@pytest.mark.parametrize("name", NETS)
def test_dropout_needs_a_key_and_drops(name):
    make = attentive if name == "attentive" else seq2seq.encoder_decoder
    sizes = (
        {"alignment": 6, "readout": 5}
        if name == "attentive"
        else {"layers": len(start(name).encoder)}
    )
    if name == "gru":
        sizes["recurrence"] = lm.GRU
    net, params = make(READ, WRITE, embedding=3, hidden=4, dropout=0.5, **sizes), start(name)
    net = seq2seq.reversed_source(net) if name == "reversed" else net
    close(logits(net, params), logits(NETS[name], params), 1e-6)
    one, again, other = (logits(net, params, key=jax.random.key(k)) for k in (1, 1, 2))
    chex.assert_trees_all_equal(one, again)
    assert (one != other).mean() > 0.9 and (one != logits(net, params)).mean() > 0.9


def test_dropout_keeps_the_mean():
    """Where all is linear in what is dropped: two embeddings and the softmax's input, each a half
    of the time, doubled.
    """
    net = seq2seq.encoder_decoder(2, 1, _THROUGH, embedding=2000, hidden=2000, dropout=0.5)
    ones, eye = jnp.ones((2, 2000)), jnp.eye(2000)
    params = seq2seq.EncoderDecoder(
        ones, ones[:1], (eye,), (eye,), seq2seq.Dense(jnp.ones((2000, 1)) / 2000, jnp.zeros(1))
    )
    memory = net.encode(params, np.zeros((1, 3), int), lengths=None, key=jax.random.key(0))
    assert set(np.unique(memory[0])) == {0.0, 2.0, 4.0, 6.0}
    np.testing.assert_allclose(memory[0].mean(), 3, atol=0.15)
    np.testing.assert_allclose(
        net.teach(params, memory, np.zeros((1, 1), int), key=jax.random.key(1)), 1, atol=0.15
    )


@pytest.mark.parametrize("name", ["lstm", "attentive"])
def test_gradient_exports_for_every_platform(name):
    net = NETS[name]
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    ints = [jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((B, S), (B, T), (B,))]
    step = jax.jit(jax.grad(functools.partial(loss, net)))
    exported = jax.export.export(step, platforms=["cpu", "cuda", "tpu"])(shapes, *ints)
    assert exported.platforms == ("cpu", "cuda", "tpu") and len(exported.out_avals) == len(
        jax.tree.leaves(shapes)
    )


@pytest.mark.parametrize("name", ["lstm", "attentive"])
def test_learns_to_say_backwards(name):
    """One step of chance is ln 4 for each symbol, 0 for the end of a length that is known."""
    sizes = {"embedding": 16, "hidden": 32}
    net = (
        seq2seq.encoder_decoder(7, 7, **sizes)
        if name == "lstm"
        else attentive(7, 7, **sizes, alignment=32)
    )
    optimizer = optax.adam(0.01)

    @jax.jit
    def train(params, state, batch):
        value, gradient = jax.value_and_grad(functools.partial(loss, net))(
            params, batch.source, batch.targets, batch.lengths
        )
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    params = jax.jit(net.init)(jax.random.key(0))
    state, rng = optimizer.init(params), np.random.default_rng(0)
    for _ in range(150):
        params, state, value = train(params, state, transduction.reversal(rng, 32, (4, 4), 4))
    assert value < 0.5 * np.log(4) * 4 / 5


@pytest.mark.parametrize("size", ["embedding", "hidden", "layers", "dropout"])
def test_bad_sizes(size):
    sizes = {"embedding": 3, "hidden": 4} | {size: -1}
    with pytest.raises(
        ValueError,
        match="the rate is -1" if size == "dropout" else f"{size} is -1, but must be at least 1",
    ):
        seq2seq.encoder_decoder(READ, WRITE, **sizes)


@pytest.mark.parametrize("name", NETS)
def test_bad_calls(name):
    net, params = NETS[name], start(name)
    memory = net.encode(params, SOURCE, lengths=None, key=None)
    carry = net.start(params, memory, T)
    read = functools.partial(net.encode, params, key=None)
    for call, message in (
        (lambda: read(SOURCE[:, :0], lengths=None), r"an empty source \(4, 0\)"),
        (lambda: read(SOURCE[:0], lengths=None), r"an empty source \(0, 5\)"),
        (
            lambda: read(SOURCE[0], lengths=None),
            r"source int64 \(5,\), but integers \(B, S\) are needed",
        ),
        (lambda: read(SOURCE + 0.5, lengths=None), r"integers \(B, S\) are needed"),
        (lambda: read(np.full((1, 2), READ), lengths=None), r"from 9 to 9, outside of 0\.\.8"),
        (
            lambda: read(SOURCE, lengths=np.array([5, 0, 3, 4])),
            r"lengths from 0 to 5, outside of 1\.\.5",
        ),
        (
            lambda: read(SOURCE, lengths=np.array([5, 6, 3, 4])),
            r"lengths from 3 to 6, outside of 1\.\.5",
        ),
        (lambda: read(SOURCE, lengths=np.array([5, 4])), "2 lengths for 4 sources"),
        (lambda: read(SOURCE, lengths=np.ones(B)), r"lengths float64 \(4,\), but integers \(B\)"),
        (
            lambda: net.teach(params, memory, TOKENS[0], key=None),
            r"tokens int64 \(6,\), but integers \(B, T\)",
        ),
        (
            lambda: net.teach(params, memory, TOKENS - 7, key=None),
            r"tokens from -7 to -1, outside of 0\.\.6",
        ),
        (
            lambda: net.decode(params, memory, carry, TOKENS),
            r"tokens int64 \(4, 6\), but integers \(B\)",
        ),
        (lambda: net.decode(params, memory, carry, TOKENS[:, 0] + 7), r"outside of 0\.\.6"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    found = jax.jit(lambda tokens: net.teach(params, memory, tokens, key=None))(
        np.where(np.arange(T) == 2, WRITE, TOKENS)
    )
    assert np.isfinite(found[:, :2]).all() and np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("name", ["attentive", "transformer"])
def test_tokens_of_other_sequences_are_refused(name):
    net = {
        "attentive": lambda: attentive(5, 5, embedding=4, hidden=4, alignment=4),
        "transformer": lambda: transformer(
            5, layers=1, size=4, heads=2, feed_forward=4, dropout=0.0
        ),
    }[name]()
    params = net.init(jax.random.key(0))
    memory = net.encode(params, np.ones((2, 3), int), lengths=None, key=None)
    message = f"{name}: tokens of 3 sequences, but the memory is of 2"
    with pytest.raises(ValueError, match=message):
        net.teach(params, memory, np.ones((3, 4), int), key=None)
    with pytest.raises(ValueError, match=message):
        net.decode(params, memory, net.start(params, memory, 4), np.ones(3, int))
