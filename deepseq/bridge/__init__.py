"""Nets in programs written in Flax: any of them as a linen or nnx module, variables in and out.

``as_linen`` and ``as_nnx`` take image classifiers, recurrent layers, language models and
encoder-decoders, by what they have (``init``, ``apply``, ``teach``) and by the keywords of their
functions (``running``, ``key``, ``carry``). A variable has the same name in both."""

from deepseq.bridge.linen import as_linen
from deepseq.bridge.nnx import as_nnx
from deepseq.bridge.variables import from_variables, to_variables

__all__ = ["as_linen", "as_nnx", "from_variables", "to_variables"]
