"""The random weights, inputs and states on which identities are shown."""

from typing import NamedTuple

import numpy as np
from jax import Array

from deepseq.nets.recurrent import GRU, LSTM, RNN

D, H, ROWS, STEPS = 5, 7, 64, 6


class Draws(NamedTuple):
    """The random numbers of one seed."""

    rnn: RNN
    lstm: LSTM
    gru: GRU
    xs: Array  # (T, B, D)
    targets: Array  # (T, B, H)
    h: Array  # (B, H), in (-1, 1)
    c: Array  # (B, H)


def draw(seed: int) -> Draws:
    """Weights from torch's U(-1/sqrt(H), 1/sqrt(H)), inputs and states from a normal distribution,
    all float32.
    """
    rng = np.random.default_rng([seed, 1])

    def weights(*shape: int) -> np.ndarray:
        return rng.uniform(-(H**-0.5), H**-0.5, shape).astype(np.float32)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    return Draws(
        RNN(weights(D, H), weights(H, H), weights(H)),
        LSTM(weights(D, 4 * H), weights(H, 4 * H), weights(4 * H)),
        GRU(weights(D, 3 * H), weights(H, 3 * H), weights(3 * H), weights(3 * H)),
        normal(STEPS, ROWS, D),
        normal(STEPS, ROWS, H),
        np.tanh(normal(ROWS, H)),
        normal(ROWS, H),
    )
