import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepseq.train.optimizers import noam, sgd, step_decay

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 4))
GRADIENTS = RNG.normal(size=(12, 3, 4))


def ours(optimizer):
    w, state = {"w": jnp.float32(W)}, None
    state = optimizer.init(w)
    for g in GRADIENTS:
        updates, state = optimizer.update({"w": jnp.float32(g)}, state, w)
        w = optax.apply_updates(w, updates)
    return np.asarray(w["w"])


def test_equals_caffes_update_written_as_a_loop_while_the_rate_changes():
    w, v = W.copy(), np.zeros_like(W)
    for t, g in enumerate(GRADIENTS):
        lr = 0.01 if t < 2 else 0.1 if t < 6 else 0.1 * 0.1 if t < 9 else 0.1 * 0.1 * 0.1
        v = 0.9 * v + lr * (g + 0.02 * w)
        w = w - v
    found = ours(sgd(step_decay(0.1, 12, warmup_steps=2), momentum=0.9, decay=0.02))
    np.testing.assert_allclose(found, w, rtol=1e-5)


def test_differs_from_the_form_with_the_rate_outside_when_it_changes():
    schedule = step_decay(0.1, 12)
    outside = optax.chain(optax.add_decayed_weights(0.02), optax.sgd(schedule, momentum=0.9))
    assert np.abs(ours(sgd(schedule, momentum=0.9, decay=0.02)) - ours(outside)).max() > 0.01


def test_equals_torch_at_a_constant_rate():
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.tensor(W, dtype=torch.float32))
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.02)
    for g in GRADIENTS:
        w.grad = torch.tensor(g, dtype=torch.float32)
        optimizer.step()
    np.testing.assert_allclose(
        ours(sgd(0.1, momentum=0.9, decay=0.02)), w.detach().numpy(), rtol=1e-5
    )


def test_the_papers_schedule_at_its_boundaries():
    rate = step_decay(0.1, 64_000, warmup_steps=400)
    steps = [0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999]
    expected = [0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    np.testing.assert_allclose([rate(t) for t in steps], expected, rtol=1e-6)
    np.testing.assert_allclose(rate(jnp.int32(32_000)), 0.01, rtol=1e-6)


def test_no_drops_and_no_warm_up_is_a_constant_rate():
    rate = step_decay(0.3, 10, drops=())
    assert {float(rate(t)) for t in range(10)} == {float(np.float32(0.3))}


OUT_OF_ORDER = [
    {"drops": (0.75, 0.5)},
    {"drops": (1.5,)},
    {"warmup_steps": 60},
    {"warmup_steps": -1},
]


@pytest.mark.parametrize("wrong", OUT_OF_ORDER)
def test_a_schedule_out_of_order_is_refused(wrong):
    with pytest.raises(ValueError, match="out of order"):
        step_decay(0.1, 100, **wrong)


def test_noam_is_the_papers_formula_with_steps_from_one():
    rate = noam(512, 4000)
    steps = np.array([1, 2, 100, 3999, 4000, 4001, 100_000])
    expected = 512**-0.5 * np.minimum(steps**-0.5, steps * 4000**-1.5)
    np.testing.assert_allclose([rate(t - 1) for t in steps], expected, rtol=1e-6)
    # the peak, about 7e-4
    np.testing.assert_allclose(rate(jnp.int32(3999)), (512 * 4000) ** -0.5, rtol=1e-6)
    assert max(rate(t) for t in range(3990, 4010)) == rate(3999)


def test_noam_is_the_rate_of_each_update():
    optimizer = optax.sgd(noam(4, 2))
    w, state = jnp.zeros(()), optimizer.init(jnp.zeros(()))
    for step in range(1, 6):
        update, state = optimizer.update(jnp.ones(()), state, w)
        assert float(update) == pytest.approx(-0.5 * min(step**-0.5, step * 2**-1.5))


@pytest.mark.parametrize(("size", "warmup"), [(0, 4000), (512, 0)])
def test_a_noam_without_a_size_or_a_warm_up_is_refused(size, warmup):
    with pytest.raises(ValueError, match="at least 1"):
        noam(size, warmup)
