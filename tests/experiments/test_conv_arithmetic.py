"""The study of convolutions: what it reads off programs, and how it judges."""

import copy
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.conv_arithmetic import get_config
from deepseq.data.source import DataError
from deepseq.lab.errors import UsageError
from deepseq.lab.workdir import plain
from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.layers import Conv
from deepseq.nets.images import alexnet, googlenet, lenet
from deepseq.train import log
from experiments.conv_arithmetic import (
    blocks,
    draw,
    filters,
    graph,
    nets,
    plan,
    sizes,
    summarize,
    weights,
)
from experiments.conv_arithmetic.claims import CLAIMS
from experiments.conv_arithmetic.records import TABLES, WEIGHTS

SMOKE = get_config("smoke")
COMMITTED = Path(__file__).resolve().parents[2] / "results/conv_arithmetic/laptop"
CONFIG = ConfigDict(json.loads((COMMITTED / "result.json").read_text())["config"])
RECORDS = log.read(COMMITTED / "metrics.jsonl")
REFUTED = set(
    "C-C1 behind, C-C2 convolution, C-C3 identity, C-C3 stride, C-C4 row 6, C-C4 sum, C-C5 all,"
    " C-C5 why, C-C7, C-C7 headings, C-R15 names, C-R16 first, C-D1 doubling".split(", ")
)


def verdicts(records, config=CONFIG):
    return {row["id"]: row["verdict"] for row in summarize(config, records)["claims"]}


def changed(part, change):
    records = copy.deepcopy(RECORDS)
    change(next(r for r in records if r["part"] == part)["found"])
    return records


@pytest.mark.parametrize("part", TABLES)
def test_what_is_counted_is_what_the_committed_log_holds(part):
    (record,) = (r for r in RECORDS if r["part"] == part)
    assert plain(TABLES[part](CONFIG)) == record["found"]


def test_what_is_tried_on_weights_is_judged():
    """On weights of its own, every claim is judged as in the committed log."""
    tables = [r for r in RECORDS if r["part"] in TABLES]
    tried = [
        {"part": part, "seed": seed, "found": plain(WEIGHTS[part](SMOKE, seed))}
        for seed in SMOKE.seeds
        for part in WEIGHTS
    ]
    assert [job.tag for job in plan(SMOKE, COMMITTED)] == [
        {"part": r["part"], "seed": r["seed"]} for r in [*tables, *tried]
    ]
    result = summarize(SMOKE, [*tables, *tried])
    assert {row["id"]: row["n"] for row in result["claims"]}["C-C11 apart"] == 2
    assert verdicts([*tables, *tried], SMOKE) == verdicts(RECORDS)


def test_every_claim_is_judged():
    judged = verdicts(RECORDS)
    assert judged == {id: "refuted" if id in REFUTED else "holds" for id in CLAIMS}
    assert len(judged) == 42 and REFUTED < set(judged)
    rows = {row["id"]: row for row in summarize(CONFIG, RECORDS)["claims"]}
    assert rows["C-C4 row 6"]["measured"] == {
        "the net's fc6": 37_748_736,
        "the notes'": 177_209_344,
        "fc6 without the last pooling": 177_209_344,
    }
    assert rows["C-C13"]["measured"]["weights, reduced"] == 40_960
    assert rows["C-C13"]["source"] == "claim C-C13"
    assert rows["C-C2 convolution"]["criterion"] == "at most 1e-06"


