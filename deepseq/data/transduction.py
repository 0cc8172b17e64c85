"""Synthetic tasks from sequence to sequence, to a class, and from a class to a sequence, all exact
functions of a seed.

Symbols are integers: 0 pads, 1 begins, 2 ends, and content follows from 3. Rows are sequences,
batch-major. What is to be written is stored as begin, content, end and padding: ``targets[:, :-1]``
is what a decoder is given, ``targets[:, 1:]`` what it is to answer. What is read is content and
padding alone; its length says how much counts."""

import datetime
from typing import NamedTuple

import numpy as np

__all__ = [
    "BEGIN",
    "CHARACTERS",
    "CONTENT",
    "Days",
    "END",
    "FIRST_DAY",
    "FORMATS",
    "LAST_DAY",
    "LETTERS",
    "LONGEST_DATE",
    "Labelled",
    "MARKS",
    "MONTHS",
    "PADDING",
    "Pairs",
    "ROMAN",
    "Rng",
    "Tagged",
    "WEEKDAYS",
    "WRITTEN",
    "dates",
    "decode",
    "encode",
    "held_out_days",
    "parity",
    "reversal",
    "tagging",
    "tagging_chance",
    "written_digits",
]

PADDING, BEGIN, END, CONTENT = 0, 1, 2, 3
MARKS = ("<pad>", "<begin>", "<end>")

MONTHS = tuple(
    "january february march april may june july august september october november december".split()
)
WEEKDAYS = tuple("monday tuesday wednesday thursday friday saturday sunday".split())
ROMAN = tuple("i ii iii iv v vi vii viii ix x xi xii".split())
# 400 years, all of the calendar's cases
FIRST_DAY, LAST_DAY = (datetime.date(1800, 1, 1), datetime.date(2199, 12, 31))
CHARACTERS = (*MARKS, *" ,-./0123456789", *"abcdefghijklmnopqrstuvwxyz")

WRITTEN = tuple("zero one two three four five six seven eight nine".split())
LETTERS = (*MARKS, *sorted(set("".join(WRITTEN))))

Rng = np.random.Generator | int


class Pairs(NamedTuple):
    """Sequences to read and what to write for each."""

    source: np.ndarray  # (N, S) int32, content
    lengths: np.ndarray  # (N,) int32
    targets: np.ndarray  # (N, T) int32, begin, content, end
    target_lengths: np.ndarray  # (N,) int32, begin and end counted


class Labelled(NamedTuple):
    """Sequences to read and a class for each."""

    source: np.ndarray  # (N, S) int32
    lengths: np.ndarray  # (N,) int32
    labels: np.ndarray  # (N,) int32


class Tagged(NamedTuple):
    """Sequences to read and a class for each of their steps but the last few."""

    source: np.ndarray  # (N, T) int32
    lengths: np.ndarray  # (N,) int32, all T
    tags: np.ndarray  # (N, T - ahead) int32


class Days(NamedTuple):
    """Two disjoint sets of days, as proleptic Gregorian ordinals (``datetime.date.fromordinal``),
    in order.
    """

    train: np.ndarray  # int32
    test: np.ndarray  # int32


def reversal(rng: Rng, count: int, lengths: tuple[int, int] = (5, 60), symbols: int = 8) -> Pairs:
    """Say a sequence backwards.

    Args:
      rng: generator, which moves on, or seed.
      count: N, at least 1.
      lengths: the shortest and the longest, both drawn; each length is as likely.
      symbols: the alphabet 3..2 + symbols, each as likely at every step.

    Returns:
      Pairs of source (N, longest) and targets (N, longest + 2). ValueError for sizes that make no
      task.
    """
    rng = np.random.default_rng(rng)
    shortest, longest = lengths
    _at_least(
        "reversal",
        count=(count, 1),
        shortest=(shortest, 1),
        longest=(longest, shortest),
        symbols=(symbols, 1),
    )
    n = rng.integers(shortest, longest + 1, count, np.int32)
    words = [CONTENT + rng.integers(0, symbols, k, np.int32) for k in n]
    source, n = _padded(words, longest)
    return Pairs(source, n, *_written([word[::-1] for word in words], longest))


