"""The gradient-flow study: a smoke run, how it judges and draws, the configs that it refuses."""

import copy
import json

import chex
import numpy as np
import pytest

from configs.gradient_flow import TIERS, get_config
from deepseq.lab import jobs, plots, workdir
from deepseq.lab.errors import UsageError
from deepseq.train import log
from experiments.gradient_flow import check, draw, plan, plot, summarize, training
from experiments.gradient_flow.nets import CELLS
from experiments.gradient_flow.records import _least_squares
from experiments.gradient_flow.training import ARMS

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE = get_config("smoke")
EXACT = {
    **dict.fromkeys(("C-S7", "C-S8", "C-S9 bound", "C-G2", "C-G3", "C-G4 step"), "holds"),
    **dict.fromkeys(("C-G5 Cho", "C-G7", "C-G10", "C-G11"), "holds"),
    **dict.fromkeys(("C-S12", "C-S13", "C-S14", "C-G4 time", "C-G5 Chung"), "refuted"),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory, compiled_quickly):
    """The log of the smoke tier; one program trains every arm from every seed."""

    def counted(config):
        return chex.assert_max_traces(step(config), n=1)

    path, step = tmp_path_factory.mktemp("smoke"), training.step
    chex.clear_trace_counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "step", counted)
        jobs.run(plan(SMOKE, path), path)
    return log.read(path / "metrics.jsonl")


def judged(records):
    return {claim["id"]: claim["verdict"] for claim in summarize(SMOKE, records)["claims"]}


def test_a_smoke_run(records):
    """What holds or not by algebra does so in a run, and a unit vanishes for certain below 4."""
    ends = [record for record in records if "final" in record or "step" not in record]
    tags = [(r.get("part", "trained"), r.get("cell", r.get("arm")), r["seed"]) for r in ends]
    assert tags == (
        [("algebra", None, seed) for seed in (0, 1)]
        + [("flow", cell, seed) for seed in (0, 1) for cell in CELLS]
        + [("trained", arm, seed) for seed in (0, 1) for arm in ARMS]
    )
    summary = summarize(SMOKE, records)
    exact = [row for row in summary["claims"] if row["interval"] is None]
    assert {row["id"]: row["verdict"] for row in exact} == EXACT
    assert summary["comparison"][0]["ours"] == pytest.approx(4, rel=1e-4)


def test_verdicts_follow_the_numbers(records):
    """Each altered number turns the one verdict that rests on it."""
    before = judged(records)

    def turned(alter):
        changed = copy.deepcopy(records)
        for record in changed:
            alter(record)
        after = judged(changed)
        return {id: verdict for id, verdict in after.items() if verdict != before[id]}

    def identity(part, name, value):
        return turned(
            lambda record: (
                record.get("part") == "algebra" and record["found"][part].update({name: value})
            )
        )

    assert identity("shared_weights", "gradient", 0.1) == {"C-S7": "refuted"}
    assert identity("two_gradients", "sum", 0.1) == {"C-S8": "refuted"}
    assert identity("sigmoid_unit", "at_half", [[0.5] * 50] * 3) == {"C-S12": "holds"}
    assert identity("relu_unit", "gradient", [[2.0] * 50] * 3) == {"C-S13": "holds"}
    assert identity("determinant", "along_axes", [0.5, 0.1]) == {"C-S14": "holds"}
    assert identity("lstm_signature", "weakest", 0.0) == {"C-G2": "refuted"}
    assert identity("lstm_gates_shut", "old_memory", 1e-9) == {"C-G3": "refuted"}
    assert identity("lstm_as_rnn", "over_time", 0.0) == {"C-G4 time": "holds"}
    assert identity("gru_as_rnn", "cho", 0.1) == {"C-G5 Cho": "refuted"}
    assert identity("gru_between", "outside", 0.1) == {"C-G7": "refuted"}
    assert identity("gate_ranges", "highest_gate", 1.0) == {"C-G10": "refuted"}
    assert identity("gate_shapes", "widths", [7, 7, 7, 7, 7, 8]) == {"C-G11": "refuted"}

    def nets_of(cell, quantity, values):
        """Sets a quantity of every net of one cell; values(net, lag) is a number."""

        def alter(record):
            if record.get("cell") == cell:
                for net in record["nets"]:
                    net[quantity] = [
                        values(net, lag) + 1e-6 * record["seed"] * lag for lag in record["lags"]
                    ]

        return turned(alter)

    assert nets_of("tanh", "largest", lambda net, lag: lag)["C-S9 bound"] == "refuted"
    straight = nets_of("tanh", "largest", lambda net, lag: lag * np.log10(net.get("radius", 1e-9)))
    assert straight["C-S9 driven"] == "holds" and straight["C-S15 relative"] == "holds"
    assert nets_of("tanh", "largest", lambda net, lag: 0.5 * lag)["C-S15 relative"] == "refuted"
    assert nets_of("leaky", "largest", lambda net, lag: -lag)["C-S15 open"] == "refuted"
    assert nets_of("lstm", "direct", lambda net, lag: -0.5 * lag)["C-G9 belt"] == "refuted"
    assert nets_of("lstm", "whole", lambda net, lag: 0.0)["C-G9 whole"] == "holds"
    assert (
        nets_of("lstm", "whole", lambda net, lag: -net.get("keep", 0) * lag)["C-G9 bias"]
        == "refuted"
    )

    def ends(quantity, **values):
        """Sets what every look at these arms measured."""

        def alter(record):
            name = record.get("arm", "").replace("-", "_")
            if name in values and "look" in record:
                record["look"][quantity] = values[name] + 1e-3 * record["seed"]

        return turned(alter)

    assert ends("error", SGD=0.7, SGD_C=0.2) == {"C-S16 clipping": "holds"}
    assert ends("error", SGD=0.2, SGD_C=0.7) == {"C-S16 clipping": "refuted"}
    assert ends("omega", SGD_C=2.0, SGD_CR=1.0) == {"C-S16 regulariser": "holds"}
    assert ends("omega", SGD_C=1.0, SGD_CR=2.0) == {"C-S16 regulariser": "refuted"}


