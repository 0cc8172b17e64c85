"""Kneser-Ney against a slow version written from the paper's equations, and against answers known
by hand.
"""

from collections import Counter

import numpy as np
import pytest

from deepseq.data import ptb, source
from deepseq.nets.sequences import ngram
from deepseq.nets.sequences.ngram import log_probabilities


def slow(train, vocabulary_size, order):
    """p(w | h) from dictionaries of tuples (Chen, Goodman 1999): (h, w) -> probability."""
    train = tuple(int(w) for w in train)
    seen = [Counter(train[i : i + m] for i in range(len(train) - m + 1)) for m in range(order + 2)]

    def count(gram):
        if len(gram) == order:
            return seen[order][gram]
        return sum((v, *gram) in seen[len(gram) + 1] for v in range(vocabulary_size))  # N1+(. gram)

    counts = [{gram: count(gram) for gram in seen[m]} for m in range(order + 1)]

    def discount(m, c):
        n = [sum(value == k for value in counts[m].values()) for k in range(5)]
        k = min(c, 3)
        if k and n[k] and n[1] + n[2]:
            estimated = k - (k + 1) * n[1] / (n[1] + 2 * n[2]) * n[k + 1] / n[k]
            if 0 < estimated < k:
                return estimated
        return (0, 0.5, 1.0, 1.5)[k]

    tables = [{c: discount(m, c) for c in {0, *counts[m].values()}} for m in range(order + 1)]

    def p(history, w):
        m = len(history) + 1
        follow = [counts[m].get((*history, v), 0) for v in range(vocabulary_size)]
        below = p(history[1:], w) if history else 1 / vocabulary_size
        if not sum(follow):
            return below
        gamma = sum(tables[m][c] for c in follow) / sum(follow)
        c = counts[m].get((*history, w), 0)
        return max(c - tables[m][c], 0) / sum(follow) + gamma * below

    return p


def chain(seed, length, vocabulary_size, peak):
    """A sequence where each symbol favours the next ones: its n-grams have counts of all sizes."""
    random = np.random.default_rng(seed)
    table = random.dirichlet([peak] * vocabulary_size, vocabulary_size)
    symbols = [0]
    for _ in range(length - 1):
        symbols.append(int(random.choice(vocabulary_size, p=table[symbols[-1]])))
    return np.array(symbols, np.int32)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("length", "vocabulary_size", "peak"),
    [(1, 3, 1), (4, 3, 1), (60, 4, 0.5), (700, 9, 0.4), (500, 30, 0.2)],
)
def test_equals_the_equations(order, length, vocabulary_size, peak):
    train, other = chain(0, length, vocabulary_size, peak), chain(1, 25, vocabulary_size, peak)
    test = np.concatenate([other, train[:25], [vocabulary_size - 1, 0, vocabulary_size - 1]])
    p = slow(train, vocabulary_size, order)
    expected = [
        p(tuple(map(int, test[max(0, t - order + 1) : t])), int(test[t])) for t in range(len(test))
    ]
    np.testing.assert_allclose(
        np.exp(log_probabilities(train, test, vocabulary_size, order)), expected, rtol=1e-12
    )


def test_discounts():
    def from_numbers(*n):
        return ngram.discounts(np.repeat(np.arange(len(n)), n))[1:]

    # an equation of the paper by hand: Y = 40 / 60, D1 = 1 - 2 Y 10/40, D2 = 2 - 3 Y 6/10, D3 = 3 -
    # 4 Y 3/6
    np.testing.assert_allclose(from_numbers(7, 40, 10, 6, 3, 9), [2 / 3, 0.8, 5 / 3], rtol=1e-12)
    np.testing.assert_allclose(from_numbers(0, 40, 10, 6, 0), [2 / 3, 0.8, 1.5])  # no count of 4
    np.testing.assert_allclose(from_numbers(0, 40, 10, 0, 3), [2 / 3, 1, 1.5])
    # D2 would be -10
    np.testing.assert_allclose(from_numbers(0, 40, 10, 60, 3), [2 / 3, 1, 3 - 4 * 2 / 3 / 20])
    for n in ((0, 0, 0, 0, 0, 94), (5,), (0, 40), (0, 0, 3, 3, 3)):
        np.testing.assert_allclose(from_numbers(*n), ngram.FALLBACK)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_next_symbol_is_one_of_the_vocabulary(order):
    size = 12
    train = chain(2, 400, size - 1, 0.3)  # the last symbol never occurs
    contexts = [
        [],
        [size - 1],
        [0, size - 1],
        [size - 1, 0],
        *(list(train[i : i + 3]) for i in range(0, 60, 3)),
        [0] * 6,
        [10, 9, 8],
    ]
    for context in contexts:
        following = [
            log_probabilities(train, np.array([*context, w]), size, order)[-1] for w in range(size)
        ]
        assert np.isfinite(following).all()
        np.testing.assert_allclose(np.exp(following).sum(), 1, rtol=1e-12)


