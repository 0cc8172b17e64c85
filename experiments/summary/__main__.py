"""A net layer by layer: shapes, parameters, multiply-adds, memory, receptive field.

    python -m experiments.summary --net=googlenet [--image_size=224] [--net.key=value] [--field]
    [--out=DIR]

Exit code 0; 1 where it cannot be saved; 2 for a wrong command line or a net that cannot be.
"""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from deepseq.lab import command_line, report, workdir
from deepseq.lab.errors import UsageError, nearest, one_line
from deepseq.nets.blocks import arithmetic
from experiments.summary import field
from experiments.summary.nets import KINDS, Kind

USAGE = "python -m experiments.summary --net=googlenet"
HELP = f"""Prints a net's layers, and saves the table as text, CSV and HTML.

  {USAGE} [--image_size=224] [--net.key=value] [--field] [--out=DIR]

  --net         one of {", ".join(KINDS)}
  --image_size  pixels on a side, for nets that read images
  --net.key     the sizes of the net, as --net.depth=101; with --net=NAME --help they are listed
  --field       also draw the effective receptive field, from gradients of a net just initialised
  --out         where to save; default runs/summary-<net>
"""
COLUMNS = (
    "layer",
    "output",
    "parameters",
    "multiply-adds",
    "memory, bytes",
    "receptive field",
    "jump",
)
ABOUT = (
    "One example at a time, float32. Memory is that of the layer's output. The receptive field and"
    " the jump between neighbouring outputs are in pixels of the image; where a layer does not look"
    " at images they are blank."
)
Row = dict[str, Any]  # by COLUMNS; None where a column has no meaning


def main(argv: Sequence[str]) -> int:
    """Does what ``argv`` (without the program's name) asks for and returns the exit code."""
    try:
        name = _name(argv)
        kind = KINDS[name] if name else Kind("", None, {})
        sizes = {f"net.{key}": value for key, value in kind.sizes.items()}
        listed = [f"  --net={name}", *(f"  --{key}={value}" for key, value in sizes.items())]
        about = "\n".join([HELP, *listed]) if name else HELP
        image = {} if kind.image_size is None else {"image_size": kind.image_size}
        defaults = {"net": "", "out": "", "field": False} | image | sizes
        flags = command_line.options(argv, defaults, about)
        if isinstance(flags, str):
            print(flags)
            return 0
        if not name:
            raise UsageError(f"no --net given; write {USAGE}")
        _summarise(name, kind, flags)
        return 0
    except (UsageError, ValueError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}; choose another --out", file=sys.stderr)
        return 1


def table(layers: Sequence[arithmetic.Layer]) -> list[Row]:
    """The layers as rows, the totals last."""
    rows = [
        dict(zip(COLUMNS, (name, "x".join(map(str, shape)), *numbers), strict=True))
        for name, shape, *numbers in layers
    ]
    total = {column: sum(row[column] for row in rows) for column in COLUMNS[2:5]}
    return [*rows, dict.fromkeys(COLUMNS) | {"layer": "total"} | total]


def _summarise(name: str, kind: Kind, flags: dict[str, Any]) -> None:
    sizes = {key: flags[f"net.{key}"] for key in kind.sizes}
    if kind.image_size is not None:
        sizes["image_size"] = flags["image_size"]
        if flags["image_size"] < 1:
            raise UsageError(f"--image_size={flags['image_size']} must be at least 1")
    net = kind.build(**sizes)
    params = jax.eval_shape(net.init, jax.random.key(0))
    rows = table(arithmetic.layers(net.forward, params, *net.inputs))
    settings = ", ".join(f"{key} {value}" for key, value in sizes.items())
    title = f"{name} ({kind.paper})" + (settings and f": {settings}")
    text = as_text(title, rows)
    print(text)
    directory = Path(flags["out"] or f"runs/summary-{name}")
    directory.mkdir(parents=True, exist_ok=True)
    picture = directory / "field.png" if flags["field"] else None
    if picture:
        field.draw(net, picture)
    saved = {
        "summary.txt": text,
        "summary.csv": as_csv(rows),
        "summary.html": as_html(title, rows, picture),
    }
    for file, content in saved.items():
        workdir.write(directory / file, content.encode())
    files = ", ".join([*saved, *(["field.png"] if picture else [])])
    print(f"saved in {directory}: {files}")


def as_text(title: str, rows: Sequence[Row]) -> str:
    """Columns of text, numbers to the right."""
    cells = [COLUMNS, *_cells(rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            [*map(str.ljust, row[:2], widths[:2]), *map(str.rjust, row[2:], widths[2:])]
        ).rstrip()
        for row in cells
    ]
    return "\n".join([title, "", *lines]) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Comma-separated, with a header; bare numbers, and nothing where a column has no meaning."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_html(title: str, rows: Sequence[Row], picture: Path | None = None) -> str:
    """One page that needs nothing else; ``picture`` is the field's."""
    *cells, total = _cells(rows)
    drawing = report.data_uri(picture) if picture else None
    values = {"title": title, "about": ABOUT, "columns": COLUMNS, "rows": cells, "total": total}
    return report.render(Path(__file__).with_name("summary.html.j2"), drawing=drawing, **values)


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    return [
        ["" if row[column] is None else report.number(row[column]) for column in COLUMNS]
        for row in rows
    ]


def _name(argv: Sequence[str]) -> str:
    """The net asked for, read before its own flags are known; "" for none."""
    names = [text.partition("=")[2] for text in argv if text.startswith(("--net=", "-net="))]
    if names and names[0] not in KINDS:
        near = nearest(names[0], KINDS) or f"; take one of {', '.join(KINDS)}"
        raise UsageError(f"--net={names[0]} does not exist{near}")
    return names[0] if names else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