def test_one_seed_decides_nothing_but_algebra(records):
    config = get_config("smoke")
    config.seeds = (0,)
    rows = summarize(config, records)["claims"]
    assert {row["id"] for row in rows if row["verdict"] != "undecided"} == set(EXACT)
    assert {row["id"] for row in rows} > set(EXACT)
    for drawing in draw(config, records).values():
        assert drawing.caption.endswith("One seed.")


def test_unfinished_seeds_are_left_out(records):
    assert {row["n"] for row in summarize(SMOKE, records[:-1])["claims"]} == {1}
    assert draw(SMOKE, records[:-1])["figure"].caption.endswith("One seed.")
    empty = summarize(SMOKE, [])
    assert empty["claims"] == [] and empty["metrics"] == {} and draw(SMOKE, []) == {}
    json.dumps(workdir.plain(empty), allow_nan=False)


def test_divergence_is_data(records, tmp_path):
    """At this rate every arm overflows; the run goes on, counts it and draws what there is."""
    config = get_config("smoke")
    config.train.learning_rate = 1e38
    trainings = [job for job in plan(config, tmp_path) if "arm" in job.tag]
    jobs.run(trainings, tmp_path)
    path = tmp_path / "metrics.jsonl"
    ends = {(r["arm"], r["seed"]): r for r in log.read(path) if r.get("final")}
    assert len(ends) == 6 and ends["SGD", 0]["diverged"] == ends["SGD", 1]["diverged"] == 5
    diverged = [record for record in records if "part" in record] + log.read(path)
    summary = summarize(config, diverged)
    assert summary["metrics"]["trained"]["SGD"]["wrong_percent"]["by_seed"] == [75.0, 75.0]
    json.dumps(workdir.plain(summary), allow_nan=False)
    loss = draw(config, diverged)["training"].figure.axes[0]
    assert loss.get_title() == "SGD\n75 % wrong at the end, 2 of 2 diverged"
    assert [line.get_color() for line in loss.lines if line.get_marker() == "x"] == [plots.RED] * 2
    before = path.read_bytes()
    # killed before the last record of a run that diverged
    path.write_bytes(before[: before.rstrip().rfind(b"\n") + 1])
    jobs.run(trainings, tmp_path)
    assert path.read_bytes() == before


def titles(figure):
    return [ax.get_title() for ax in figure.axes]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_figures_say_what_they_show(records):
    drawings = draw(SMOKE, records)
    assert set(drawings) == {"figure", "gates", "training", "singular_values"}
    for drawing in drawings.values():
        assert drawing.caption.endswith(
            "Mean of 2 seeds on the log scale, band: one standard deviation."
        )
    by_cell, gates, training, singular = (
        drawings[name].figure for name in ("figure", "gates", "training", "singular_values")
    )
    assert titles(by_cell) == [
        "tanh RNN",
        "sigmoid RNN",
        "ReLU RNN",
        "ReLU RNN, W = radius × identity",
        "GRU, gates half open",
        "LSTM, gates half open",
    ]
    assert legend(by_cell) == ["radius 0.9", "radius 1.1", "bound (γ‖W‖)$^{T − t}$"]
    assert legend(singular) == ["radius 0.9", "radius 1.1", "largest", "median", "bound"]
    assert [title.split("\n")[0] for title in titles(training)[:3]] == [
        "SGD",
        "SGD-C: clipped",
        "SGD-CR: clipped and regularised",
    ]
    assert legend(training) == ["before", "half way", "after"]
    half_open, opened, cell_state = gates.axes[:3]
    assert half_open.get_title() == "gate biases 0 (they keep 0.5)"
    assert opened.get_title() == "gate biases 5 (they keep 0.993)"
    for ax in (half_open, opened):
        assert {text.get_text() for text in ax.texts} == {"RNN", "leaky RNN", "GRU", "LSTM"}
    assert {text.get_text() for text in cell_state.texts} == {"bias 0", "bias 1", "bias 5"}


