"""The translation study's batches, corpora and nets."""

import functools
import gzip
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.translation import get_config
from deepseq.data import multi30k, transduction
from deepseq.data.transduction import BEGIN, CONTENT, END, Pairs
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.net import parameters
from deepseq.train.loop import Interrupted
from deepseq.train.losses import smoothed_cross_entropy
from deepseq.train.teaching import teach
from experiments.run import main
from experiments.translation.batches import (
    Shape,
    batch_shapes,
    buckets,
    in_order,
    per_epoch,
    rows_of,
    shuffled,
    take,
)
from experiments.translation.corpora import SUBWORDS, exact, load, until_end
from experiments.translation.nets import NETS, build
from experiments.translation.training import Trainer, adam, mean_loss, wide, write

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE = get_config("smoke")


def some_pairs(count=100, longest=20, seed=0):
    """Pairs whose first token is their number, so that they can be told apart."""
    rng = np.random.default_rng(seed)
    pairs = transduction.reversal(rng, count, (1, longest), 5)
    source, targets = pairs.source.copy(), pairs.targets.copy()
    source[:, 0] = targets[:, 1] = 100 + np.arange(count)
    return pairs._replace(source=source, targets=targets)


@functools.partial(jax.jit, static_argnums=0)
def loss_of(net, params, batch):
    return mean_loss(net, params, batch, 0.1)


PAIRS = some_pairs()
SHAPES = batch_shapes(PAIRS, (6, 12, 40), 64)


def test_shapes():
    assert SHAPES == [Shape(8, 6, 6), Shape(8, 12, 12), Shape(8, 20, 21)]
    assert [rows_of(tokens, 10) for tokens in (1, 80, 159, 160, 1024)] == [8, 8, 8, 16, 96]
    assert batch_shapes(PAIRS, (), 640) == [Shape(24, 20, 21)]


def test_each_pair_is_in_the_narrowest_bucket():
    found = buckets(PAIRS, SHAPES)
    longer = np.maximum(PAIRS.lengths, PAIRS.target_lengths - 1)
    assert sorted(np.concatenate(found)) == list(range(100))
    for low, high, rows in zip((0, 6, 12), (6, 12, 21), found, strict=True):
        assert len(rows) and (longer[rows] > low).all() and (longer[rows] <= high).all()


def test_an_epoch_has_each_pair_once_and_the_next_another_order():
    batch, length = shuffled(PAIRS, SHAPES, 0), per_epoch(PAIRS, SHAPES)
    orders = []
    for epoch in range(2):
        batches = [batch(epoch * length + n) for n in range(length)]
        assert {b.source.shape for b in batches} == {s[:2] for s in SHAPES}
        numbers = np.concatenate([b.source[b.counted.any(1), 0] for b in batches])
        assert sorted(numbers) == list(range(100, 200))
        for b in batches:
            assert (b.source[:, 0] == b.given[:, 1])[b.counted.any(1)].all()
        orders.append(numbers.tolist())
    assert orders[0] != orders[1]
    widths = [batch(n).source.shape[1] for n in range(length)]
    assert widths != sorted(widths), "short and long batches are mixed"


def test_a_batch_is_a_function_of_seed_and_step():
    one, other, length = (
        shuffled(PAIRS, SHAPES, 3),
        shuffled(PAIRS, SHAPES, 3),
        per_epoch(PAIRS, SHAPES),
    )
    for step in (length + 2, 1, 5, length):  # in any order, as after a restart
        for a, b in zip(jax.tree.leaves(one(step)), jax.tree.leaves(other(step)), strict=True):
            assert (a == b).all()
    keys = {jax.random.key_data(one(step).key).tobytes() for step in range(2 * length)}
    assert len(keys) == 2 * length
    orders = [
        [row[0] for n in range(length) for row in shuffled(PAIRS, SHAPES, seed)(n).source]
        for seed in (3, 4)
    ]
    assert orders[0] != orders[1]


def test_rows_that_fill_a_batch_count_nothing():
    batch = take(PAIRS, np.array([5, 7]), Shape(8, 20, 21))
    assert (
        (batch.lengths[2:] == 1).all()
        and (batch.source[2:, 0] == END).all()
        and not batch.counted[2:].any()
    )
    for n, row in enumerate((5, 7)):
        steps = PAIRS.target_lengths[row] - 1
        assert (
            batch.counted[n].sum() == steps
            and batch.answers[n, steps - 1] == END
            and batch.given[n, 0] == BEGIN
        )
        np.testing.assert_array_equal(batch.given[n, 1:steps], batch.answers[n, : steps - 1])


