import math

import numpy as np
import pytest

from deepseq.data import tasks

SIZES = {tasks.adding: (3, 7), tasks.copy: (3, 7), tasks.order: (3, 25), tasks.echo: (3, 9, 4)}


@pytest.mark.parametrize("task", SIZES, ids=lambda task: task.__name__)
def test_a_batch_is_a_function_of_the_seed(task):
    first, again, other = (task(seed, *SIZES[task]) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.xs, other.xs)
    rng = np.random.default_rng(5)
    assert np.array_equal(task(rng, *SIZES[task]).xs, first.xs)
    assert not np.array_equal(task(rng, *SIZES[task]).xs, first.xs)  # a generator moves on


@pytest.mark.parametrize(
    "task, shapes, dtypes",
    [
        (tasks.adding, [(7, 3, 2), (3,)], [np.float32, np.float32]),
        (tasks.copy, [(27, 3), (27, 3)], [np.int32, np.int32]),
        (tasks.order, [(25, 3), (3,)], [np.int32, np.int32]),
        (tasks.echo, [(9, 3, 1), (9, 3), (9,)], [np.float32, np.int32, bool]),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_shapes_and_types(task, shapes, dtypes):
    batch = task(0, *SIZES[task])
    assert [array.shape for array in batch] == shapes
    assert [array.dtype for array in batch] == dtypes


@pytest.mark.parametrize("lag", [2, 3, 8, 51])
def test_adding_marks_one_number_in_each_half(lag):
    xs, targets = tasks.adding(1, 2000, lag)
    values, marks = xs[..., 0], xs[..., 1]
    assert values.min() >= 0 and values.max() < 1 and set(np.unique(marks)) <= {0, 1}
    half = lag // 2
    assert (marks[:half].sum(0) == 1).all() and (marks[half:].sum(0) == 1).all()
    for sequence in range(0, 2000, 100):
        np.testing.assert_allclose(
            targets[sequence], sum(v for v, m in xs[:, sequence] if m), rtol=1e-6
        )
    assert (marks.mean(1) > 0).all()  # every step can be marked


def test_the_baseline_of_adding_is_the_variance_of_the_sum():
    u = (np.arange(1000) + 0.5) / 1000  # midpoints: the integral to 1e-7
    sums = u[:, None] + u
    assert tasks.ADDING_BASELINE == pytest.approx(np.mean((sums - 1) ** 2), abs=1e-6)
    assert all(np.mean((sums - answer) ** 2) > tasks.ADDING_BASELINE for answer in (0.9, 1.1))
    errors = (tasks.adding(0, 100_000, 10).targets - 1.0) ** 2
    assert abs(errors.mean() - 1 / 6) < 4 * errors.std() / math.sqrt(100_000)


@pytest.mark.parametrize("lag", [1, 2, 30])
def test_copy_is_ten_symbols_a_delimiter_and_the_symbols_again(lag):
    xs, targets = tasks.copy(2, 500, lag)
    assert set(np.unique(xs[:10])) == set(range(8))
    assert (
        (xs[10 : lag + 9] == 8).all() and (xs[lag + 9] == 9).all() and (xs[lag + 10 :] == 8).all()
    )
    assert (targets[: lag + 10] == 8).all()
    for k in range(10):
        assert np.array_equal(targets[lag + 10 + k], xs[k])  # wanted lag + 10 steps later


@pytest.mark.parametrize("lag", [1, 5, 30, 500])
def test_the_baseline_of_copy_is_the_loss_of_guessing_the_symbols(lag):
    _, targets = tasks.copy(3, 4, lag)
    probabilities = np.zeros((lag + 20, 9))
    probabilities[: lag + 10, 8] = 1
    probabilities[lag + 10 :, :8] = 1 / 8
    loss = -np.log(np.take_along_axis(probabilities, targets, axis=1)).mean()
    assert tasks.copy_baseline(lag) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("lag", [10, 19, 50, 100])
def test_order_has_two_relevant_symbols_in_their_places(lag):
    xs, targets = tasks.order(4, 3000, lag)
    relevant = xs < 2
    assert (relevant.sum(0) == 2).all() and set(np.unique(xs)) == set(range(6))
    first, last = relevant.argmax(0), lag - 1 - relevant[::-1].argmax(0)
    tenth = lag // 10
    assert set(first) == set(range(tenth, 2 * tenth)) and set(last) == set(
        range(lag // 2, lag // 2 + tenth)
    )
    sequence = np.arange(3000)
    assert np.array_equal(targets, xs[first, sequence] + 2 * xs[last, sequence])


def test_the_last_symbol_says_nothing_about_the_order():
    xs, targets = tasks.order(5, 40_000, 10)
    for symbol in range(2, 6):
        classes = np.bincount(targets[xs[-1] == symbol], minlength=4) / np.sum(xs[-1] == symbol)
        assert np.abs(classes - 1 / 4).max() < 0.025  # five standard errors
    assert tasks.ORDER_BASELINE == pytest.approx(-4 * (1 / 4) * math.log(1 / 4))


@pytest.mark.parametrize("lag", [0, 1, 8])
def test_echo_repeats_every_bit_a_lag_later(lag):
    xs, targets, mask = tasks.echo(6, 50, 9, lag)
    assert set(np.unique(xs)) == {0, 1} and list(mask) == [t >= lag for t in range(9)]
    for t in range(9):
        assert np.array_equal(targets[t], xs[t - lag, :, 0] if t >= lag else np.zeros(50))


def test_the_bit_of_the_moment_says_nothing_about_the_echo():
    xs, targets, mask = tasks.echo(7, 4000, 30, 3)
    bits, echoes = xs[mask, :, 0].ravel(), targets[mask].ravel()
    # five standard errors
    assert all(abs(echoes[bits == bit].mean() - 1 / 2) < 0.01 for bit in (0, 1))
    assert tasks.ECHO_BASELINE == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "task, sizes, words",
    [
        (tasks.adding, (0, 5), "adding: batch is 0, but must be at least 1"),
        (tasks.adding, (1, 1), "adding: lag is 1, but must be at least 2"),
        (tasks.copy, (1, 0), "copy: lag is 0, but must be at least 1"),
        (tasks.order, (1, 9), "order: lag is 9, but must be at least 10"),
        (tasks.order, (-1, 10), "order: batch is -1"),
        (tasks.echo, (1, 5, 5), "echo: steps is 5, but must be at least 6"),
        (tasks.echo, (1, 5, -1), "echo: lag is -1, but must be at least 0"),
    ],
)
def test_sizes_that_make_no_task(task, sizes, words):
    with pytest.raises(ValueError, match=words):
        task(0, *sizes)
