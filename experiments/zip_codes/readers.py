"""Linear readers, fitted in closed form: what features are worth."""

from collections.abc import Sequence

import numpy as np

READERS = ("pixels", "maps before training", "maps")  # by what they read
Part = tuple[np.ndarray, np.ndarray]  # features (N, D) and labels (N,)


def test_error(train: Part, test: Part, penalties: Sequence[float]) -> float:
    """% of test errors of ridge regression to 1 for the class and -1 for the others.

    Features are scaled by the training part's mean and by its deviation over all of them; an
    intercept is added. Of the penalties the one with the fewest errors on the last fifth of the
    training part is taken.
    """
    centre, scale = train[0].mean(0), train[0].std() + 1e-12
    (x, labels), test = (
        (np.concatenate([(x - centre) / scale, np.ones((len(x), 1), np.float32)], 1), labels)
        for x, labels in (train, test)
    )
    cut = len(x) * 4 // 5
    products = _products(x[:cut], labels[:cut])
    errors = [_error(products, penalty, x[cut:], labels[cut:]) for penalty in penalties]
    return _error(_products(x, labels), penalties[int(np.argmin(errors))], *test)


def _products(x: np.ndarray, labels: np.ndarray) -> Part:
    """x^T x / N and x^T y / N."""
    targets = np.where(labels[:, None] == np.arange(10), np.float32(1), np.float32(-1))
    return (x.T @ x).astype(np.float64) / len(x), (x.T @ targets).astype(np.float64) / len(x)


def _error(products: Part, penalty: float, x: np.ndarray, labels: np.ndarray) -> float:
    w = np.linalg.solve(products[0] + penalty * np.eye(len(products[0])), products[1])
    return float(100 * np.mean((x @ w.astype(np.float32)).argmax(1) != labels))
