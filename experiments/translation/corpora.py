"""The two corpora of the translation study, as pairs of token sequences with the text they stand
for.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from sacrebleu.metrics import BLEU

from deepseq.data import multi30k, transduction
from deepseq.data.subwords import Subwords
from deepseq.data.transduction import BEGIN, CHARACTERS, END, PADDING, Pairs
from deepseq.lab.errors import UsageError
from deepseq.lab.workdir import write

SUBWORDS = "subwords.json"  # of a run's directory: what its nets' tokens mean


class Corpus(NamedTuple):
    """Pairs to learn from, to follow the learning on, and to test on, in one vocabulary for both
    sides.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    vocabulary: int
    text: Callable[[Sequence[int]], str]  # of tokens up to the end
    shown: Callable[[Sequence[int]], list[str]]  # each token by itself
    # ("validation" or "test", what was written for each (N, T)) -> measures
    score: Callable[[str, np.ndarray], dict]
    about: dict  # for the log


def load(config: ConfigDict, seed: int, workdir: Path) -> Corpus:
    """The corpus that the config names.

    Raises:
      DataError: its files cannot be read. UsageError: ``workdir`` has no subwords but other text.
    """
    return {"dates": _dates, "multi30k": _multi30k}[config.corpus](config, seed, workdir)


def until_end(tokens: Sequence[int]) -> list[int]:
    """What stands before the end."""
    tokens = np.asarray(tokens).tolist()
    return tokens[: tokens.index(END)] if END in tokens else tokens


def exact(pairs: Pairs, written: np.ndarray) -> dict[str, float]:
    """The share of sequences that are right in every token, and of tokens at their place, the end
    counted.
    """
    width = max(written.shape[1], pairs.targets.shape[1] - 1)
    written = np.pad(written, ((0, 0), (0, width - written.shape[1])), constant_values=END)
    steps = pairs.target_lengths[:, None] - 1
    answers = np.pad(pairs.targets[:, 1:], ((0, 0), (0, width + 1 - pairs.targets.shape[1])))
    right, counted = written == answers, np.arange(width) < steps
    return {
        "exact": float((right | ~counted).all(1).mean()),
        "tokens": float(right[counted].mean()),
    }


def bleu(written: Sequence[str], right: Sequence[str]) -> tuple[float, str]:
    """BLEU of whole texts by sacrebleu's defaults, and the signature that says what those are."""
    metric = BLEU()
    return float(metric.corpus_score(list(written), [list(right)]).score), str(
        metric.get_signature()
    )


def _dates(config: ConfigDict, seed: int, workdir: Path) -> Corpus:
    """Other pairs for every seed; a tenth of the days is for the test alone, and another for
    validation.
    """
    sizes, days = config.dates, transduction.held_out_days()
    rng = np.random.default_rng([seed, 0])
    validation = np.arange(len(days.train)) % 10 == 0
    parts = (
        (sizes.pairs, days.train[~validation]),
        (sizes.validation, days.train[validation]),
        (sizes.test, days.test),
    )
    train, validation, test = (transduction.dates(rng, count, among) for count, among in parts)

    def text(tokens: Sequence[int]) -> str:
        return "".join(CHARACTERS[token] for token in until_end(tokens))

    def score(part: str, written: np.ndarray) -> dict:
        return exact({"validation": validation, "test": test}[part], written)

    about = {
        "name": "dates",
        "pairs": sizes.pairs,
        "vocabulary": len(CHARACTERS),
        "origin": "days from 1800 to 2199",
    }
    return Corpus(
        train,
        validation,
        test,
        len(CHARACTERS),
        text,
        lambda t: [CHARACTERS[n] for n in t],
        score,
        about,
    )


def _multi30k(config: ConfigDict, seed: int, workdir: Path) -> Corpus:
    raw, group = multi30k.load(), config.multi30k
    subwords = _subwords(workdir / SUBWORDS, raw.train, group.vocabulary)
    train, *others = (_pairs(subwords, part) for part in raw[:3])
    short = np.maximum(train.lengths, train.target_lengths - 1) <= group.longest
    train = _cut(Pairs(*(array[short] for array in train)))

    def text(tokens: Sequence[int]) -> str:
        return subwords.decode(until_end(tokens))

    def score(part: str, written: np.ndarray) -> dict:
        value, signature = bleu([text(row) for row in written], getattr(raw, part).target)
        return {"bleu": value, "signature": signature}

    about = {
        "name": "multi30k",
        "pairs": len(train.lengths),
        "left out": int((~short).sum()),
        "vocabulary": subwords.size,
    }
    about |= {
        "tokens": int(train.lengths.sum() + train.target_lengths.sum() - len(short)),
        "origin": raw.origin,
    }
    return Corpus(train, *others, subwords.size, text, subwords.shown, score, about)


def _subwords(path: Path, train: multi30k.Sentences, size: int) -> Subwords:
    """Those of the run where there are any, else those of the training text."""
    if not path.exists():
        subwords = Subwords.learn([*train.source, *train.target], size)
        write(path, subwords.written().encode())
        return subwords
    try:
        return Subwords.read(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged; delete it: the same will be learned again") from error


def _pairs(subwords: Subwords, part: multi30k.Sentences) -> Pairs:
    source, target = subwords.encode(part.source), subwords.encode(part.target)
    return Pairs(
        *_padded(source), *_padded([np.concatenate([[BEGIN], row, [END]]) for row in target])
    )


def _padded(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.full((len(rows), lengths.max()), PADDING, np.int32)
    padded[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(rows)
    return padded, lengths


def _cut(pairs: Pairs) -> Pairs:
    """Without columns that only pad."""
    return pairs._replace(
        source=pairs.source[:, : pairs.lengths.max()],
        targets=pairs.targets[:, : pairs.target_lengths.max()],
    )
