import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.train.losses import cross_entropy, misclassified


def test_cross_entropy_equals_the_formula_in_numpy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(9, 5)) * 10, rng.integers(0, 5, 9)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = cross_entropy(jnp.float32(logits), jnp.array(labels))
    np.testing.assert_allclose(found, [-np.log(p[i, labels[i]]) for i in range(9)], rtol=1e-5, atol=1e-6)


def test_cross_entropy_of_huge_logits_is_finite_and_its_gradient_is_softmax_minus_one_hot():
    logits, labels = jnp.array([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]]), jnp.array([1, 1])
    np.testing.assert_allclose(cross_entropy(logits, labels), [1e4, 0.0])
    gradient = jax.grad(lambda z: cross_entropy(z, labels).sum())(logits)
    np.testing.assert_allclose(gradient, [[1, -1, 0], [0, 0, 0]], atol=1e-6)


def test_cross_entropy_of_a_label_that_does_not_exist_is_nan():
    assert np.isnan(cross_entropy(jnp.zeros((1, 3)), jnp.array([3]))).all()


def test_bfloat16_logits_are_summed_in_float32():
    logits = jnp.zeros((1, 1000), jnp.bfloat16)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0])), np.log(1000), rtol=1e-6)


def test_misclassified_takes_the_first_of_equals():
    logits = jnp.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0], [3.0, 3.0]])
    assert misclassified(logits, jnp.array([1, 1, 0, 1])).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("f", [cross_entropy, misclassified])
def test_wrong_shapes_and_types_are_refused(f):
    for labels in (jnp.zeros(3, int), jnp.zeros((2, 1), int), jnp.zeros(2)):
        with pytest.raises(AssertionError):
            f(jnp.zeros((2, 4)), labels)
