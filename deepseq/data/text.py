"""Text that comes with Python: the language reference and help topics of ``pydoc``, as a stream of characters."""

import hashlib
import sys
from typing import NamedTuple

import numpy as np


class Text(NamedTuple):
    """A text as symbols."""

    train: np.ndarray  # (N,) int32
    validation: np.ndarray  # (M,) int32, what follows it
    alphabet: str  # the character of every symbol
    origin: str  # where it is from; it differs between versions of Python


def load(validation: int = 40_000) -> Text:
    """Reads the topics in alphabetical order; characters beyond ASCII are left out.

    Args:
      validation: characters at the end that are held out.

    Raises:
      ValueError: ``validation`` is negative or leaves nothing to train on.
    """
    from pydoc_data import topics

    text = "".join(topics.topics[name] for name in sorted(topics.topics)).encode("ascii", "ignore").decode()
    if not 0 <= validation < len(text):
        raise ValueError(f"validation={validation}, but the text has {len(text)} characters")
    alphabet = "".join(sorted(set(text)))
    codes = np.zeros(128, np.int32)
    codes[np.frombuffer(alphabet.encode(), np.uint8)] = np.arange(len(alphabet))
    symbols = codes[np.frombuffer(text.encode(), np.uint8)]
    digest = hashlib.sha256(text.encode()).hexdigest()
    origin = f"pydoc_data.topics of Python {sys.version_info[0]}.{sys.version_info[1]} (sha256 {digest})"
    held = len(symbols) - validation
    return Text(symbols[:held], symbols[held:], alphabet, origin)


def columns(symbols: np.ndarray, batch: int) -> np.ndarray:
    """The text cut into ``batch`` streams side by side, (T, batch), each going on where its last chunk ended."""
    if not 1 <= batch <= len(symbols):
        raise ValueError(f"columns: {len(symbols)} symbols make no {batch} streams")
    steps = len(symbols) // batch
    return np.ascontiguousarray(symbols[: steps * batch].reshape(batch, steps).T)
