"""Counting as a language model: interpolated modified Kneser-Ney, the baseline that a network has
to beat.

Chen, Goodman 1999, "An empirical study of smoothing techniques for language modeling", Computer
Speech & Language 13(4). With c(h w) the count of the n-gram of a history h and a symbol w, and h'
the history without its first symbol,

    p(w | h) = (c(h w) - D(c(h w)) + p(w | h') sum_v D(c(h v))) / sum_v c(h v),
    p(w | h) = p(w | h') where h is new.

At the highest order c counts occurrences; below it, it counts the different symbols seen before h
w. Each order has its own discounts D(1), D(2), D(3 or more). The recursion ends in the uniform
distribution, so every symbol has p > 0."""

import numpy as np

__all__ = ["FALLBACK", "discounts", "log_probabilities"]

# discounts of an order with too few n-grams to estimate them from; KenLM's default
FALLBACK = (0.5, 1.0, 1.5)


def log_probabilities(
    train: np.ndarray, test: np.ndarray, vocabulary_size: int, order: int
) -> np.ndarray:
    """log p(test[t] | the order - 1 symbols before it), in nats: (K,) float64.

    The history is the test's own: nothing stands before its first symbol, so the first order - 1
    symbols have shorter histories. Nothing stands before the first symbol of ``train`` either. Each
    order takes about the time of one sort.

    Args:
      train: (N,) integers in 0..vocabulary_size-1; the only ones that are counted.
      test: (K,) such integers.
      order: symbols of the longest n-gram; 1 has no history.

    Raises:
      ValueError: a symbol out of range, nothing to count, or an order below 1.
    """
    train, test = _checked("train", train, vocabulary_size), _checked("test", test, vocabulary_size)
    if order < 1 or not len(train):
        raise ValueError(
            f"order={order} and {len(train)} training symbols; both must be at least 1"
        )
    symbols, cut = np.concatenate([train, test]), len(train)
    p = np.full(len(test), 1 / vocabulary_size)
    # names the n-gram that ends at each position: at first the empty one
    before = np.zeros(len(symbols), np.int64)
    histories, grams = _longer(before, symbols, vocabulary_size)
    for length in range(1, order + 1):
        if length < order:
            next_histories, longer = _longer(grams, symbols, vocabulary_size)
            counts = _predecessors(
                grams[length:cut], longer[length:cut], len(histories), len(next_histories)
            )
        else:
            counts = np.bincount(grams[length - 1 : cut], minlength=len(histories))
        discount = discounts(counts)[np.minimum(counts, 3)]
        total, held = (np.bincount(histories, weights) for weights in (counts, discount))
        history, gram, lower = (
            before[cut + length - 2 : -1],
            grams[cut + length - 1 :],
            p[length - 1 :],
        )
        mixed = ((counts - discount)[gram] + held[history] * lower) / np.maximum(total[history], 1)
        p[length - 1 :] = np.where(total[history] > 0, mixed, lower)
        if length < order:
            before, grams, histories = grams, longer, next_histories
    return np.log(p)


def discounts(counts: np.ndarray) -> np.ndarray:
    """D of a count of 0, 1, 2 and of 3 or more, (4,), from n_1 to n_4: how many of the given counts
    are 1 to 4.

    D(k) = k - (k + 1) Y n_{k+1} / n_k with Y = n_1 / (n_1 + 2 n_2). A D(k) that is not between 0
    and k, as where an n is 0, is the one in FALLBACK."""
    n, k = np.bincount(np.minimum(counts, 5), minlength=6)[1:5], np.arange(1, 4)
    found = k - (k + 1) * n[0] / max(n[0] + 2 * n[1], 1) * n[1:] / np.maximum(n[:3], 1)
    return np.append(0.0, np.where((n[:3] > 0) & (found > 0) & (found < k), found, FALLBACK))


def _longer(
    grams: np.ndarray, symbols: np.ndarray, vocabulary_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Names for n-grams one symbol longer: (the history of each name, the name at each position).

    Those that run over the start of a part get a name too; nobody counts them.
    """
    pairs, names = np.unique(np.roll(grams, 1) * vocabulary_size + symbols, return_inverse=True)
    return pairs // vocabulary_size, names


def _predecessors(
    grams: np.ndarray, longer: np.ndarray, kinds: int, longer_kinds: int
) -> np.ndarray:
    """How many different longer n-grams end in each n-gram, (kinds,); both are given as their names
    at every position.
    """
    suffix = np.full(longer_kinds, kinds)
    suffix[longer] = grams
    return np.bincount(suffix, minlength=kinds)[:kinds]


def _checked(name: str, symbols: np.ndarray, vocabulary_size: int) -> np.ndarray:
    symbols = np.asarray(symbols)
    whole = symbols.ndim == 1 and (not symbols.size or np.issubdtype(symbols.dtype, np.integer))
    if not whole or ((symbols < 0) | (symbols >= vocabulary_size)).any():
        raise ValueError(f"{name} must be one row of integers from 0 to {vocabulary_size - 1}")
    return symbols.astype(np.int64)
