"""What is seen of nets without training them: identities, and the gradient at each lag."""

import functools

import jax
import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.jobs import Session
from experiments.gradient_flow import algebra, measures, nets
from experiments.gradient_flow.draws import draw


class Views:
    """The programs of both, compiled once for all seeds."""

    def __init__(self, config: ConfigDict):
        self.config = config
        self._identities = jax.jit(algebra.identities)
        self._jacobians = {cell: nets.jacobians(config, cell) for cell in nets.CELLS}
        self._draw = functools.lru_cache(1)(functools.partial(nets.draw, config))

    def identities(self, session: Session) -> dict:
        """The record of one seed's identities."""
        return {"found": jax.device_get(self._identities(draw(session.seed)))}

    def flow(self, session: Session) -> dict:
        """The record of one seed's nets of one cell: what tells them apart, and what is left."""
        config, seed, cell = self.config, session.seed, session.tag["cell"]
        draws, hidden, lags = self._draw(seed), config.flow.hidden, points(config)
        tags = nets.tags(config, cell)
        driven = np.array([tag["driven"] for tag in tags], np.float32)
        stack = nets.stack(config, cell, draws)
        factors = np.asarray(self._jacobians[cell](stack, driven, draws.xs))
        # L is a random linear function of h_T; an LSTM's c_T is no output
        direction = np.zeros(factors.shape[-1])
        direction[:hidden] = np.random.default_rng([seed, 4]).standard_normal(hidden)
        block = slice(hidden, 2 * hidden) if cell == "lstm" else None
        left = measures.flow(factors, direction / np.linalg.norm(direction), lags, block)
        rounded = [{name: np.round(v[n], 3) for name, v in left.items()} for n in range(len(tags))]
        cases = zip(tags, rounded, strict=True)
        return {
            "lags": lags,
            "nets": [tag | nets.theory(cell, tag, draws) | values for tag, values in cases],
        }


def points(config: ConfigDict) -> list[int]:
    """The lags at which the gradient is recorded, evenly from 0 to T."""
    lags = np.linspace(0, config.flow.steps, config.flow.points).round().astype(int)
    return sorted(set(lags.tolist()))
