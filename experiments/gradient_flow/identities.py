"""The exact claims of the gradient-flow study, which have no interval: one function each, from the
log to a verdict row.
"""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import claim, exact
from experiments.gradient_flow.algebra import RELU_W, SCALAR_STEPS, SIGMOID_W, STEPS
from experiments.gradient_flow.records import Runs


def weights_are_shared(config: ConfigDict, runs: Runs) -> dict:
    output, gradient = (runs.worst("shared_weights", name) for name in ("output", "gradient"))
    return _exact(
        runs,
        "C-S7",
        "Unrolled, an RNN is one wide feed-forward net whose layers share their weights, W being"
        " the same at every step.",
        max(output, gradient) <= config.measure.same,
        f"relative difference between {STEPS} written-out layers and the loop, in output and in"
        " gradient, where the shared gradient is the sum over the layers; claimed at most"
        f" {config.measure.same:g}",
        {
            "output": output,
            "gradient": gradient,
            "the first layer's gradient alone": runs.worst("shared_weights", "one_layer"),
            "parameters, whatever T": int(runs.worst("shared_weights", "parameters")),
        },
        "holds to rounding",
        "Rumelhart et al. 1986; notes F0:33, F1:468, F4:47",
    )


def two_gradients_arrive(config: ConfigDict, runs: Runs) -> dict:
    found = {
        name: runs.worst("two_gradients", name)
        for name in ("sum", "output_only", "following_only", "last_step")
    }
    return _exact(
        runs,
        "C-S8",
        "Each h_t receives two gradients: from the next step, and from its own output.",
        max(found["sum"], found["last_step"]) <= config.measure.same,
        "|dL/dh_t - (own output's term + next step's term)| / |dL/dh_t| over all steps, and at the"
        f" last step the own output's alone; claimed at most {config.measure.same:g}",
        {
            "both terms": found["sum"],
            "own output alone": found["output_only"],
            "next step alone": found["following_only"],
            "own output alone, last step": found["last_step"],
        },
        "holds to rounding; the last step receives the one only",
        "notes F0:43",
    )


def sigmoid_vanishes(config: ConfigDict, runs: Runs) -> dict:
    del config
    at_half, off_half = (
        runs.found("sigmoid_unit", name)[0][..., -1] for name in ("at_half", "off_half")
    )
    tags = runs.tags("sigmoid", driven=True)
    nets = [runs.flow("sigmoid", "largest", **tag)[:, -1].max() for tag in tags]
    return _exact(
        runs,
        "C-S12",
        "With a sigmoid activation, the gradient vanishes.",
        bool((at_half < 1).all()),
        f"|dh_T/dh_0| after T = {SCALAR_STEPS} steps of one unit with bias -W/2 at rest at 1/2;"
        " claimed below 1 for every W",
        {f"W = {w:g}": value for w, value in zip(SIGMOID_W, at_half, strict=True)}
        | {
            f"W = {SIGMOID_W[-1]:g}, started at 0.6": float(off_half),
            f"sigmoid nets of radius up to {max(t['radius'] for t in tags):g}, the largest log10": (
                max(nets)
            ),
        },
        "refuted as a rule: certain only for |W| < 4, since sigmoid' is at most 1/4; a unit off 1/2"
        " saturates and vanishes all the same",
        "Pascanu et al. 2013, section 2.2; notes F0:90, F1:495",
    )


def relu_explodes(config: ConfigDict, runs: Runs) -> dict:
    gradient = runs.found("relu_unit", "gradient")[0][:, -1]
    above = [radius for radius in config.flow.radii if radius > 1][:1]
    nets = {
        f"{recurrence} W of radius {radius:g}, log10": (
            runs.flow("relu", "largest", recurrence=recurrence, radius=radius, driven=True)[
                :, -1
            ].mean()
        )
        for recurrence in ("identity", "orthogonal", "gaussian")
        for radius in above
    }
    return _exact(
        runs,
        "C-S13",
        "With ReLU and W > 0, the gradient explodes.",
        bool((gradient > 1).all()),
        f"|dh_T/dh_0| after T = {SCALAR_STEPS} steps of one unit at h_0 = 1 without inputs; claimed"
        " above 1 for every W > 0",
        {f"W = {w:g}": value for w, value in zip(RELU_W, gradient, strict=True)} | nets,
        "refuted as a rule: only above 1, exactly W^T; nets whose weights have either sign need a"
        " larger radius still, since half their units are off",
        "Pascanu et al. 2013; Le et al. 2015; notes F0:91, F1:498, F3:144",
    )