CHANGES = [
    ("sizes", lambda t: t.update({"as the formula": t["cases"] - 1}), "C-C3"),
    ("sizes", lambda t: t["exercises"][0].__setitem__(5, 3), "C-C3 exercises"),
    ("counts", lambda t: t["rows"][0].__setitem__(3, 1), "C-C1"),
    ("counts", lambda t: t["stack"][1].__setitem__(3, 999), "C-C2"),
    ("filters", lambda t: t["rows"][1].update({"from correlation": 0.01}), "C-C2 filters"),
    ("alexnet", lambda t: t[2].update({"weights": 5}), "C-C4"),
    ("alexnet", lambda t: t[1].update({"ungrouped": t[1]["weights"]}), "C-C11"),
    ("nets", lambda t: t[0].update({"dense parameters": 7}), "C-C5"),
    ("nets", lambda t: t[-1].update({"dense parameters": t[-1]["parameters"] // 2}), "C-C5 trend"),
    ("nets", lambda t: t[-1].update({"depth": 152}), "C-C7 depth"),
    ("nets", lambda t: t[-1].update({"parameters": 10**9}), "C-C7 ends"),
    ("nets", lambda t: t[5].update({"multiply-adds": 5 * 10**9}), "C-R15 depth"),
    ("inception", lambda t: t[3]["branches"].__setitem__(0, 1), "C-C14"),
    (
        "inception",
        lambda t: t[8].update({"parameters, unreduced": t[8]["parameters"]}),
        "C-C14 reducers",
    ),
    ("bottlenecks", lambda t: t.update({"bottleneck": 1}), "C-R15"),
    ("stages", lambda t: t["50"]["sides"].__setitem__(4, 13), "C-R16"),
    ("order", lambda t: t["pre-activation"].reverse(), "C-R17 order"),
    ("growth", lambda t: t["DenseNet-121"]["inputs"][2].__setitem__(5, 417), "C-D1"),
    ("growth", lambda t: t["DenseNet-121"]["transitions"][1].__setitem__(1, 512), "C-D2"),
    ("growth", lambda t: t["DenseNet-BC(100, 12)"].update({"parameters": 6_000_000}), "C-D2 count"),
    ("pixels", lambda t: t.update({"from a dense layer": 1e-9}), "C-C13 dense"),
    ("pixels", lambda t: t.update({"pair with ReLU from one 3x3": 0.0}), "C-C13 ReLU"),
    ("pixels", lambda t: t.update({"weights, reduced": 147_456}), "C-C13"),
    ("fields", lambda t: t.update({"two 3x3": [5, 5, 24]}), "C-C12"),
    ("fields", lambda t: t["weights of two 3x3"].__setitem__(0, 1), "C-C12 count"),
    ("towers", lambda t: t.update({"between towers": 1e-12}), "C-C11 apart"),
    ("additions", lambda t: t.update({"new channels from F": 1e-9}), "C-R14"),
    ("additions", lambda t: t.update({"least, post-activation": -1e-9}), "C-R17"),
    ("additions", lambda t: t.update({"least, pre-activation": 0.0}), "C-R17"),
    ("slices", lambda t: t.update({"their change": 1e-9}), "C-D3"),
]


@pytest.mark.parametrize(("part", "change", "id"), CHANGES)
def test_a_claim_that_is_not_so_is_refuted(part, change, id):
    """One seed that says otherwise is enough."""
    judged = verdicts(changed(part, change))
    refuted = {key for key in judged if judged[key] == "refuted"}
    assert id in refuted and refuted - {id} <= REFUTED | {"C-C4", "C-C5 trend"}


HELD = [
    ("sizes", lambda t: t.update({"as the notes' identity": t["cases"]}), "C-C3 identity"),
    ("sizes", lambda t: t.update({"taken away": [[n, 2, 4] for n in range(3, 8)]}), "C-C3 stride"),
    ("counts", lambda t: [row.__setitem__(4, 10) for row in t["rows"]], "C-C1 behind"),
    (
        "filters",
        lambda t: [row.update({"from convolution": 0.0}) for row in t["rows"]],
        "C-C2 convolution",
    ),
    ("alexnet", lambda t: t[5].update({"weights": t[5]["notes"]}), "C-C4 row 6"),
    ("alexnet", lambda t: t[5].update({"notes": t[5]["weights"]}), "C-C4 sum"),
    (
        "alexnet",
        lambda t: [
            row.update({"weights": 1, "multiply-adds": 1 + (row["layer"][:2] == "fc")}) for row in t
        ],
        "C-C5 why",
    ),
    (
        "nets",
        lambda t: [row.update({"dense parameters": row["parameters"]}) for row in t],
        "C-C5 all",
    ),
    ("nets", lambda t: [row.update({"parameters": 10**9 - i}) for i, row in enumerate(t)], "C-C7"),
    (
        "bottlenecks",
        lambda t: t.update(refused=[], kinds=dict.fromkeys(["13", "18"], "Block")),
        "C-R15 names",
    ),
    ("growth", lambda t: [g.update(inputs=[[16, 32, 64]]) for g in t.values()], "C-D1 doubling"),
]


@pytest.mark.parametrize(("part", "change", "id"), HELD)
def test_a_refuted_claim_would_hold_if_it_were_so(part, change, id):
    assert verdicts(changed(part, change))[id] == "holds"


@pytest.mark.parametrize("part", ["towers", "order"])
def test_an_unfinished_log_is_neither_judged_nor_drawn(part):
    records = [r for r in RECORDS if r["part"] != part]
    assert summarize(CONFIG, records)["claims"] == [] and draw(CONFIG, records) == {}


def test_the_committed_log_is_drawn():
    drawings = draw(CONFIG, RECORDS)
    assert set(drawings) == {"figure", "alexnet", "filters", "shares"}
    assert all(drawing.figure.axes and drawing.caption for drawing in drawings.values())
    assert "200.4 million in place of 61.0 million" in drawings["alexnet"].caption


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
        return graph.depth(nets.Program(net, size, channels).jaxpr())

    assert depth(lenet.full_lenet5(), 32, 1) == 5 and depth(alexnet.alexnet(10, 67), 67, 3) == 8
    assert depth(googlenet.googlenet(5), 31, 3) == 22


def test_order_is_that_of_the_program():
    def program(w, x):
        y = conv2d(x, w)
        return jax.nn.relu(y + x) + jax.nn.relu(conv2d(y, w))

    shapes = jnp.ones((3, 3, 2, 2)), jnp.ones((1, 5, 5, 2))
    expected = "convolution, addition, ReLU, convolution, ReLU, addition"
    assert ", ".join(graph.order(jax.make_jaxpr(program)(*shapes).jaxpr)) == expected


def test_filters_find_what_they_are_made_for():
    edge = np.zeros((9, 9), np.uint8)
    edge[:, 5:] = 100
    made = filters.filtered(edge)
    assert (made["Sobel, left to right"][4, [2, 4, 5, 7]] == [0, 400, 400, 0]).all()
    assert made["box blur"][4, 4] == pytest.approx(100 / 3) and made["sharpen"][4, 5] == 200
    np.testing.assert_array_equal(made["identity"], edge)
    assert made["Laplacian"][4, 4] == 100 and made["Laplacian"][4, 5] == -100


def test_an_inception_without_reducers():
    """It is the net's own with reducers that change nothing."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(0, 1, (1, 5, 5, 3)), jnp.float32)
    sizes = dict(zip(blocks.BRANCHES, (1, 3, 5, 1), strict=True))
    direct = {
        kind: Conv(jnp.asarray(rng.normal(size=(n, n, 3, 4)), jnp.float32), jnp.ones(4))
        for kind, n in sizes.items()
    }
    same = Conv(jnp.eye(3)[None, None], jnp.zeros(3))
    block = googlenet.Inception(**direct, three_reduce=same, five_reduce=same)
    expected = googlenet.inception(block, x)
    np.testing.assert_allclose(blocks.unreduced(direct, x), expected, rtol=1e-5, atol=1e-5)


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


def test_a_picture_that_is_not_there(monkeypatch):
    def missing(every):
        raise DataError(
            "scikit-learn's picture china.jpg cannot be read; install scikit-learn and Pillow again"
        )

    monkeypatch.setattr(filters.pictures, "temple", missing)
    with pytest.raises(DataError, match="china.jpg"):
        filters.measure(SMOKE)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sizes.largest", 6, "--config.sizes.largest=6 must be at least 7"),
        ("sizes.kernels", (1, 5), "--config.sizes.kernels=1,5 must be numbers with 3 among them"),
        ("sizes.strides", (1, 1, 2), "different numbers of at least 1"),
        ("sizes.paddings", (1, 2), "0 among them"),
        ("picture.every", 41, "--config.picture.every=41 must be from 1 to 40"),
        ("picture.tolerance", 0.0, "above 0"),
        ("weights.pixels", 10, "a multiple of 4"),
        ("weights.width", 0, "at least 1"),
        ("weights.batch", 1, "at least 2"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError, match=message):
        plan(config, tmp_path)