@pytest.mark.parametrize("name", NETS)
def test_neither_padding_nor_company_changes_the_loss(name):
    net = build(SMOKE, 200)[name]
    params = net.init(jax.random.key(0))
    rows = buckets(PAIRS, SHAPES)[0][:8]
    narrow, wider = (take(PAIRS, rows, shape) for shape in (SHAPES[0], Shape(16, 20, 21)))
    losses = [loss_of(net, params, batch) for batch in (narrow, wider)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_loss_is_the_mean_over_what_counts():
    config = get_config("smoke")
    config.transformer.dropout = 0.3
    net = build(config, 200)["transformer"]
    params = net.init(jax.random.key(0))
    batch = take(PAIRS, np.arange(5), SHAPES[-1])
    logits = jax.jit(teach, static_argnums=0)(net, params, batch)
    each = [
        smoothed_cross_entropy(logits[n], jnp.asarray(batch.answers[n]), 0.1)[
            : batch.counted[n].sum()
        ]
        for n in range(5)
    ]
    np.testing.assert_allclose(loss_of(net, params, batch), np.concatenate(each).mean(), rtol=1e-5)
    dropped = [
        float(loss_of(net, params, batch._replace(key=jax.random.key(k)))) for k in (0, 0, 1)
    ]
    assert dropped[0] == dropped[1] != dropped[2]


@pytest.mark.parametrize(
    ("tier", "vocabulary"), [("smoke", 44), ("laptop", 44), ("paper", 5000), ("paper", 8000)]
)
def test_parameters_are_matched_within_a_percent_or_two(tier, vocabulary):
    counts = {name: parameters(net) for name, net in build(get_config(tier), vocabulary).items()}
    assert abs(counts["rnn"] / counts["transformer"] - 1) < 0.02, counts


def test_the_rate_rises_to_its_peak_and_falls_as_the_root():
    config = get_config()
    config.train.update({"warmup": 4, "clip": 1e9})
    update = adam(config, 0.5)
    state, rates = update.init(jnp.zeros(())), []
    for _ in range(16):
        step, state = update.update(jnp.ones(()), state)
        rates.append(-float(step))
    np.testing.assert_allclose(rates[:4], [0.125, 0.25, 0.375, 0.5], rtol=1e-5)
    np.testing.assert_allclose(rates[15], 0.25, rtol=1e-5)


def test_longer_sources_than_were_learned_from_have_a_shape_of_their_own():
    long = some_pairs(30, 33, seed=1)
    assert wide(SHAPES, PAIRS, 64) == SHAPES
    found = wide(SHAPES, long, 64)
    assert found[:-1] == SHAPES and found[-1] == Shape(
        8, int(long.lengths.max()), int(long.target_lengths.max() - 1)
    )
    assert sum(len(rows) for rows, _ in in_order(long, found)) == 30


def test_what_is_written_is_in_the_order_of_the_sources():
    said = write(
        lambda params, source, lengths: source[:, :1] + lengths[:, None], None, PAIRS, SHAPES, 64
    )
    np.testing.assert_array_equal(said[:, 0], PAIRS.source[:, 0] + PAIRS.lengths)


def test_exactness_counts_whole_sequences_and_tokens():
    a, b, c = CONTENT, CONTENT + 1, CONTENT + 2
    targets = np.array([[BEGIN, a, b, END], [BEGIN, c, END, 0], [BEGIN, a, END, 0]])
    pairs = Pairs(np.zeros((3, 1), int), np.ones(3, int), targets, np.array([4, 3, 3]))
    said = np.array([[a, b, END, END, END], [c, END, END, END, END], [a, b, END, END, END]])
    assert exact(pairs, said) == {"exact": 2 / 3, "tokens": 6 / 7}
    assert exact(pairs, said[:, :1]) == {
        "exact": 2 / 3,
        "tokens": 6 / 7,
    }, "what is cut off has ended"
    assert until_end([a, b, END, c]) == [a, b] and until_end([a]) == [a]


def test_the_parts_of_the_dates_share_no_day(tmp_path):
    corpus = load(get_config(), 0, tmp_path)
    days = [{corpus.text(row[1:]) for row in part.targets} for part in corpus[:3]]
    assert not (days[0] & days[1] or days[0] & days[2] or days[1] & days[2])
    other = load(get_config(), 1, tmp_path)
    assert (other.train.source != corpus.train.source).any()
    assert corpus.score("test", corpus.test.targets[:, 1:]) == {"exact": 1.0, "tokens": 1.0}


WORDS = {
    "Hund": "dog",
    "Katze": "cat",
    "rennt": "runs",
    "schläft": "sleeps",
    "groß": "big",
    "der": "the",
    "und": "and",
}


@pytest.fixture
def tiny_corpus(tmp_path, monkeypatch):
    """A small corpus in the place and the format of Multi30k, word by word the same in both
    languages.
    """
    rng, files = np.random.default_rng(0), {}
    for part, count in zip(multi30k.PARTS, (120, 9, 7), strict=True):
        lines = [rng.choice(list(WORDS), rng.integers(2, 6)) for _ in range(count)]
        for language, said in (("de", lambda w: w), ("en", WORDS.get)):
            text = "".join(" ".join(map(said, line)) + ".\n" for line in lines)
            files[f"{part}.{language}.gz"] = gzip.compress(text.encode(), mtime=0)
    sums = {
        name: (len(content), hashlib.md5(content).hexdigest()) for name, content in files.items()
    }
    monkeypatch.setattr(multi30k, "FILES", sums)
    monkeypatch.setattr(multi30k, "MIRRORS", ())
    folder = tmp_path / "data/multi30k"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path / "data"))
    return folder


