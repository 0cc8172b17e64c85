"""What a train step changes: ``flax.struct`` dataclasses of arrays, donated and stored whole.

``state.replace(params=...)`` gives a changed copy. What a stream or a study carries beside the
parameters extends ``State`` by a field.
"""

from typing import Any

import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

__all__ = ["State", "StreamState", "TrainState", "init_state"]


@struct.dataclass
class State:
    """The parameters of a net in training."""

    step: Array  # () int32, steps taken
    params: Any
    optimizer: Any  # optax's state

    def update(
        self, gradient: Any, optimizer: optax.GradientTransformation, **more: Any
    ) -> "State":
        """The state after a step along a gradient, with further fields as given."""
        updates, optimizer_state = optimizer.update(gradient, self.optimizer, self.params)
        params = optax.apply_updates(self.params, updates)
        return self.replace(step=self.step + 1, params=params, optimizer=optimizer_state, **more)


@struct.dataclass
class TrainState(State):
    """That of a net with batch normalisation, or without."""

    running: Any  # running averages of the net's moments, or ()


@struct.dataclass
class StreamState(State):
    """That of a net on a stream."""

    carry: Any  # of the net after the last chunk, (B, H) arrays


def init_state(
    params: Any, optimizer: optax.GradientTransformation, kind: type[State] = State, **more: Any
) -> State:
    """The state before the first step, with the further fields that its ``kind`` has."""
    return kind(jnp.zeros((), jnp.int32), params, optimizer.init(params), **more)
