"""The two nets of the translation study, of equally many parameters."""

from ml_collections import ConfigDict

from deepseq.lab.errors import UsageError
from deepseq.nets.blocks.net import Seq2Seq, nearest_width, parameters
from deepseq.nets.sequences.attentive import attentive
from deepseq.nets.sequences.transformer import transformer

NETS = ("rnn", "transformer")


def build(config: ConfigDict, vocabulary: int) -> dict[str, Seq2Seq]:
    """The Transformer of the config, and the RNN with attention that comes nearest to its number of
    parameters.

    Raises:
      UsageError: sizes of which no Transformer can be made, or no RNN that small.
    """
    sizes = {key: value for key, value in config.transformer.items() if key != "rate"}
    embedding, dropout = config.rnn.embedding, config.rnn.dropout
    try:
        large = transformer(vocabulary, **sizes)
    except ValueError as error:
        raise UsageError(f"{error} (--config.transformer)") from error

    def rnn(hidden: int) -> Seq2Seq:
        widths = {"embedding": embedding, "hidden": hidden, "alignment": hidden}
        return attentive(vocabulary, vocabulary, **widths, dropout=dropout)

    budget = parameters(large)
    if parameters(rnn(1)) > budget:
        raise UsageError(
            f"--config.rnn.embedding={embedding} alone needs more than the Transformer's"
            f" {budget} parameters; take less"
        )
    return {"rnn": rnn(nearest_width(rnn, budget)), "transformer": large}
