"""Deep-learning study notes made executable: networks as pure functions, claims as experiments."""

import importlib.metadata

from deepseq import _lazy

__getattr__, __dir__ = _lazy.submodules(__name__)

try:
    __version__ = importlib.metadata.version("deepseq")
except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"
