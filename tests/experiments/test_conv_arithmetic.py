"""The study of convolutions: what it reads off programs, how it judges, and the smoke tier as a
user types it.
"""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.conv_arithmetic import get_config
from deepseq.data.source import DataError
from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.images import alexnet, googlenet, lenet
from deepseq.train import log
from experiments.conv_arithmetic import blocks, filters, graph, nets, sizes, weights
from experiments.conv_arithmetic.figures import draw
from experiments.conv_arithmetic.summary import summarize
from experiments.run import main

SMOKE = get_config("smoke")
COMMAND = "--config=configs/conv_arithmetic.py:smoke"
REFUTED = set(
    "C-C1 behind, C-C2 convolution, C-C3 identity, C-C3 stride, C-C4 row 6, C-C4 sum, C-C5 all,"
    " C-C5 why".split(", ")
) | {*("C-C7", "C-C7 headings", "C-R15 names", "C-R16 first", "C-D1 doubling")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("conv_arithmetic")
    assert main([COMMAND, f"--workdir={path}"]) == 0
    return path


def verdicts(records, config=SMOKE):
    return {row["id"]: row["verdict"] for row in summarize(config, records)["claims"]}


def test_smoke(finished):
    result = json.loads((finished / "result.json").read_text())
    found = {row["id"]: row["verdict"] for row in result["claims"]}
    assert (
        found == {id: "refuted" if id in REFUTED else "holds" for id in found}
        and REFUTED < set(found)
        and len(found) == 42
    )
    rows = {
        id: next(row for row in result["claims"] if row["id"] == id)
        for id in ("C-C4 row 6", "C-C13", "C-C11 apart")
    }
    assert rows["C-C4 row 6"]["measured"] == {
        "the net's fc6": 37_748_736,
        "the notes'": 177_209_344,
        "fc6 without the last pooling": 177_209_344,
    }
    assert rows["C-C13"]["measured"]["weights, reduced"] == 40_960 and rows["C-C11 apart"]["n"] == 2
    drawn = {
        f"{name}.{kind}"
        for name in ("figure", "alexnet", "filters", "shares")
        for kind in ("png", "svg")
    }
    assert drawn < {path.name for path in finished.iterdir()}


def test_a_part_that_is_logged_is_not_measured_again(finished, tmp_path, capsys):
    records = log.read(finished / "metrics.jsonl")
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    kept = [r for r in records if r["part"] != "sizes"]
    for record in kept:
        log.write(tmp_path / "metrics.jsonl", record)
    assert main([COMMAND, f"--workdir={tmp_path}"]) == 0
    again = log.read(tmp_path / "metrics.jsonl")
    assert again == [*kept, next(r for r in records if r["part"] == "sizes")]
    assert (
        json.loads((tmp_path / "result.json").read_text())["claims"]
        == json.loads((finished / "result.json").read_text())["claims"]
    )


CHANGES = [
    ("sizes", lambda f: f.update({"as the formula": f["cases"] - 1}), "C-C3"),
    ("sizes", lambda f: f["exercises"][0].__setitem__(5, 3), "C-C3 exercises"),
    ("counts", lambda f: f["rows"][0].__setitem__(3, 1), "C-C1"),
    ("counts", lambda f: f["stack"][1].__setitem__(3, 999), "C-C2"),
    ("filters", lambda f: f["rows"][1].update({"from correlation": 0.01}), "C-C2 filters"),
    ("alexnet", lambda f: f[2].update({"weights": 5}), "C-C4"),
    ("alexnet", lambda f: f[1].update({"ungrouped": f[1]["weights"]}), "C-C11"),
    ("nets", lambda f: f[0].update({"dense parameters": 7}), "C-C5"),
    ("nets", lambda f: f[-1].update({"dense parameters": f[-1]["parameters"] // 2}), "C-C5 trend"),
    ("nets", lambda f: f[-1].update({"depth": 152}), "C-C7 depth"),
    ("nets", lambda f: f[-1].update({"parameters": 10**9}), "C-C7 ends"),
    ("nets", lambda f: f[5].update({"multiply-adds": 5 * 10**9}), "C-R15 depth"),
    ("inception", lambda f: f[3]["branches"].__setitem__(0, 1), "C-C14"),
    (
        "inception",
        lambda f: f[8].update({"parameters, unreduced": f[8]["parameters"]}),
        "C-C14 reducers",
    ),
    ("bottlenecks", lambda f: f.update({"bottleneck": 1}), "C-R15"),
    ("stages", lambda f: f["50"]["sides"].__setitem__(4, 13), "C-R16"),
    ("order", lambda f: f["pre-activation"].reverse(), "C-R17 order"),
    ("growth", lambda f: f["DenseNet-121"]["inputs"][2].__setitem__(5, 417), "C-D1"),
    ("growth", lambda f: f["DenseNet-121"]["transitions"][1].__setitem__(1, 512), "C-D2"),
    ("growth", lambda f: f["DenseNet-BC(100, 12)"].update({"parameters": 6_000_000}), "C-D2 count"),
    ("pixels", lambda f: f.update({"from a dense layer": 1e-9}), "C-C13 dense"),
    ("pixels", lambda f: f.update({"pair with ReLU from one 3x3": 0.0}), "C-C13 ReLU"),
    ("pixels", lambda f: f.update({"weights, reduced": 147_456}), "C-C13"),
    ("fields", lambda f: f.update({"two 3x3": [5, 5, 24]}), "C-C12"),
    ("fields", lambda f: f["weights of two 3x3"].__setitem__(0, 1), "C-C12 count"),
    ("towers", lambda f: f.update({"between towers": 1e-12}), "C-C11 apart"),
    ("additions", lambda f: f.update({"new channels from F": 1e-9}), "C-R14"),
    ("additions", lambda f: f.update({"least, post-activation": -1e-9}), "C-R17"),
    ("additions", lambda f: f.update({"least, pre-activation": 0.0}), "C-R17"),
    ("slices", lambda f: f.update({"their change": 1e-9}), "C-D3"),
]


@pytest.mark.parametrize(("part", "change", "id"), CHANGES)
def test_a_claim_that_is_not_so_is_refuted(finished, part, change, id):
    """One seed that says otherwise is enough."""
    records = copy.deepcopy(log.read(finished / "metrics.jsonl"))
    change(next(r for r in records if r["part"] == part)["found"])
    found = verdicts(records)
    assert found[id] == "refuted"
    assert {other for other in found if found[other] == "refuted"} - {id} <= REFUTED | {
        "C-C4",
        "C-C5 trend",
    }


HELD = [
    ("sizes", lambda f: f.update({"as the notes' identity": f["cases"]}), "C-C3 identity"),
    ("sizes", lambda f: f.update({"taken away": [[n, 2, 4] for n in range(3, 8)]}), "C-C3 stride"),
    ("counts", lambda f: [row.__setitem__(4, 10) for row in f["rows"]], "C-C1 behind"),
    (
        "filters",
        lambda f: [row.update({"from convolution": 0.0}) for row in f["rows"]],
        "C-C2 convolution",
    ),
    ("alexnet", lambda f: f[5].update({"weights": f[5]["notes"]}), "C-C4 row 6"),
    ("alexnet", lambda f: f[5].update({"notes": f[5]["weights"]}), "C-C4 sum"),
    (
        "alexnet",
        lambda f: [
            row.update({"weights": 1, "multiply-adds": 1 + (row["layer"][:2] == "fc")}) for row in f
        ],
        "C-C5 why",
    ),
    (
        "nets",
        lambda f: [row.update({"dense parameters": row["parameters"]}) for row in f],
        "C-C5 all",
    ),
    ("nets", lambda f: [row.update({"parameters": 10**9 - i}) for i, row in enumerate(f)], "C-C7"),
    (
        "bottlenecks",
        lambda f: f.update({"refused": [], "kinds": {"13": "Block", "18": "Block"}}),
        "C-R15 names",
    ),
    (
        "growth",
        lambda f: [g.update({"inputs": [[16, 32, 64]]}) for g in f.values()],
        "C-D1 doubling",
    ),
]


@pytest.mark.parametrize(("part", "change", "id"), HELD)
def test_a_refuted_claim_would_hold_if_it_were_so(finished, part, change, id):
    records = copy.deepcopy(log.read(finished / "metrics.jsonl"))
    change(next(r for r in records if r["part"] == part)["found"])
    assert verdicts(records)[id] == "holds"


def test_an_unfinished_log_is_neither_judged_nor_drawn(finished):
    records = [r for r in log.read(finished / "metrics.jsonl") if r["part"] != "towers"]
    summary = summarize(SMOKE, records)
    assert summary["claims"] == [] and draw(SMOKE, records, summary) == {}
    tables = [r for r in log.read(finished / "metrics.jsonl") if r["part"] != "order"]
    assert summarize(SMOKE, tables)["claims"] == []


def test_sizes_are_those_of_an_array():
    for n, k, s, p in ((7, 3, 2, 1), (6, 3, 2, 0), (5, 5, 3, 2), (4, 2, 3, 0)):
        made = conv2d(
            jnp.ones((1, n, n, 1)), jnp.ones((k, k, 1, 1)), stride=s, padding=((p, p), (p, p))
        )
        starts = len(range(-p, n + p - k + 1, s))  # where a kernel fits
        assert made.shape[1] == starts == sizes.output(n, k, s, p) == sizes.formula(n, k, s, p)


def test_depth_is_the_longest_way():
    def program(w, x):
        y = x @ w
        return y @ w @ w + x @ w, y

    shapes = jnp.ones((3, 3)), jnp.ones((2, 3))
    assert graph.depth(jax.make_jaxpr(program)(*shapes).jaxpr) == 3
    assert graph.depth(jax.make_jaxpr(jax.jit(program))(*shapes).jaxpr) == 3
    assert graph.depth(jax.make_jaxpr(lambda x: x)(1.0).jaxpr) == 0

    def depth(net, size, channels):
        own = nets.program(net, size, channels)
        return graph.depth(jax.make_jaxpr(own.forward)(own.params, own.x).jaxpr)

    assert depth(lenet.full_lenet5(), 32, 1) == 5 and depth(alexnet.alexnet(10, 67), 67, 3) == 8
    assert depth(googlenet.googlenet(5), 31, 3) == 22


def test_order_is_that_of_the_program():
    def program(w, x):
        y = conv2d(x, w)
        return jax.nn.relu(y + x) + jax.nn.relu(conv2d(y, w))

    expected = [
        graph.CONVOLUTION,
        graph.ADDITION,
        graph.RELU,
        graph.CONVOLUTION,
        graph.RELU,
        graph.ADDITION,
    ]
    assert (
        graph.order(jax.make_jaxpr(program)(jnp.ones((3, 3, 2, 2)), jnp.ones((1, 5, 5, 2))).jaxpr)
        == expected
    )


def test_filters_find_what_they_are_made_for():
    edge = np.zeros((9, 9), np.uint8)
    edge[:, 5:] = 100
    made = filters.filtered(edge)
    assert (made["Sobel, left to right"][4, [2, 4, 5, 7]] == [0, 400, 400, 0]).all()
    assert made["box blur"][4, 4] == pytest.approx(100 / 3) and made["sharpen"][4, 5] == 200
    np.testing.assert_array_equal(made["identity"], edge)
    assert made["Laplacian"][4, 4] == 100 and made["Laplacian"][4, 5] == -100


def test_an_inception_by_names_is_the_net_s():
    block = jax.jit(googlenet.googlenet(3).init)(jax.random.key(0)).inceptions[0]
    x = jax.random.normal(jax.random.key(1), (1, 5, 5, block.one.w.shape[2]))
    ours = blocks.branches(
        {kind: getattr(block, kind)._asdict() for kind in (*blocks.BRANCHES, *blocks.REDUCERS)}, x
    )
    np.testing.assert_allclose(ours, googlenet.inception(block, x), rtol=1e-5, atol=1e-5)


def test_a_smaller_field_would_be_seen():
    kernel = np.ones((3, 3, 1, 1), np.float32)
    cross = kernel * np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)[:, :, None, None]
    x = jnp.ones((2, 9, 9, 1))
    assert weights._support((jnp.asarray(kernel), jnp.asarray(kernel)), x) == [5, 5, 25]
    assert weights._support((jnp.asarray(cross), jnp.asarray(cross)), x) == [5, 5, 13]


def test_towers_that_mix_would_be_seen(monkeypatch):
    monkeypatch.setattr(
        weights,
        "conv2d",
        lambda x, w, **_: conv2d(x, jnp.tile(w, (1, 1, x.shape[-1] // w.shape[2], 1))),
    )
    weights._towers.clear_cache()
    try:
        assert weights.towers(SMOKE, 0)["between towers"] > 1
    finally:
        weights._towers.clear_cache()


def test_a_picture_that_is_not_there(tmp_path, capsys, monkeypatch):
    def missing(every):
        raise DataError(
            "scikit-learn's picture china.jpg cannot be read; install scikit-learn and Pillow again"
        )

    monkeypatch.setattr(filters.pictures, "temple", missing)
    with pytest.raises(DataError, match="china.jpg"):
        filters.measure(SMOKE)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("sizes.largest=6", "--config.sizes.largest=6 must be at least 7"),
        ("sizes.kernels=1,5", "3 among them"),
        ("sizes.strides=1,1,2", "different integers"),
        ("sizes.paddings=1,2", "0 among them"),
        ("picture.every=41", "--config.picture.every=41 must be from 1 to 40"),
        ("picture.tolerance=0", "above 0"),
        ("weights.pixels=10", "a multiple of 4"),
        ("weights.width=0", "at least 1"),
        ("weights.batch=1", "at least 2"),
        ("seeds=1,1", "different integers"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
