"""A net layer by layer: shapes, parameters, multiply-adds, memory, receptive field.

    python -m experiments.summary --net=googlenet [--image_size=224] [--net.key=value] [--field]
    [--out=DIR]

Exit code 0; 2 for a wrong command line or a net that cannot be.
"""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jinja2

from deepseq.lab import command_line, workdir
from deepseq.lab.command_line import UsageError, nearest, one_line
from deepseq.lab.report import number
from deepseq.nets.blocks import arithmetic
from experiments.summary.nets import KINDS, Kind, Pass

HELP = f"""Prints a net's layers, and saves the table as text, CSV and HTML.

  python -m experiments.summary --net=googlenet [--image_size=224] [--net.key=value] [--field] [--out=DIR]

  --net         one of {", ".join(KINDS)}
  --image_size  pixels on a side, for nets that read images
  --net.key     the sizes of the net, as --net.depth=101; with --net=NAME --help they are listed
  --field       also draw the effective receptive field, from the gradients of a net just initialised
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


def main(argv: Sequence[str]) -> int:
    """Does what ``argv`` (without the program's name) asks for and returns the exit code."""
    try:
        name = _name(argv)
        kind = KINDS[name] if name else None
        flags = command_line.options(argv, _defaults(kind), _help(name, kind))
        if isinstance(flags, str):
            print(flags)
            return 0
        if not name:
            raise UsageError("no --net given; write python -m experiments.summary --net=googlenet")
        return _summarise(name, kind, flags)
    except (UsageError, ValueError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}; choose another --out", file=sys.stderr)
        return 1


def table(layers: Sequence[arithmetic.Layer]) -> list[dict[str, Any]]:
    """The layers as rows by COLUMNS, the totals last; None where a column has no meaning."""
    rows = [
        dict(
            zip(
                COLUMNS,
                (
                    layer.name,
                    "x".join(map(str, layer.shape)),
                    layer.parameters,
                    layer.multiply_adds,
                    layer.bytes,
                    layer.receptive_field,
                    layer.jump,
                ),
                strict=True,
            )
        )
        for layer in layers
    ]
    total = {column: sum(row[column] for row in rows) for column in COLUMNS[2:5]}
    return [
        *rows,
        {"layer": "total", "output": None, **total, "receptive field": None, "jump": None},
    ]


def _summarise(name: str, kind: Kind, flags: dict[str, Any]) -> int:
    sizes = {
        key.removeprefix("net."): value for key, value in flags.items() if key.startswith("net.")
    }
    if kind.image_size is not None:
        sizes["image_size"] = flags["image_size"]
        if flags["image_size"] < 1:
            raise UsageError(f"--image_size={flags['image_size']} must be at least 1")
    built = kind.build(**sizes)
    params = jax.eval_shape(built.init, jax.random.key(0))
    rows = table(arithmetic.layers(built.forward, params, *built.inputs))
    title = f"{name} ({kind.paper}): {', '.join(f'{key} {value}' for key, value in sizes.items())}".removesuffix(
        ": "
    )
    text = as_text(title, rows)
    print(text)
    directory = Path(flags["out"] or f"runs/summary-{name}")
    directory.mkdir(parents=True, exist_ok=True)
    drawing = _field(built, params, directory) if flags["field"] else None
    workdir.write(directory / "summary.txt", text.encode())
    workdir.write(directory / "summary.csv", as_csv(rows).encode())
    workdir.write(directory / "summary.html", as_html(title, rows, drawing).encode())
    print(
        f"saved in {directory}: summary.txt, summary.csv,"
        f" summary.html{', field.png' if drawing else ''}"
    )
    return 0


def as_text(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Columns of text, numbers to the right."""
    cells = [list(COLUMNS), *([_cell(row[column]) for column in COLUMNS] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    lines = []
    for row in cells:
        names, numbers = (
            zip(row[:2], widths[:2], strict=True),
            zip(row[2:], widths[2:], strict=True),
        )
        lines.append(
            "  ".join(
                [*(cell.ljust(n) for cell, n in names), *(cell.rjust(n) for cell, n in numbers)]
            )
        )
    return "\n".join([title, "", *(line.rstrip() for line in lines)]) + "\n"


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Comma-separated, with a header; bare numbers, and nothing where a column has no meaning."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_html(title: str, rows: Sequence[dict[str, Any]], drawing: str | None = None) -> str:
    """One page that needs nothing else; ``drawing`` is the field's picture as a data URI."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        Path(__file__).with_name("summary.html.j2").read_text(encoding="utf-8")
    )
    cells = [[_cell(row[column]) for column in COLUMNS] for row in rows]
    return template.render(
        title=title, about=ABOUT, columns=COLUMNS, rows=cells[:-1], total=cells[-1], drawing=drawing
    )


def _field(built: Pass, params: Any, directory: Path) -> str:
    from experiments.summary.field import draw

    return draw(built, directory / "field.png")


def _cell(value: Any) -> str:
    return "" if value is None else number(value)


def _name(argv: Sequence[str]) -> str:
    """The net asked for, read before its own flags are known; "" for none."""
    given = [text.partition("=")[2] for text in argv if text.startswith(("--net=", "-net="))]
    if given and given[0] not in KINDS:
        raise UsageError(
            f"--net={given[0]} does not"
            f" exist{nearest(given[0], KINDS) or '; take one of ' + ', '.join(KINDS)}"
        )
    return given[0] if given else ""


def _defaults(kind: Kind | None) -> dict[str, Any]:
    known = {"net": "", "out": "", "field": False}
    if kind is None:
        return known
    image = {} if kind.image_size is None else {"image_size": kind.image_size}
    return known | image | {f"net.{key}": value for key, value in kind.sizes.items()}


def _help(name: str, kind: Kind | None) -> str:
    if kind is None:
        return HELP
    return "\n".join(
        [HELP, f"  --net={name}", *(f"  --net.{key}={value}" for key, value in kind.sizes.items())]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