def determinant_predicts(config: ConfigDict, runs: Runs) -> dict:
    del config
    first, second = runs.found("determinant", "along_axes")[0]
    det = runs.worst("determinant", "determinant")
    rest = runs.tags("tanh", driven=False)
    grew = np.concatenate([runs.flow("tanh", "largest", **tag)[:, -1] > 0 for tag in rest])
    small = np.concatenate([runs.flow("tanh", "det", **tag) < 0 for tag in rest])
    return _exact(
        runs,
        "C-S14",
        "det > 1 means exploding, an eigenvalue near 0 means vanishing.",
        not (det < 1 and max(first, second) > 1),
        "a linear RNN with W = diag(2, 0.1), 20 steps back: claimed that with det < 1 and an"
        " eigenvalue near 0 nothing grows",
        {
            "det W": det,
            "gradient along the first axis": first,
            "along the second": second,
            "tanh nets at rest that grew": int(grew.sum()),
            "of these with |det W| < 1": int((grew & small).sum()),
        },
        "refuted: det > 1 is sufficient, not necessary, and vanishing a matter of direction; what"
        " grows is told by the largest eigenvalue and singular values",
        "notes F4:169-170",
    )


def lstm_takes_three(config: ConfigDict, runs: Runs) -> dict:
    inputs, outputs = (int(runs.worst("lstm_signature", name)) for name in ("inputs", "outputs"))
    weakest = float(runs.found("lstm_signature", "weakest").min())
    same = runs.worst("lstm_signature", "y_minus_h")
    return _exact(
        runs,
        "C-G2",
        "An LSTM takes three inputs (x, h, c) and hands two on (h, c); its output is h.",
        (inputs, outputs) == (3, 2) and weakest > config.measure.same and same == 0,
        "number of arrays that h' and c' depend on, and of arrays handed on; each of the six"
        " Jacobians is not 0, and y - h' is",
        {
            "inputs": inputs,
            "handed on": outputs,
            "smallest of the six Jacobians, norm": weakest,
            "largest |y - h'|": same,
        },
        "holds; drawn as three outputs, h' is counted twice",
        "notes F0:100, F1:528",
    )


def shut_gates_ignore(config: ConfigDict, runs: Runs) -> dict:
    del config
    old, new, through = (
        runs.worst("lstm_gates_shut", n) for n in ("old_memory", "new_input", "through_forget_gate")
    )
    return _exact(
        runs,
        "C-G3",
        "With f = 0 the old memory is ignored, with i = 0 the new input.",
        old == new == 0,
        "largest |dc'/dc| with f = 0 and largest |dc'/dx| with i = 0 and a constant f; claimed"
        " exactly 0",
        {
            "|dc'/dc|, f = 0": old,
            "|dc'/dx|, i = 0": new,
            "|dc'/dx|, i = 0, through the forget gate": through,
        },
        "holds; with i = 0 the input still steers what is forgotten",
        "notes F4:93",
    )


def lstm_step_is_squashed_rnn(config: ConfigDict, runs: Runs) -> dict:
    squashed = runs.worst("lstm_as_rnn", "squashed")
    return _exact(
        runs,
        "C-G4 step",
        "With i = 1, f = 0, o = 1 a step of the LSTM is a step of the RNN with a tanh added.",
        squashed <= config.measure.same,
        "largest |LSTM - tanh(RNN)| over one step from the same h; claimed at most"
        f" {config.measure.same:g}",
        {"LSTM minus tanh(RNN)": squashed, "LSTM minus RNN": runs.worst("lstm_as_rnn", "plain")},
        "holds to rounding; without the added tanh they differ",
        "notes F4:97",
    )


def lstm_run_is_squashed_rnn(config: ConfigDict, runs: Runs) -> dict:
    over_time = runs.worst("lstm_as_rnn", "over_time")
    return _exact(
        runs,
        "C-G4 time",
        "The same over time: that LSTM is an RNN whose outputs pass through a tanh.",
        over_time <= config.measure.same,
        f"largest |LSTM - tanh(RNN)| over {STEPS} steps from h = 0; claimed at most"
        f" {config.measure.same:g}",
        {"LSTM minus tanh(RNN)": over_time},
        "refuted: the state that is fed back is the squashed one",
        "notes F4:97",
    )