def test_what_is_drawn_is_what_was_logged(records):
    """Of sigmoid nets, the mean over seeds; dashed, log10 (gamma |W|) times the lag."""
    figure = draw(SMOKE, records)["figure"].figure
    ends = [r for r in records if r.get("cell") == "sigmoid"]
    lines = figure.axes[1].lines
    for radius, solid, dashed in zip((0.9, 1.1), lines[0::2], lines[1::2], strict=False):
        wanted = {"recurrence": "orthogonal", "radius": radius, "driven": True}
        rows = [net["gradient"] for r in ends for net in r["nets"] if wanted.items() <= net.items()]
        assert len(rows) == 2 and dashed.get_linestyle() == "--"
        np.testing.assert_array_equal(solid.get_xdata(), ends[0]["lags"])
        np.testing.assert_allclose(solid.get_ydata(), np.mean(rows, axis=0))
        bound = np.log10(radius / 4) * np.array(ends[0]["lags"])
        np.testing.assert_allclose(dashed.get_ydata(), bound, rtol=1e-6)


def test_a_line_ends_with_a_cross_where_a_seed_has_nothing_left():
    ax = plots.panels(3, 3)[1]
    left = np.array([[0, -1, -2, -np.inf], [0, -3, -4, -5.0]])
    x, middle, _ = plot.line(ax, range(4), left, plots.RED)
    np.testing.assert_array_equal(middle, [0, -2, -3, np.nan])
    (cross,) = [line for line in ax.lines if line.get_marker() == "x"]
    assert (cross.get_xdata(), cross.get_ydata()) == ([2], [-3])
    plot.line(ax, range(4), left[1:], plots.RED)
    assert sum(line.get_marker() == "x" for line in ax.lines) == 1


def test_radii_are_cold_below_1_and_warm_above():
    colours = plot.radius_colours(get_config())
    assert list(colours) == [0.5, 0.9, 1.0, 1.1, 1.5] and len(set(colours.values())) == 5
    assert colours[1.0] == plots.BLACK
    assert {colours[0.5], colours[0.9]} < set(plot.COLD)
    assert {colours[1.1], colours[1.5]} < set(plot.WARM)


def test_the_fitted_line_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    xs, ys = np.sort(rng.random(37)) * 200, rng.standard_normal(37)
    assert _least_squares(xs, ys) == pytest.approx(np.polyfit(xs, ys, 1)[0], rel=1e-9)
    assert _least_squares(xs, 3 - 0.25 * xs) == pytest.approx(-0.25, rel=1e-12)


def test_every_tier_is_accepted():
    for tier in TIERS:
        check(get_config(tier))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("flow.hidden", 1, "flow.hidden=1 must be at least 2"),
        ("flow.steps", 7, "flow.steps=7 must be at least 8"),
        ("flow.radii", (0.0, 1.0), "flow.radii=0.0,1.0 must be different numbers above 0"),
        ("flow.radii", (1.0, 1.0), "flow.radii=1.0,1.0 must be one or more different values"),
        ("flow.keeps", (1.0,), "flow.keeps=1.0 must be at least two different numbers"),
        ("flow.points", 4, "flow.points=4 must be from 5 to 25"),
        ("flow.points", 26, "flow.points=26 must be from 5 to 25"),
        ("flow.drive", 0.0, "flow.drive=0.0 must be above 0"),
        ("train.lag", 9, "train.lag=9 must be at least 10"),
        ("train.learning_rate", -1.0, "train.learning_rate=-1.0 must be above 0"),
        ("train.clip", 0.0, "train.clip=0.0 must be above 0"),
        ("measure.sequences", 0, "measure.sequences=0 must be at least 1"),
        ("measure.look_every", 7, "look_every=7 must be a positive multiple of measure.every=5"),
        ("measure.save_every", 4, "save_every=4 must be a positive multiple of measure.every=5"),
    ],
)
def test_a_config_that_cannot_be(key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError, match=f"^--config.*{message}"):
        check(config)
