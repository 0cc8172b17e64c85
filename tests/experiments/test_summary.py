"""The table of every net: totals against the nets themselves, known multiply-adds, its three forms,
the field, bad input.
"""

import csv
import io

import jax
import numpy as np
import pytest

from experiments.summary import __main__ as summary
from experiments.summary import field as summary_field
from experiments.summary.nets import KINDS

LESS = {  # these take long to trace at their usual depth
    "densenet_cifar": {"depth": 16},
    "preact_resnet": {"depth": 20},
}


def built(name, **sizes):
    kind = KINDS[name]
    image = (
        {} if kind.image_size is None else {"image_size": sizes.pop("image_size", kind.image_size)}
    )
    return kind.build(**kind.sizes | LESS.get(name, {}) | sizes, **image)


def rows_of(name, **sizes):
    made = built(name, **sizes)
    params = jax.eval_shape(made.init, jax.random.key(0))
    return summary.table(summary.arithmetic.layers(made.forward, params, *made.inputs)), params


@pytest.mark.parametrize("name", KINDS)
def test_every_net_has_a_table_that_leaves_nothing_out(name):
    rows, params = rows_of(name)
    assert rows[-1]["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert rows[-1]["multiply-adds"] > 0 and rows[-1]["memory, bytes"] > 0
    assert "unused" not in [row["layer"] for row in rows]
    assert any(row["receptive field"] for row in rows) == (KINDS[name].image_size is not None)


def test_known_multiply_adds():
    convs = [
        (224, 3, 64),
        (224, 64, 64),
        (112, 64, 128),
        (112, 128, 128),
        (56, 128, 256),
        (56, 256, 256),
        (56, 256, 256),
    ]
    convs += [(28, 256, 512), (28, 512, 512), (28, 512, 512), *3 * [(14, 512, 512)]]
    dense = 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000
    assert (
        rows_of("vgg")[0][-1]["multiply-adds"]
        == sum(n * n * 9 * i * o for n, i, o in convs) + dense
    )
    layers = {row["layer"]: row for row in rows_of("alexnet")[0]}
    # a group sees half the channels
    assert layers["conv2"]["multiply-adds"] == 27 * 27 * 5 * 5 * 48 * 256
    assert layers["conv1"]["output"] == "1x55x55x96" and layers["conv1"]["receptive field"] == 11
    assert layers["max_pool 3"]["receptive field"] == 195 and layers["max_pool 3"]["jump"] == 32
    assert layers["fc6"]["receptive field"] is None


def test_it_is_printed_and_saved_in_three_forms(tmp_path, capsys):
    arguments = [
        "--net=resnet_cifar",
        "--net.depth=8",
        "--net.width=4",
        "--image_size=16",
        f"--out={tmp_path / 'made'}",
    ]
    assert summary.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith((tmp_path / "made" / "summary.txt").read_text())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "made" / "summary.csv").read_text())))
    assert (
        tuple(rows[0]) == summary.COLUMNS
        and rows[-1]["layer"] == "total"
        and rows[-1]["jump"] == ""
    )
    assert sum(int(row["parameters"]) for row in rows[:-1]) == int(rows[-1]["parameters"])
    page = (tmp_path / "made" / "summary.html").read_text()
    assert page.count("<tr>") == len(rows) + 1 and "blocks.0.conv1" in page and "://" not in page


def test_the_field_is_where_the_table_says(tmp_path):
    made = built("nin", image_size=24)
    seen = summary_field.measure(made, images=2)
    rows = np.flatnonzero(seen.max(1))
    table, _ = rows_of("nin", image_size=24)
    widest = max(row["receptive field"] or 0 for row in table)
    assert 1 < rows[-1] - rows[0] + 1 <= min(widest, 24) and seen.shape == (24, 24)
    assert summary.main(["--net=nin", "--image_size=24", "--field", f"--out={tmp_path}"]) == 0
    assert (tmp_path / "field.png").read_bytes()[:4] == b"\x89PNG" and "data:image/png" in (
        tmp_path / "summary.html"
    ).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no --net given"),
        (["--net=googlnet"], "--net=googlnet does not exist; did you mean googlenet?"),
        (["--net=zzz"], "--net=zzz does not exist; take one of alexnet"),
        (["--net=vgg", "--net.dept=16"], "unknown flag --net.dept; did you mean --net.depth?"),
        (["--net=vgg", "--net.depth=x"], "--net.depth=x takes an integer"),
        (["--net=vgg", "--net.depth=12"], "no net has depth 12"),
        (["--net=vgg", "--image_size=31"], "image_size is 31, but the smallest is 32"),
        (["--net=googlenet", "--image_size=30"], "images of 30 x 30"),
        (["--net=resnet", "--image_size=0"], "--image_size=0 must be at least 1"),
        (["--net=lstm", "--image_size=10"], "unknown flag --image_size"),
        (["--net=lstm", "--field"], "--field needs a net that reads images"),
        (["--net=transformer", "--net.heads=7"], "heads"),
        (["--net=vgg", "stray"], "stray argument 'stray'"),
    ],
)
def test_bad_input(arguments, message, capsys, tmp_path):
    assert summary.main([*arguments, *([f"--out={tmp_path / 'made'}"] if arguments else [])]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "made" / "summary.txt").exists()


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert summary.main(["--net=lstm", f"--out={tmp_path / 'file' / 'inside'}"]) == 1
    assert "choose another --out" in capsys.readouterr().err


def test_help_lists_the_sizes(capsys):
    assert summary.main(["--net=resnet", "--help"]) == 0
    assert "--net.depth=50" in capsys.readouterr().out