def test_order_one_is_discounted_counts():
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4, 0, 0])  # n_1..n_4 = 4, 2, 1, 1, so Y = 1/2
    train = np.repeat(np.arange(10), counts)
    np.testing.assert_allclose(ngram.discounts(counts), [0, 1 - 0.5, 2 - 3 / 4, 3 - 2])
    held = 4 * 0.5 + 2 * 1.25 + 2 * 1
    expected = (
        counts - np.array([0.5] * 4 + [1.25] * 2 + [1] * 2 + [0] * 2) + held / 10
    ) / counts.sum()
    for order_of_training in (train, np.random.default_rng(0).permutation(train)):
        p = np.exp(log_probabilities(order_of_training, np.arange(10), 10, 1))
        np.testing.assert_allclose(p, expected, rtol=1e-12)


def test_a_sequence_by_hand():
    """0 0 1 of three symbols: bigrams 00 and 01 once each, so 0 and 1 have one predecessor each;
    the discount is 1/2.
    """
    p = np.exp(log_probabilities(np.array([0, 0, 1]), np.array([0, 0, 2, 2, 1, 1, 0]), 3, 2))
    # p(0) = p(1) = (1 - 1/2 + 2 * 1/2 * 1/3) / 2 and p(2) = 1/6; after 0: (1 - 1/2 + p(w)) / 2;
    # nothing follows 1 or 2
    np.testing.assert_allclose(
        p, [5 / 12, 11 / 24, 1 / 12, 1 / 6, 5 / 12, 5 / 12, 5 / 12], rtol=1e-12
    )


def test_what_was_never_seen_is_uniform():
    p = np.exp(log_probabilities(np.zeros(50, int), np.array([1, 2, 3, 4, 1]), 5, 3))
    np.testing.assert_allclose(p, p[0], rtol=1e-12)
    assert 0 < p[0] < 1 / 5


def test_the_history_is_the_tests_own():
    train = chain(3, 300, 5, 0.5)
    whole = log_probabilities(train, train[:40], 5, 4)
    np.testing.assert_array_equal(log_probabilities(train, train[:10], 5, 4), whole[:10])  # causal
    # three symbols back
    np.testing.assert_array_equal(log_probabilities(train, train[10:40], 5, 4)[3:], whole[13:])
    assert log_probabilities(train, np.array([], int), 5, 4).shape == (0,)
    assert log_probabilities(train, train[:3].astype(np.uint8), 5, 9).dtype == np.float64


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"order": 0}, "order=0 and 3 training symbols"),
        ({"train": []}, "order=2 and 0 training symbols"),
        ({"train": [0, 5]}, "train must be one row of integers from 0 to 4"),
        ({"test": [-1]}, "test must be one row of integers from 0 to 4"),
        ({"test": [0.5]}, "test must be one row"),
        ({"train": [[0, 1], [1, 0]]}, "train must be one row"),
    ],
)
def test_bad_input(change, line):
    given = {"train": [0, 1, 2], "test": [0, 1], "vocabulary_size": 5, "order": 2, **change}
    with pytest.raises(ValueError, match=line):
        log_probabilities(**given)


def test_the_penn_treebank():
    """Mikolov 2012 (thesis, table 4.1) has 148.3 and 141.2 for unmodified Kneser-Ney of order 3 and
    5, line by line.
    """
    if not (source.data_dir() / ptb.FOLDER / "ptb.train.txt").exists():
        pytest.skip(f"no Penn Treebank in {source.data_dir() / ptb.FOLDER}; set DEEPSEQ_DATA")
    words = ptb.load("words")
    for order, perplexity in ((3, 148.3), (5, 141.2)):
        found = np.exp(-log_probabilities(words.train, words.test, 10_000, order).mean())
        assert found == pytest.approx(perplexity, rel=0.01)
