"""One training of the language-model study, and what is left of it for other programs."""

import json
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from deepseq.data.text import Corpus
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session, checkpoint_path
from deepseq.lab.workdir import LOG
from deepseq.nets.blocks.net import LanguageModel, parameters
from deepseq.train import log
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.devices import data_parallel
from deepseq.train.language import chunk_gradient, chunks, evaluate, zero_carry
from deepseq.train.state import StreamState, init_state
from deepseq.train.stream import stream_step
from experiments.language_model.nets import Recipe, recipe

VOCABULARY = "vocabulary.json"  # of a run: what its nets' tokens mean, so that they need no text
TOKENS_AT_ONCE = 500  # whose logits are in memory together while a text is scored


class Trainer:
    """Trains one net from any seed; its programs are compiled once."""

    def __init__(self, config: ConfigDict, corpus: Corpus, recipe: Recipe):
        self.corpus, self.recipe, net = corpus, recipe, recipe.net
        streams = config.measure.streams
        unroll = max(1, TOKENS_AT_ONCE // streams)
        self._evaluate = evaluate(net.apply, streams=streams, unroll=unroll)
        self.init_state = jax.jit(lambda key: _init_state(recipe, key))
        step = stream_step(chunk_gradient(net.apply), recipe.optimizer)
        self.step = data_parallel(step, axis=1)

    def score(self, state: StreamState, part: str) -> float:
        """Nats per token of the "validation" or the "test" text."""
        return self._evaluate(state.params, getattr(self.corpus, part))

    def train(self, session: Session) -> dict:
        """One net from one seed, and its scores after the last step."""
        init_key, chunk_key = jax.random.split(jax.random.key(session.seed))
        recipe = self.recipe
        state = session.fit(
            self.step,
            self.init_state(init_key),
            chunks(self.corpus.train, recipe.batch, recipe.unroll, chunk_key),
            steps=recipe.steps,
            every=recipe.every,
            save_every=recipe.every,
            observe=lambda state: {"validation": self.score(state, "validation")},
        )
        scores = {part: self.score(state, part) for part in ("validation", "test")}
        return {"epoch": recipe.epoch, "parameters": parameters(recipe.net), **scores}


def _init_state(recipe: Recipe, key: jax.Array) -> StreamState:
    params = recipe.net.init(key)
    carry = zero_carry(recipe.net.apply, params, recipe.batch)
    return init_state(params, recipe.optimizer, StreamState, carry=carry)


class Trained(NamedTuple):
    """A net to be asked for the next token."""

    net: LanguageModel
    params: tuple
    vocabulary: tuple[str, ...]
    unit: str


def trained(config: ConfigDict, workdir: Path, name: str, seed: int) -> Trained:
    """The net of a run as its last checkpoint has it, for ``experiments.sample``.

    Raises:
      UsageError: the run has no such net or seed, or no checkpoint of it.
    """
    for flag, value, there in (("net", name, config.nets), ("net_seed", seed, config.seeds)):
        if value not in there:
            options = ", ".join(map(str, there))
            raise UsageError(f"--{flag}={value} is not in {workdir}; take one of {options}")
    path = checkpoint_path(workdir, {"net": name, "seed": seed})
    if path.is_dir() and (workdir / VOCABULARY).is_file():
        vocabulary = tuple(json.loads((workdir / VOCABULARY).read_bytes()))
        symbols = next(r["corpus"]["train"] for r in log.read(workdir / LOG) if "corpus" in r)
        net = recipe(config, name, symbols, len(vocabulary))
        with Checkpoints(path, reading=True) as checkpoints:
            like = jax.jit(lambda key: _init_state(net, key))(jax.random.key(seed))
            state = checkpoints.restore(like)
        if state is not None:
            return Trained(net.net, state.params, vocabulary, config.corpus.unit)
    raise UsageError(
        f"{workdir} has no model: no checkpoint of {name}, seed {seed}; run the study in it first"
    )