def corpus_config():
    config = get_config("smoke")
    config.corpus = "multi30k"
    config.multi30k.update({"vocabulary": 300, "longest": 24})
    return config


def test_sentences_become_pieces_and_text_again(tiny_corpus, tmp_path):
    corpus = load(corpus_config(), 0, tmp_path)
    assert corpus.vocabulary <= 300 and corpus.about["vocabulary"] == corpus.vocabulary
    target = corpus.validation.targets
    assert (target[:, 0] == BEGIN).all() and all(END in row for row in target)
    assert corpus.score("validation", target[:, 1:])["bleu"] == pytest.approx(100)
    said = np.roll(corpus.test.targets, 1, axis=0)[:, 1:]
    assert corpus.score("test", said)["bleu"] < 60
    assert corpus.about["pairs"] + corpus.about["left out"] == 120
    assert max(corpus.train.lengths.max(), corpus.train.target_lengths.max() - 1) <= 24


def test_a_run_keeps_its_pieces(tiny_corpus, tmp_path):
    first = load(corpus_config(), 0, tmp_path)
    again = load(corpus_config(), 5, tmp_path)
    np.testing.assert_array_equal(first.train.source, again.train.source)
    (tmp_path / SUBWORDS).write_text("{")
    with pytest.raises(UsageError, match=r"subwords\.json is damaged; delete it"):
        load(corpus_config(), 0, tmp_path)


def test_the_corpus_is_translated(tiny_corpus, tmp_path):
    flags = [
        "corpus=multi30k",
        "multi30k.vocabulary=300",
        "train.epochs=2",
        "seeds=0,",
        "measure.shown=1",
    ]
    command = ["--config=configs/translation.py:smoke", *(f"--config.{flag}" for flag in flags)]
    assert main([*command, f"--workdir={tmp_path / 'run'}"]) == 0
    assert (tmp_path / "run" / SUBWORDS).exists() and (tmp_path / "run/translations.png").exists()


def test_missing_and_unequal_files_are_told_in_one_line(tiny_corpus, tmp_path, capsys, monkeypatch):
    command = [
        "--config=configs/translation.py:smoke",
        "--config.corpus=multi30k",
        f"--workdir={tmp_path / 'run'}",
    ]
    content = gzip.compress(b"A cat.\n", mtime=0)
    (tiny_corpus / "val.en.gz").write_bytes(content)
    changed = {"val.en.gz": (len(content), hashlib.md5(content).hexdigest())}
    monkeypatch.setattr(multi30k, "FILES", multi30k.FILES | changed)
    assert main(command) != 0
    error = capsys.readouterr().err
    assert (
        "val.de.gz has 9 lines" in error
        and "val.en.gz has 1 lines" in error
        and error.count("\n") == 1
    )
    (tiny_corpus / "val.en.gz").unlink()
    assert main(command) != 0
    error = capsys.readouterr().err
    assert "put val.en.gz of github.com/multi30k/dataset" in error and error.count("\n") == 1


def test_a_training_can_be_stopped(tmp_path):
    corpus = load(SMOKE, 0, tmp_path)
    trainer = Trainer(SMOKE, "rnn", build(SMOKE, corpus.vocabulary)["rnn"], corpus)
    session = Session({"net": "rnn", "seed": 0}, tmp_path, stopping=lambda: True)
    with pytest.raises(Interrupted, match="run the same command again"):
        trainer.train(corpus, session)
