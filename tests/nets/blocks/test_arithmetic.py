"""The table of a net: counts by hand, receptive fields against gradients, loops, and totals that
leave nothing out.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import arithmetic, conv, pool
from deepseq.nets.blocks.layers import global_average_pool
from deepseq.nets.images import resnet
from deepseq.nets.sequences import attentive, language_model, transformer


def shaped(net):
    return jax.eval_shape(net.init, jax.random.key(0))


def total(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


IMAGE, TOKENS = (
    jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32),
    jax.ShapeDtypeStruct((1, 7), np.int32),
)


def test_a_residual_net_by_hand():
    net = resnet.cifar(8)
    rows = arithmetic.layers(
        lambda p, x: net.apply(p, x, running=None, key=None)[0], shaped(net), IMAGE
    )
    table = {row.name: row for row in rows}
    assert [row.name for row in rows][:4] == [
        "stem",
        "stem.bn",
        "blocks.0.conv1",
        "blocks.0.conv1.bn",
    ]
    assert table["stem"] == arithmetic.Layer(
        "stem", (1, 32, 32, 16), 432, 32 * 32 * 432, 32 * 32 * 16 * 4, 3, 1
    )
    assert table["blocks.1.conv1"].multiply_adds == 16 * 16 * 9 * 16 * 32
    assert (table["blocks.2.conv2"].receptive_field, table["blocks.2.conv2"].jump) == (25, 4)
    assert (
        table["head"].parameters,
        table["head"].multiply_adds,
        table["head"].receptive_field,
    ) == (650, 640, None)
    assert rows[-2].name == "global_average_pool" and rows[-2].shape == (1, 64)
    assert sum(row.parameters for row in rows) == total(shaped(net)) == 75_290


def test_fields_are_where_gradients_are():
    """A stack with padding, stride, dilation, groups and both poolings; the field of one output by
    its gradient.
    """
    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "a": jax.random.uniform(keys[0], (3, 3, 4, 4)),
        "b": jax.random.uniform(keys[1], (5, 5, 2, 4)),
        "c": jax.random.uniform(keys[2], (3, 3, 4, 4)),
    }

    def forward(params, x):
        x = conv.conv2d(x, params["a"], stride=2, padding=((1, 1), (1, 1)))
        x = pool.average_pool(x, 3, stride=2, padding="CEIL")
        x = conv.conv2d(x, params["b"], groups=2)
        y = conv.conv2d(x, params["c"], dilation=2)
        # a maximum would pass the gradient to one tap alone
        return pool.average_pool(x + y, 2, stride=1)

    rows = arithmetic.layers(forward, params, jax.ShapeDtypeStruct((1, 64, 64, 4), np.float32))
    assert [row.name for row in rows] == ["a", "average_pool", "b", "c", "average_pool 2"]

    def seen(i):
        x = jax.random.uniform(jax.random.key(1), (1, 64, 64, 4))  # all positive: nothing cancels
        g = jax.grad(lambda x: forward(params, x)[0, i, i].sum())(x)
        rows_seen = np.flatnonzero(np.abs(g).sum((0, 2, 3)))
        return rows_seen[0], rows_seen[-1]

    (lo, hi), (following, _) = seen(6), seen(7)
    assert rows[-1].jump == following - lo == 4
    assert rows[-1].receptive_field == hi - lo + 1 == 3 + 2 * 2 + 4 * 4 + 4 * 4 + 4
    assert (
        rows[3].multiply_adds == 16 * 16 * 4 * 4 * 9
        and rows[2].multiply_adds == 16 * 16 * 4 * 2 * 25
    )


def test_exact_field_of_convolutions():
    params = [jnp.ones((3, 3, 1, 1)), jnp.ones((5, 5, 1, 1)), jnp.ones((3, 3, 1, 1))]

    def forward(params, x):
        for w, stride in zip(params, (2, 1, 3), strict=True):
            x = conv.conv2d(x, w, stride=stride)
        return x

    row = arithmetic.layers(forward, params, jax.ShapeDtypeStruct((1, 60, 60, 1), np.float32))[-1]
    g = jax.grad(lambda x: forward(params, x)[0, 5, 5].sum())(jnp.ones((1, 60, 60, 1)))
    seen = np.flatnonzero(np.asarray(g).sum((0, 2, 3)))
    assert (row.receptive_field, row.jump) == (seen[-1] - seen[0] + 1, 6) == (15, 6)


def test_loops_and_shared_weights():
    net = language_model.small(100)
    tokens = jax.ShapeDtypeStruct((20, 1), np.int32)
    rows = arithmetic.layers(
        lambda p, t: net.apply(p, t, carry=None, key=None)[0], shaped(net), tokens
    )
    assert [row.name for row in rows] == ["embedding", "layers.0", "layers.1", "softmax"]
    assert rows[1].multiply_adds == 20 * 2 * 200 * 800 and rows[1].parameters == 2 * 200 * 800 + 800
    tied = language_model.language_model(
        50, language_model.LSTM, embedding=8, hidden=8, layers=1, tied=True
    )
    rows = arithmetic.layers(
        lambda p, t: tied.apply(p, t, carry=None, key=None)[0], shaped(tied), tokens
    )
    assert {row.name: row.multiply_adds for row in rows}["embedding"] == 20 * 8 * 50
    assert sum(row.parameters for row in rows) == total(shaped(tied))


@pytest.mark.parametrize(
    "net",
    [
        transformer.transformer(11, layers=2, size=8, heads=2, feed_forward=16),
        attentive.attentive(9, 11, embedding=3, hidden=4, alignment=5),
    ],
)
def test_encoder_decoders_leave_nothing_out(net):
    def forward(params, source, target):
        return net.teach(
            params, net.encode(params, source, lengths=None, key=None), target, key=None
        )

    rows = arithmetic.layers(forward, shaped(net), TOKENS, TOKENS)
    assert sum(row.parameters for row in rows) == total(shaped(net))
    assert all(row.receptive_field is None for row in rows) and "unused" not in [
        row.name for row in rows
    ]


def test_attention_counts_its_scores():
    net = transformer.transformer(11, layers=1, size=8, heads=2, feed_forward=16)
    rows = arithmetic.layers(
        lambda p, t: transformer.encoder(p.encoder, jnp.zeros((1, *t.shape[1:], 8))),
        shaped(net),
        TOKENS,
    )
    found = {row.name: row.multiply_adds for row in rows}
    assert found["encoder.layers.0.attention"] == 4 * 7 * 8 * 8 + 2 * 7 * 7 * 8
    assert found["encoder.layers.0.feed_forward"] == 2 * 7 * 8 * 16
    assert rows[-1].name == "unused" and sum(row.parameters for row in rows) == total(shaped(net))


def test_names_of_what_has_no_parameters():
    rows = arithmetic.layers(
        lambda p, x: global_average_pool(pool.max_pool(pool.max_pool(x, 2), 2)), (), IMAGE
    )
    assert [(row.name, row.shape) for row in rows] == [
        ("max_pool", (1, 16, 16, 3)),
        ("max_pool 2", (1, 8, 8, 3)),
        ("global_average_pool", (1, 3)),
    ]
