"""The report of a run: one HTML file that holds its figures and style and needs neither network nor
scripts.
"""

import base64
import importlib
import inspect
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from deepseq.lab import workdir
from deepseq.lab.verdicts import HOLDS, REFUTED, UNDECIDED

__all__ = [
    "LABELS",
    "LARGEST_SVG",
    "answer",
    "command",
    "data_uri",
    "duration",
    "interval",
    "number",
    "render",
    "verdict_markdown",
    "write",
]

# bytes; of a larger drawing the PNG beside it is taken, so that the report stays small
LARGEST_SVG = 350_000
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUS, _THIN = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
LABELS = {"jax": "JAX", "jaxlib": "jaxlib", "numpy": "NumPy"}


def write(
    path: Path, result: Mapping, figures: Mapping[str, tuple[str | Path, str]], question: str
) -> None:
    """Writes the report of one run to ``path``, whole or not at all; equal arguments give equal
    bytes.

    Args:
      result: the run's result.json.
      figures: name -> (drawing, caption) in reading order; a drawing is SVG text, or the Path of an
        SVG or PNG file.
      question: the study's docstring: the first line asks, the paragraphs after it explain.

    Raises:
      OSError: a drawing cannot be read or the report not be written.
    """
    title, *explanation = inspect.cleandoc(question).split("\n\n")
    html = render(
        Path(__file__).with_name("report.html.j2"),
        title=" ".join(title.split()),
        # an indented paragraph is a table or a listing: its line breaks are kept
        explanation=[
            (text, any(line[:1] == " " for line in text.split("\n")))
            for text in explanation
            if text.strip()
        ],
        answer=answer(result),
        result=result,
        claims=result["claims"],
        comparison=result["comparison"],
        deviations=result["deviations"],
        figures=[
            (data_uri(drawing), caption or name) for name, (drawing, caption) in figures.items()
        ],
        facts=_facts(result),
        command=command(result),
        badges={HOLDS: "✓", REFUTED: "✕", UNDECIDED: "?"},
    )
    workdir.write(path, html.encode())


def render(template: Path, **values: object) -> str:
    """A page of HTML from a Jinja template, which has the filters number, interval and listed."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval, "listed": _listed}
    return environment.from_string(template.read_text(encoding="utf-8")).render(values)


def verdict_markdown(result: Mapping) -> str:
    """The verdict table as GitHub Markdown, ending in a newline."""
    rows = [["", "Claim", "Verdict", "Measured", "95 % interval", "n"], ["---"] * 6]
    for claim in result["claims"]:
        measured = "; ".join(f"{name} {number(value)}" for name, value in claim["measured"].items())
        cells = (
            claim["id"],
            claim["claim"],
            f"**{claim['verdict']}**",
            measured,
            interval(claim["interval"]),
        )
        rows.append([_markdown(cell) for cell in (*cells, claim["n"])])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def answer(result: Mapping) -> str:
    """One sentence: how many claims hold, are refuted and are undecided, on which data, with how
    many seeds.
    """
    verdicts, seeds = [claim["verdict"] for claim in result["claims"]], len(result["seeds"])
    counts = {verdict: verdicts.count(verdict) for verdict in (HOLDS, REFUTED, UNDECIDED)}
    parts = []
    for verdict, count in counts.items():
        verb = (
            f"hold{'s' * (count == 1)}"
            if verdict == HOLDS
            else f"{'is' if count == 1 else 'are'} {verdict}"
        )
        parts += [f"{count} {verb}"] if count else []
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    if not verdicts:
        said = "No claim was judged"
    elif counts[HOLDS] == len(verdicts) > 1:
        said = f"All {len(verdicts)} claims hold"
    else:
        said = f"Of {len(verdicts)} claim{'s' * (len(verdicts) > 1)}, {listed}"
    data = result["config"].get("data", {}).get("name")
    circumstances = [data] * bool(data) + [
        f"{seeds} seed{'s' * (seeds != 1)}",
        f"{result['tier']} tier",
    ]
    return f"{said} ({', '.join(circumstances)})."


def command(result: Mapping) -> str:
    """The command line that repeats the run: its config file and tier, and the values that differ
    from that tier's.
    """
    name, tier = result["experiment"], result["tier"]
    try:
        config = importlib.import_module(f"configs.{name}").get_config(tier)
        defaults = _leaves(json.loads(json.dumps(config.to_dict())))
    except (ModuleNotFoundError, ValueError):  # file or tier are gone: every value is given
        defaults = {"name": name, "tier": tier}
    overrides = [
        f"--config.{key}={shlex.quote(_flag(value))}"
        for key, value in _leaves(result["config"]).items()
        if key not in defaults
        or defaults[key] != (list(value) if isinstance(value, tuple) else value)
    ]
    command = f"python -m experiments.run --config=configs/{name}.py:{tier}"
    return " \\\n    ".join([command, *overrides])


def _flag(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def number(value: object) -> str:
    """A number for people: three significant figures, whole numbers whole, powers of ten outside
    0.001 to 100 000.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "none" if value is None else str(value)
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else _MINUS + "∞"
    if value == 0 or isinstance(value, int) or (value.is_integer() and 1000 <= abs(value) < 1e9):
        return _grouped(f"{int(value):d}")
    mantissa, exponent = f"{value:.2e}".split("e")
    if -3 <= int(exponent) < 5:
        return _grouped(f"{float(f'{value:.3g}'):.{max(0, 2 - int(exponent))}f}")
    return f"{mantissa}{_THIN}×{_THIN}10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace(
        "-", _MINUS
    )