def gru_is_rnn(config: ConfigDict, runs: Runs) -> dict:
    cho = runs.worst("gru_as_rnn", "cho")
    return _exact(
        runs,
        "C-G5 Cho",
        "With r = 1 and z = 0 the GRU is the RNN (z keeps the old state, as Cho et al. and torch"
        " have it).",
        cho <= config.measure.same,
        f"largest |GRU - RNN| over one step; claimed at most {config.measure.same:g}",
        {"GRU minus RNN": cho},
        "holds to rounding",
        "Cho et al. 2014, equation 7; notes F4:67",
    )


def gru_is_rnn_under_chung(config: ConfigDict, runs: Runs) -> dict:
    chung = runs.worst("gru_as_rnn", "chung")
    return _exact(
        runs,
        "C-G5 Chung",
        "With r = 1 and z = 0 the GRU is the RNN (z lets the new state in, as Chung et al. have"
        " it).",
        chung <= config.measure.same,
        f"largest |GRU - RNN| over one step; claimed at most {config.measure.same:g}",
        {
            "GRU minus RNN": chung,
            "GRU minus its old state": runs.worst("gru_as_rnn", "chung_minus_old"),
        },
        "refuted: there z = 0 copies the old state, and z = 1 gives the RNN",
        "Chung et al. 2014; notes F4:67",
    )


def gru_adds_no_nonlinearity(config: ConfigDict, runs: Runs) -> dict:
    outside, same = runs.worst("gru_between", "outside"), runs.worst("gru_between", "y_minus_h")
    return _exact(
        runs,
        "C-G7",
        "A GRU applies no second nonlinearity: h' lies between candidate and old state, and is the"
        " output.",
        outside <= config.measure.same and same == 0,
        f"how far h' leaves [min(n, h), max(n, h)], at most {config.measure.same:g}, and largest |y"
        " - h'|, exactly 0",
        {
            "outside": outside,
            "largest |y - h'|": same,
            "largest |h'|": runs.worst("gru_between", "largest_h"),
        },
        "holds to rounding",
        "notes F4:73, F1:584",
    )


def ranges_are_open(config: ConfigDict, runs: Runs) -> dict:
    del config
    low, high = (
        float(runs.found("gate_ranges", "lowest_gate").min()),
        runs.worst("gate_ranges", "highest_gate"),
    )
    candidate = runs.worst("gate_ranges", "largest_candidate")
    return _exact(
        runs,
        "C-G10",
        "Candidates lie in (-1, 1) and gates in (0, 1).",
        0 < low <= high < 1 and candidate < 1,
        "extremes over random LSTMs and GRUs; claimed strictly inside",
        {"lowest gate": low, "highest gate": high, "largest |candidate|": candidate},
        "holds; in float32 a gate rounds to 1 from a pre-activation of about 17 on",
        "notes F1:553",
    )


def gates_share_a_width(config: ConfigDict, runs: Runs) -> dict:
    del config
    widths = np.unique(runs.found("gate_shapes", "widths"))
    return _exact(
        runs,
        "C-G11",
        "All gates have the width of the hidden state.",
        len(widths) == 1,
        "number of different widths among i, f, g, o, h and c; claimed 1",
        {"different widths": len(widths), "width": int(widths[0])},
        "holds",
        "notes F4:89",
    )


IDENTITIES = (
    weights_are_shared,
    two_gradients_arrive,
    sigmoid_vanishes,
    relu_explodes,
    determinant_predicts,
    lstm_takes_three,
    shut_gates_ignore,
    lstm_step_is_squashed_rnn,
    lstm_run_is_squashed_rnn,
    gru_is_rnn,
    gru_is_rnn_under_chung,
    gru_adds_no_nonlinearity,
    ranges_are_open,
    gates_share_a_width,
)


def _exact(
    runs: Runs,
    id: str,
    words: str,
    true: bool,
    statistic: str,
    measured: dict,
    expected: str,
    source: str,
) -> dict:
    return claim(
        id,
        words,
        exact(true),
        statistic=statistic,
        measured={
            name: value if isinstance(value, int) else float(value)
            for name, value in measured.items()
        },
        interval=None,
        n=len(runs.seeds),
        expected=expected,
        source=source,
    )
