"""How a network computes: pure functions over NamedTuples of arrays, one file per paper."""

from deepseq import _lazy

__getattr__, __dir__ = _lazy.submodules(__name__)