def interval(ends: Sequence[float | None] | None) -> str:
    """An interval in brackets; "none" where there is none or an end is not finite (null in
    result.json).
    """
    return "none" if ends is None or None in ends else f"[{number(ends[0])}, {number(ends[1])}]"


def duration(seconds: float | None) -> str:
    """A time for people: "42 s", "4 min 38 s", "26 h 3 min"."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if not hours and not minutes:
        return f"{number(seconds) if seconds < 10 else rest} s"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _facts(result: Mapping) -> dict[str, str]:
    """Where and how the run was made, in reading order."""
    facts = {
        "tier": result["tier"],
        "seeds": _listed(result["seeds"]),
        "wall time": duration(result["wall_seconds"]),
    }
    facts |= {
        key: "unknown" if value is None else str(value)
        for key, value in result["environment"].items()
    }
    return {LABELS.get(key, key[:1].upper() + key[1:]): value for key, value in facts.items()}


def data_uri(drawing: str | Path) -> str:
    """A drawing as a data URI: inside an image its ids cannot meet those of the other figures."""
    content, kind = drawing, "svg+xml"
    if isinstance(drawing, Path):
        png = drawing.with_suffix(".png")
        if drawing.suffix == ".svg" and drawing.stat().st_size > LARGEST_SVG and png.exists():
            drawing = png
        content, kind = drawing.read_bytes(), "png" if drawing.suffix == ".png" else kind
    content = content if isinstance(content, bytes) else content.encode()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _leaves(config: Mapping, prefix: str = "") -> dict[str, object]:
    """{"train.steps": 132, ...} of a nested config."""
    leaves = {}
    for key, value in config.items():
        leaves |= (
            _leaves(value, f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else {prefix + key: value}
        )
    return leaves


def _grouped(digits: str) -> str:
    """Thousands apart by a thin space from five digits on, and a true minus sign."""
    sign, (whole, _, fraction) = digits[:1] == "-", digits.lstrip("-").partition(".")
    whole = f"{int(whole):,}".replace(",", _THIN) if len(whole) > 4 else whole
    return _MINUS * sign + whole + ("." + fraction if fraction else "")


def _listed(value: object) -> str:
    """A config value as text."""
    return (
        ", ".join(map(_listed, value)) or "none" if isinstance(value, list | tuple) else str(value)
    )


def _markdown(cell: object) -> str:
    """A value as a cell of a Markdown table."""
    return (
        str(cell).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    )
