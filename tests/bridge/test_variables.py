"""Trees go into a Flax program and come back as they were; what does not fit is listed."""

import doctest

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import core, serialization, traverse_util

from deepseq.bridge import from_variables, linen, nnx, to_variables, variables
from deepseq.train import weights
from tests.bridge.programs import KEY, KINDS, program, resnet_8, resnet_params, zero_moments


@pytest.mark.parametrize("module", [variables, linen, nnx], ids=lambda module: module.__name__)
def test_examples_run(module):
    assert doctest.testmod(module, raise_on_error=True).attempted > 5


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind):
    params = program(kind).params()
    back, moments = from_variables(to_variables(params), (jax.eval_shape(lambda: params), ()))
    chex.assert_trees_all_equal(back, params)
    assert jax.tree.structure(back) == jax.tree.structure(params) and moments == ()
    assert set(to_variables(params)) == {"params"}


def test_moments_go_along_and_count_as_started():
    net = resnet_8()
    params = resnet_params()
    moments = jax.tree.map(lambda z: z + 0.5, zero_moments(net, params))
    both = core.freeze(to_variables(params, moments))
    assert both["batch_stats"]["started"] == 1
    chex.assert_trees_all_equal(from_variables(both, (params, moments)), (params, moments))


def test_names_are_those_of_the_files_of_weights(tmp_path):
    params = resnet_params()
    flat = traverse_util.flatten_dict(to_variables(params)["params"], sep=".")
    assert set(flat) == {name.name for name in jax.tree.leaves(weights.own_names(params))}
    weights.save(tmp_path / "w.msgpack", params, weights.own_names(params))
    restored = serialization.msgpack_restore((tmp_path / "w.msgpack").read_bytes())
    chex.assert_trees_all_equal(from_variables({"params": restored}, (params, ()))[0], params)


def test_a_tree_of_one_array():
    table = jnp.arange(3.0)
    assert to_variables(table)["params"].keys() == {"value"}
    back, _ = from_variables(to_variables(table), (table, ()))
    np.testing.assert_array_equal(back, table)


def test_all_that_does_not_fit_is_listed():
    net = resnet_8()
    params = net.init(KEY)
    wrong = to_variables(params, zero_moments(net, params))
    del wrong["params"]["stem"]["w"]
    wrong["params"]["head"]["b"] = jnp.zeros(3)
    wrong["batch_stats"]["extra"] = jnp.zeros(1)
    with pytest.raises(ValueError) as error:
        from_variables(wrong, (params, zero_moments(net, params)))
    assert str(error.value) == (
        "3 variables do not fit: params.stem.w is missing; params.head.b is (3,), not (10,);"
        " batch_stats.extra is not of this net"
    )