def held_out_days(every: int = 10) -> Days:
    """The days from 1800 to 2199, one in ``every`` of them for testing alone: year, month and day
    together, in no format seen.

    The order is that of NumPy's ``RandomState(0).permutation``, whose numbers never change: the
    first N // every are held out."""
    _at_least("held_out_days", every=(every, 2))
    days = np.arange(FIRST_DAY.toordinal(), LAST_DAY.toordinal() + 1, dtype=np.int32)
    order = np.random.RandomState(0).permutation(len(days))
    test, train = np.split(order, [len(days) // every])
    return Days(days[np.sort(train)], days[np.sort(test)])


def dates(rng: Rng, count: int, days: np.ndarray) -> Pairs:
    """Rewrite dates as people write them, such as "the 3rd of may 1987", as ISO 8601 has them:
    "1987-05-03".

    Each of the ``FORMATS`` says one day alone, so the task has an exact answer; two-digit years and
    3/5/1987 are left out. No day comes twice in a format, and no two formats ever write the same,
    so all sources differ.

    Args:
      rng: generator, which moves on, or seed.
      count: N, at most the days times the formats.
      days: ordinals to draw from, a part of ``held_out_days()``.

    Returns:
      Pairs in the symbols ``CHARACTERS``: source (N, 33) and targets (N, 12). ValueError for a
        count out of range.
    """
    rng = np.random.default_rng(rng)
    _at_least("dates", count=(count, 1))
    ways = len(days) * len(FORMATS)
    if count > ways:
        raise ValueError(
            f"dates: {count} pairs, but {len(days)} days in {len(FORMATS)} formats make {ways}"
        )
    which, form = np.divmod(rng.choice(ways, count, replace=False), len(FORMATS))
    drawn = [datetime.date.fromordinal(int(day)) for day in days[which]]
    source = [encode(FORMATS[f](date), CHARACTERS) for f, date in zip(form, drawn, strict=True)]
    iso = [encode(date.isoformat(), CHARACTERS) for date in drawn]
    return Pairs(*_padded(source, LONGEST_DATE), *_written(iso, len("1987-05-03")))


def parity(rng: Rng, count: int, longest: int, shortest: int = 1) -> Labelled:
    """Say whether the number of ones among up to ``longest`` bits is odd.

    Bits are the symbols 3 and 4, each as likely; each length is as likely; a class is 1 for odd.
    Every bit matters: without any one of them nothing is known, so chance is exactly 1/2.

    Returns:
      Labelled of source (N, longest). ValueError for sizes that make no task.
    """
    rng = np.random.default_rng(rng)
    _at_least("parity", count=(count, 1), shortest=(shortest, 1), longest=(longest, shortest))
    n = rng.integers(shortest, longest + 1, count, np.int32)
    bits = rng.integers(0, 2, (count, longest), np.int32) * (np.arange(longest) < n[:, None])
    source = np.where(np.arange(longest) < n[:, None], CONTENT + bits, PADDING).astype(np.int32)
    return Labelled(source, n, (bits.sum(1) % 2).astype(np.int32))


def tagging(rng: Rng, count: int, steps: int, *, symbols: int = 4, ahead: int = 2) -> Tagged:
    """Tag every step with (x_t + x_(t + ahead)) mod ``symbols``, which what came so far says
    nothing about.

    The x are independent and uniform over 0..symbols - 1 (in the source, 3..2 + symbols). Whatever
    x_1..x_t are, the x that is ``ahead`` is uniform, and so is its sum with x_t modulo ``symbols``:
    each tag has probability 1 / symbols given all that a unidirectional reader has seen, so its
    best expected accuracy is exactly 1 / symbols at every step, ``tagging_chance``, and its least
    loss ln(symbols). One that reads both ways knows the tag. The last ``ahead`` steps have none.

    Returns:
      Tagged of source (N, T) and tags (N, T - ahead) from 0..symbols - 1. ValueError for sizes that
      make no task.
    """
    rng = np.random.default_rng(rng)
    _at_least(
        "tagging",
        count=(count, 1),
        ahead=(ahead, 1),
        steps=(steps, ahead + 1),
        symbols=(symbols, 2),
    )
    x = rng.integers(0, symbols, (count, steps), np.int32)
    tags = (x[:, : steps - ahead] + x[:, ahead:]) % symbols
    return Tagged(CONTENT + x, np.full(count, steps, np.int32), tags)


def tagging_chance(symbols: int = 4) -> float:
    """The best accuracy of ``tagging`` without the steps to come."""
    return 1 / symbols


def written_digits() -> tuple[np.ndarray, np.ndarray]:
    """The words "zero" to "nine" in the symbols ``LETTERS``: (10, 7) int32, begin, letters and end,
    and their lengths (10,).
    """
    return _written([encode(word, LETTERS) for word in WRITTEN], max(map(len, WRITTEN)))


def encode(text: str, vocabulary: tuple[str, ...]) -> np.ndarray:
    """The symbols of a text: (len(text),) int32; ValueError for a character without one."""
    symbols = {character: i for i, character in enumerate(vocabulary)}
    unknown = sorted(set(text) - set(symbols))
    if unknown:
        raise ValueError(f"encode: {text!r} has {unknown}, which are not in the vocabulary")
    return np.array([symbols[character] for character in text], np.int32)


def decode(symbols: np.ndarray, vocabulary: tuple[str, ...]) -> str:
    """The text of symbols (T,): what is before the first end, without begin and padding."""
    text = list(map(int, symbols))
    return "".join(
        vocabulary[i] for i in text[: text.index(END) if END in text else None] if i >= CONTENT
    )


def _ordinal(day: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{'th' if day in (11, 12, 13) else endings.get(day % 10, 'th')}"


def _long(date: datetime.date) -> str:
    return MONTHS[date.month - 1]


def _weekday(date: datetime.date) -> str:
    return WEEKDAYS[date.weekday()]


FORMATS = (
    lambda d: f"the {_ordinal(d.day)} of {_long(d)} {d.year}",  # the 3rd of may 1987
    lambda d: f"{_ordinal(d.day)} {_long(d)}, {d.year}",  # 3rd may, 1987
    lambda d: f"{d.day} {_long(d)} {d.year}",  # 3 may 1987
    lambda d: f"{_long(d)} {d.day}, {d.year}",  # may 3, 1987
    lambda d: f"{_long(d)} {_ordinal(d.day)} {d.year}",  # may 3rd 1987
    lambda d: f"{_weekday(d)} {d.day} {_long(d)} {d.year}",  # sunday 3 may 1987
    lambda d: f"{_weekday(d)}, {_long(d)} {d.day}, {d.year}",  # sunday, may 3, 1987
    lambda d: f"{_weekday(d)[:3]} {d.day}-{_long(d)[:3]}-{d.year}",  # sun 3-may-1987
    lambda d: f"{d.day:02d}-{_long(d)[:3]}-{d.year}",  # 03-may-1987
    lambda d: f"{d.year} {_long(d)[:3]} {d.day:02d}",  # 1987 may 03
    lambda d: f"{d.year}, {_ordinal(d.day)} {_long(d)}",  # 1987, 3rd may
    lambda d: f"{d.day}.{ROMAN[d.month - 1]}.{d.year}",  # 3.v.1987
    lambda d: f"{d.year}/{d.month}/{d.day}",  # 1987/5/3
    lambda d: f"in {_long(d)} of {d.year}, on the {_ordinal(d.day)}",  # in may of 1987, on the 3rd
)
LONGEST_DATE = len("in september of 1987, on the 30th")


def _padded(words: list[np.ndarray], longest: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(word) for word in words], np.int32)
    rows = np.full((len(words), longest), PADDING, np.int32)
    rows[np.arange(longest) < lengths[:, None]] = np.concatenate(words)
    return rows, lengths


def _written(words: list[np.ndarray], longest: int) -> tuple[np.ndarray, np.ndarray]:
    return _padded([np.concatenate([[BEGIN], word, [END]]) for word in words], longest + 2)


def _at_least(task: str, **sizes: tuple[int, int]) -> None:
    for name, (size, least) in sizes.items():
        if size < least:
            raise ValueError(f"{task}: {name} is {size}, but must be at least {least}")
