"""Language models: do recurrent nets predict text better than counting does, and which cell does
best?

Paper     Zaremba, Sutskever, Vinyals 2014 (arXiv 1409.2329), small, medium and large nets on the
          Penn Treebank; Chung et al. 2014 (arXiv 1412.3555) for the cells; Chen, Goodman 1999 for
          the n-grams.
Command   python -m experiments.run --config=configs/language_model.py[:smoke|:laptop|:paper]

    tier     text                                  nets                  seeds  time on two cores
    smoke    characters of Python's documentation  LSTM, GRU, RNN, tiny  2      20 s
    laptop   characters of Python's documentation  LSTM of 448 units     3      7 minutes
    paper    words of the Penn Treebank            small, medium, large  1      for an accelerator

          The smoke tier's nets have equally many parameters; the paper tier's are trained by the
          paper's recipe. The small one takes half an hour on two CPU cores: the paper tier with
          --config.nets=small. To compare cells: --config.nets=lstm,gru,rnn. The treebank's
          characters: the laptop tier with --config.corpus.text=ptb, its words with
          --config.corpus.unit=words besides. A text of your own: --config.corpus.text=FILE.

Expected  Small net: perplexity 120.7 (validation) and 114.5 (test), medium 86.2 and 82.7, large
          82.2 and 78.4 (table 1). Gated cells beat the plain RNN, and trained for long enough every
          net beats the n-grams.
Chosen    Size, batch, unroll, dropout and rates by the validation text, in some twenty trials with
          seed 100. LSTMs and GRUs of 256 units came out level with the best n-gram model (12
          symbols), hence the larger LSTM. High rates are faster where they last, and fail for some
          seeds.
Departs   The medium net's rate falls by 1 / 1.2 an epoch, as the paper has it (TensorFlow's
          reproduction: 0.8).
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "language_model"
    config.tier = tier
    config.seeds = (0, 1, 2)
    # or "gru", "rnn"; several are trained alike, with equally many parameters
    config.nets = ("lstm",)

    config.corpus = ConfigDict()
    # its bundled documentation, each paragraph once; or "ptb", or a UTF-8 file
    config.corpus.text = "python"
    config.corpus.unit = "characters"  # or "words"
    # characters of Python's documentation for validation, and as many for the test
    config.corpus.held_out = 40_000

    # the cells; the others get the hidden units that make their parameters as many as the LSTM's
    config.net = ConfigDict()
    config.net.hidden = 448  # of the LSTM
    config.net.embedding = 64
    config.net.layers = 1
    config.net.dropout = 0.35
    # the softmax has the embedding's weights; each net's embedding is then as wide as its hidden
    # layer
    config.net.tied = False

    config.train = ConfigDict()
    config.train.updates = 5000
    config.train.batch_size = 16
    config.train.unroll = 50
    # norm to which the gradient of the loss summed over the unroll is clipped
    config.train.clip = 5.0
    # of Adam; falls to 0 along a line
    config.train.rate = ConfigDict({"lstm": 8e-3, "gru": 3e-3, "rnn": 2e-3})

    config.ngrams = (2, 3, 4, 5, 6, 7, 8, 10, 12)  # orders of the Kneser-Ney models

    config.measure = ConfigDict()
    config.measure.every = 500  # updates between two points of the curves
    config.measure.streams = 4  # that a text is read in side by side when it is scored
    # bits per character, or share of the perplexity, within which two cells count as equal
    config.measure.margin = 0.01

    if tier == "smoke":
        config.seeds = (0, 1)
        config.nets = ("lstm", "gru", "rnn")
        config.corpus.held_out = 2000
        config.net.update({"hidden": 16, "embedding": 8})
        config.train.update({"updates": 20, "batch_size": 8, "unroll": 10})
        config.measure.every = 10
        config.ngrams = (1, 2, 3)

    if tier == "paper":
        config.seeds = (0,)
        config.nets = ("small", "medium", "large")
        config.corpus.update({"text": "ptb", "unit": "words"})
        config.ngrams = (2, 3, 4, 5)
        config.measure.streams = 1  # every word of the test is predicted from all words before it
        del config.net, config.train, config.measure.every  # the recipe decides; a record per epoch
        # learning rate, clip, unroll, epochs at the full rate, epochs, factor of every epoch after
        sizes = {
            "small": (1.0, 5.0, 20, 4, 13, 1 / 2),
            "medium": (1.0, 5.0, 35, 6, 39, 1 / 1.2),
            "large": (1.0, 10.0, 35, 14, 55, 1 / 1.15),
        }
        for name, values in sizes.items():
            config[name] = ConfigDict(
                dict(
                    zip(("rate", "clip", "unroll", "flat", "epochs", "decay"), values, strict=True)
                )
            )
            config[name].batch_size = 20
    return config
