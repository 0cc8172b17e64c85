"""Mistakes of the user, told in one line."""

import difflib
from collections.abc import Iterable

__all__ = ["UsageError", "nearest", "one_line"]


class UsageError(Exception):
    """A command, config or directory that cannot be used; the message is one line that names it and
    says what to do.
    """


def nearest(name: str, options: Iterable[str], cutoff: float = 0.6, prefix: str = "") -> str:
    """The end of an error message, "; did you mean ...?", or nothing when no option is as similar
    as ``cutoff``.
    """
    close = difflib.get_close_matches(name, sorted(set(options)), n=1, cutoff=cutoff)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def one_line(error: object) -> str:
    """A message without line breaks."""
    return " ".join(str(error).split())
