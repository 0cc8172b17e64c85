import calendar
import itertools
import re

import numpy as np
import pytest

from deepseq.data import transduction as T

DAYS = T.held_out_days()
TASKS = {
    "reversal": lambda rng: T.reversal(rng, 5, (1, 7), 4),
    "dates": lambda rng: T.dates(rng, 5, DAYS.train),
    "parity": lambda rng: T.parity(rng, 5, 6),
    "tagging": lambda rng: T.tagging(rng, 5, 6),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_is_a_function_of_the_seed(task):
    first, again, other = (TASKS[task](seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.source, other.source)
    rng = np.random.default_rng(5)
    assert np.array_equal(TASKS[task](rng).source, first.source)
    assert not np.array_equal(TASKS[task](rng).source, first.source)  # a generator moves on
    assert all(array.dtype == np.int32 and len(array) == 5 for array in first)


def rows(tokens, lengths):
    """Every row's own symbols; the rest must be padding."""
    for row, n in zip(tokens.tolist(), lengths, strict=True):
        assert not any(row[n:]) and all(row[:n])
        yield row[:n]


def written(tokens, lengths):
    for row in rows(tokens, lengths):
        assert row[0] == T.BEGIN and row[-1] == T.END and min(row[1:-1]) >= T.CONTENT
        yield row[1:-1]


def test_reversal():
    batch = T.reversal(0, 3000, (2, 9), 4)
    assert batch.source.shape == (3000, 9) and batch.targets.shape == (3000, 11)
    for said, heard in zip(
        written(batch.targets, batch.target_lengths), rows(batch.source, batch.lengths), strict=True
    ):
        assert said == heard[::-1]
    assert set(batch.lengths) == set(range(2, 10)) and set(np.unique(batch.source)) == {
        0,
        3,
        4,
        5,
        6,
    }
    assert np.abs(np.bincount(batch.lengths)[2:] / 3000 - 1 / 8).max() < 0.03
    symbols = np.bincount(batch.source[batch.source > 0])[3:]
    assert np.abs(symbols / symbols.sum() - 1 / 4).max() < 0.02


def day_month_year(text):
    """Reads a date as a person does: the year has four digits, a month is a name, a Roman numeral
    or the middle number.
    """
    words = [word for word in re.split(r"[ ,./-]+", text) if word not in ("the", "of", "in", "on")]
    year = next(word for word in words if re.fullmatch(r"\d{4}", word))
    words.remove(year)
    day = next(word for word in reversed(words) if re.fullmatch(r"\d{1,2}(st|nd|rd|th)?", word))
    words = [word for word in words if word != day or words.count(day) == 2]
    month = next(
        m + 1
        for word in words
        for m in range(12)
        if word
        in (
            T.ROMAN[m],
            str(m + 1),
            calendar.month_name[m + 1].lower(),
            calendar.month_abbr[m + 1].lower(),
        )
    )
    named = (
        name
        for name in calendar.day_name
        for word in words
        if len(word) > 2 and name.lower().startswith(word)
    )
    return int(re.match(r"\d+", day)[0]), month, int(year), next(named, None)


def test_dates_are_read_back_by_another_reader():
    batch = T.dates(0, 3000, DAYS.train)
    texts = [T.decode(row, T.CHARACTERS) for row in batch.source]
    for text, row, said in zip(
        texts, batch.targets, written(batch.targets, batch.target_lengths), strict=True
    ):
        day, month, year, weekday = day_month_year(text)
        assert T.decode(row, T.CHARACTERS) == f"{year}-{month:02d}-{day:02d}" and len(said) == 10, (
            text
        )
        assert (
            weekday is None or calendar.day_name[calendar.weekday(year, month, day)] == weekday
        ), text
    assert [len(row) for row in rows(batch.source, batch.lengths)] == [len(text) for text in texts]


def test_formats():
    assert len(T.FORMATS) >= 10
    day = T.datetime.date(1987, 5, 3)
    assert {"the 3rd of may 1987", "3.v.1987", "may 3, 1987", "sunday 3 may 1987", "1987/5/3"} <= {
        f(day) for f in T.FORMATS
    }
    said = [T.FORMATS[0](day.replace(day=d)).split()[1] for d in range(1, 32)]
    assert said[:4] == ["1st", "2nd", "3rd", "4th"] and said[10:13] == ["11th", "12th", "13th"]
    assert said[20:24] == ["21st", "22nd", "23rd", "24th"] and said[30] == "31st"
    everything = [
        f(T.datetime.date.fromordinal(d))
        for d in range(day.toordinal(), day.toordinal() + 2000)
        for f in T.FORMATS
    ]
    assert len(set(everything)) == len(everything)  # every text says one date, in one format
    assert max(map(len, everything)) == T.LONGEST_DATE and set("".join(everything)) <= set(
        T.CHARACTERS
    )


def test_ten_thousand_dates_differ_and_those_for_testing_are_held_out():
    train, test = T.dates(0, 20_000, DAYS.train), T.dates(1, 10_000, DAYS.test)
    assert (
        len(np.unique(train.source, axis=0)) == 20_000
        and len(np.unique(test.source, axis=0)) == 10_000
    )
    assert not {row.tobytes() for row in train.targets} & {row.tobytes() for row in test.targets}


def test_held_out_days():
    train, test = map(set, (DAYS.train.tolist(), DAYS.test.tolist()))
    # the Gregorian calendar's period
    assert not train & test and len(train | test) == 146_097 and len(test) == 14_609
    assert min(train | test) == T.datetime.date(1800, 1, 1).toordinal() and DAYS.test[
        :3
    ].tolist() == [657089, 657092, 657100]
    assert (np.diff(DAYS.train) > 0).all() and (np.diff(DAYS.test) > 0).all()
    assert len(T.held_out_days(2).test) == 73_048


def test_parity():
    batch = T.parity(0, 4000, 12)
    for label, bits in zip(batch.labels, rows(batch.source, batch.lengths), strict=True):
        assert set(bits) <= {3, 4} and label == sum(bit == 4 for bit in bits) % 2
    assert set(batch.lengths) == set(range(1, 13)) and batch.source.shape == (4000, 12)
    assert abs(batch.labels.mean() - 1 / 2) < 0.03
    assert set(T.parity(0, 100, 12, shortest=12).lengths) == {12}


def test_nothing_less_than_all_bits_tells_the_parity():
    strings = np.array(list(itertools.product(range(2), repeat=5)))
    odd = strings.sum(1) % 2
    for missing in range(5):
        rest = np.delete(strings, missing, 1) @ [1, 2, 4, 8]
        assert all(odd[rest == r].mean() == 1 / 2 for r in range(16))


@pytest.mark.parametrize(("symbols", "ahead"), [(2, 1), (4, 2), (3, 4)])
def test_tagging(symbols, ahead):
    batch = T.tagging(0, 200, 9, symbols=symbols, ahead=ahead)
    assert batch.tags.shape == (200, 9 - ahead) and (batch.lengths == 9).all()
    for xs, tags in zip(batch.source.tolist(), batch.tags.tolist(), strict=True):
        for t, tag in enumerate(tags):
            assert tag == (xs[t] - 3 + xs[t + ahead] - 3) % symbols
    assert set(np.unique(batch.source)) == set(range(3, 3 + symbols))


@pytest.mark.parametrize(("symbols", "ahead"), [(2, 1), (2, 2), (3, 2)])
def test_the_chance_of_tagging_is_the_best_of_all_unidirectional_readers(symbols, ahead):
    """Over all sources: whatever was read up to step t, each tag is as likely."""
    steps = 5
    sources = np.array(list(itertools.product(range(symbols), repeat=steps)))
    for t in range(steps - ahead):
        prefix = sources[:, : t + 1] @ symbols ** np.arange(t + 1)
        tag = (sources[:, t] + sources[:, t + ahead]) % symbols
        best = sum(np.bincount(tag[prefix == p]).max() for p in np.unique(prefix)) / len(sources)
        assert best == pytest.approx(T.tagging_chance(symbols))


def test_written_digits():
    tokens, lengths = T.written_digits()
    assert (
        tokens.shape == (10, 7)
        and tokens.dtype == np.int32
        and lengths.tolist() == [6, 5, 5, 7, 6, 6, 5, 7, 7, 6]
    )
    assert [
        T.decode(row, T.LETTERS) for row in tokens
    ] == "zero one two three four five six seven eight nine".split()
    assert (
        len(list(written(tokens, lengths))) == 10
        and T.LETTERS[:3] == T.MARKS
        and len(T.LETTERS) == 3 + 15
    )


def test_text_and_back():
    assert T.decode(T.encode("nine", T.LETTERS), T.LETTERS) == "nine"
    assert T.decode(np.array([1, 5, 2, 5]), T.LETTERS) == T.LETTERS[5]
    with pytest.raises(ValueError, match=r"'Nine' has \['N'\]"):
        T.encode("Nine", T.LETTERS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: T.reversal(0, 0), "reversal: count is 0, but must be at least 1"),
        (lambda: T.reversal(0, 1, (0, 3)), "reversal: shortest is 0"),
        (lambda: T.reversal(0, 1, (4, 3)), "reversal: longest is 3, but must be at least 4"),
        (lambda: T.reversal(0, 1, (1, 3), 0), "reversal: symbols is 0"),
        (lambda: T.dates(0, 0, DAYS.train), "dates: count is 0"),
        (
            lambda: T.dates(0, 43, DAYS.test[:3]),
            "dates: 43 pairs, but 3 days in 14 formats make 42",
        ),
        (lambda: T.held_out_days(1), "held_out_days: every is 1"),
        (lambda: T.parity(0, 1, 0), "parity: longest is 0"),
        (lambda: T.parity(0, 1, 3, 4), "parity: longest is 3, but must be at least 4"),
        (lambda: T.tagging(0, 1, 2), "tagging: steps is 2, but must be at least 3"),
        (lambda: T.tagging(0, 1, 5, symbols=1), "tagging: symbols is 1"),
        (lambda: T.tagging(0, 1, 5, ahead=0), "tagging: ahead is 0"),
    ],
)
def test_sizes_that_make_no_task(call, words):
    with pytest.raises(ValueError, match=words):
        call()
