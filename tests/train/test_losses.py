import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.train.losses import (
    cross_entropy,
    misclassified,
    smoothed_cross_entropy,
    squared_error,
    with_auxiliary,
)


def test_cross_entropy_equals_the_formula_in_numpy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(9, 5)) * 10, rng.integers(0, 5, 9)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = cross_entropy(jnp.float32(logits), jnp.array(labels))
    np.testing.assert_allclose(
        found, [-np.log(p[i, labels[i]]) for i in range(9)], rtol=1e-5, atol=1e-6
    )


def test_cross_entropy_of_huge_logits_is_finite_and_its_gradient_is_softmax_minus_one_hot():
    logits, labels = jnp.array([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]]), jnp.array([1, 1])
    np.testing.assert_allclose(cross_entropy(logits, labels), [1e4, 0.0])
    gradient = jax.grad(lambda z: cross_entropy(z, labels).sum())(logits)
    np.testing.assert_allclose(gradient, [[1, -1, 0], [0, 0, 0]], atol=1e-6)


def test_cross_entropy_of_a_label_that_does_not_exist_is_nan():
    assert np.isnan(cross_entropy(jnp.zeros((2, 3)), jnp.array([3, -1]))).all()


def test_bfloat16_logits_are_summed_in_float32():
    logits = jnp.zeros((1, 1000), jnp.bfloat16)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0])), np.log(1000), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_smoothed_cross_entropy_is_that_with_the_smoothed_label(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(9, 5)) * 5, rng.integers(0, 5, 9)
    q = (1 - smoothing) * np.eye(5)[labels] + smoothing / 5
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found, pull = jax.vjp(
        lambda z: smoothed_cross_entropy(z, jnp.array(labels), smoothing), jnp.float32(logits)
    )
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, -(q * np.log(p)).sum(1), rtol=1e-5)
    np.testing.assert_allclose(pull(jnp.ones(9))[0], p - q, atol=1e-6)
    # no logits do better than log q, and those only as well as q's entropy
    least = jnp.log(jnp.array(q + 1e-12))
    entropy = -(q * np.log(q + 1e-12)).sum(1)
    np.testing.assert_allclose(
        smoothed_cross_entropy(least, jnp.array(labels), smoothing), entropy, atol=1e-5
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_smoothed_cross_entropy_equals_torch(smoothing):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    logits, labels = np.float32(rng.normal(size=(7, 11)) * 5), rng.integers(0, 11, 7)
    z = torch.from_numpy(logits).requires_grad_()
    loss = torch.nn.functional.cross_entropy(
        z, torch.from_numpy(labels), label_smoothing=smoothing, reduction="none"
    )
    loss.sum().backward()
    found, pull = jax.vjp(
        lambda z: smoothed_cross_entropy(z, jnp.array(labels), smoothing), jnp.array(logits)
    )
    np.testing.assert_allclose(found, loss.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pull(jnp.ones(7))[0], z.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("label", [0, 1])
def test_a_class_that_cannot_be(smoothing, label):
    """A logit of -inf costs nothing without smoothing, unless it is the label's; with it, all."""
    torch = pytest.importorskip("torch")
    logits = [[1.0, -np.inf, 2.0]]
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor([label]), label_smoothing=smoothing
    )
    loss = smoothed_cross_entropy(jnp.array(logits), jnp.array([label]), smoothing)
    np.testing.assert_allclose(loss[0], float(expected), rtol=1e-6)
    if np.isfinite(float(expected)):
        gradient = jax.grad(
            lambda z: smoothed_cross_entropy(z, jnp.array([label]), smoothing).sum()
        )(jnp.array(logits))
        np.testing.assert_allclose(gradient.sum(), 0, atol=1e-6)


def test_smoothing_is_a_fraction_and_its_label_exists():
    for smoothing in (-0.1, 1.1):
        with pytest.raises(ValueError, match="from 0 to 1"):
            smoothed_cross_entropy(jnp.zeros((1, 3)), jnp.array([0]), smoothing)
    assert np.isnan(smoothed_cross_entropy(jnp.zeros((2, 3)), jnp.array([3, -1]), 0.1)).all()
    np.testing.assert_allclose(
        smoothed_cross_entropy(jnp.array([[1e4, 0.0]]), jnp.array([0]), 0.1), 500
    )


def test_misclassified_takes_the_first_of_equals():
    logits = jnp.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0], [3.0, 3.0]])
    assert misclassified(logits, jnp.array([1, 1, 0, 1])).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "f",
    [
        cross_entropy,
        misclassified,
        squared_error,
        functools.partial(smoothed_cross_entropy, smoothing=0.1),
    ],
)
def test_wrong_shapes_and_types_are_refused(f):
    for labels in (jnp.zeros(3, int), jnp.zeros((2, 1), int), jnp.zeros(2)):
        with pytest.raises(AssertionError):
            f(jnp.zeros((2, 4)), labels)


def test_auxiliary_classifiers_count_by_their_weight():
    rng = np.random.default_rng(3)
    logits, labels = (
        [jnp.float32(rng.normal(size=(5, 4))) for _ in range(3)],
        jnp.array([0, 1, 2, 3, 0]),
    )
    each = [cross_entropy(z, labels) for z in logits]
    np.testing.assert_allclose(
        with_auxiliary(0.5)(logits, labels), each[0] + 0.5 * (each[1] + each[2]), rtol=1e-6
    )


def test_squared_error_of_targets_one_and_minus_one():
    outputs = jnp.array([[1.0, -1.0, -1.0], [0.0, 0.5, -1.0]])
    np.testing.assert_allclose(
        squared_error(outputs, jnp.array([0, 1])), [0, (1 + 0.25 + 0) / 3], rtol=1e-6
    )
    assert np.isnan(squared_error(outputs, jnp.array([3, -1]))).all()
