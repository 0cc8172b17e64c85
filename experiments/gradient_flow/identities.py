"""The exact claims of the gradient-flow study, which have no interval, from the log to rows."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Claim, exact
from experiments.gradient_flow.algebra import RELU_W, SCALAR_STEPS, SIGMOID_W
from experiments.gradient_flow.draws import STEPS
from experiments.gradient_flow.records import Runs


def identities(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row; what holds to rounding is held against ``measure.same``."""
    same = config.measure.same
    return [
        weights_are_shared(runs, same),
        two_gradients_arrive(runs, same),
        sigmoid_vanishes(runs),
        relu_explodes(config, runs),
        determinant_predicts(runs),
        *lstm_gates(runs, same),
        *cells_as_rnns(runs, same),
        *gates_by_themselves(runs, same),
    ]


def weights_are_shared(runs: Runs, same: float) -> Claim:
    output, gradient = (runs.worst("shared_weights", name) for name in ("output", "gradient"))
    about = About(
        "C-S7",
        "Unrolled, an RNN is one wide feed-forward net whose layers share their weights, W being"
        " the same at every step.",
        f"relative difference between {STEPS} written-out layers and the loop, in output and in"
        " gradient, where the shared gradient is the sum over the layers",
        "Rumelhart et al. 1986",
        "holds to rounding",
    )
    measured = {
        "output": output,
        "gradient": gradient,
        "the first layer's gradient alone": runs.worst("shared_weights", "one_layer"),
        "parameters, whatever T": int(runs.worst("shared_weights", "parameters")),
    }
    return _row(runs, about, max(output, gradient) <= same, _up_to(same), measured)


def two_gradients_arrive(runs: Runs, same: float) -> Claim:
    terms = {
        "both terms": "sum",
        "own output alone": "output_only",
        "next step alone": "following_only",
        "own output alone, last step": "last_step",
    }
    measured = {text: runs.worst("two_gradients", name) for text, name in terms.items()}
    about = About(
        "C-S8",
        "Each h_t receives two gradients: from the next step, and from its own output.",
        "|dL/dh_t - (own output's term + next step's term)| / |dL/dh_t| over all steps, and at the"
        " last step the own output's alone",
        "claim C-S8",
        "holds to rounding; the last step receives the one only",
    )
    true = max(measured["both terms"], measured["own output alone, last step"]) <= same
    return _row(runs, about, true, _up_to(same), measured)


def sigmoid_vanishes(runs: Runs) -> Claim:
    at_half, off_half = (
        runs.identity("sigmoid_unit", name)[0][..., -1] for name in ("at_half", "off_half")
    )
    variants = runs.variants("sigmoid", driven=True)
    nets = [runs.flow("sigmoid", "largest", **variant)[:, -1].max() for variant in variants]
    widest = max(variant["radius"] for variant in variants)
    about = About(
        "C-S12",
        "With a sigmoid activation, the gradient vanishes.",
        f"|dh_T/dh_0| after T = {SCALAR_STEPS} steps of one unit with bias -W/2 at rest at 1/2",
        "Pascanu et al. 2013, section 2.2",
        "refuted as a rule: certain only for |W| < 4, since sigmoid' is at most 1/4; a unit off 1/2"
        " saturates and vanishes all the same",
    )
    measured = {f"W = {w:g}": value for w, value in zip(SIGMOID_W, at_half, strict=True)} | {
        f"W = {SIGMOID_W[-1]:g}, started at 0.6": float(off_half),
        f"sigmoid nets of radius up to {widest:g}, the largest log10": max(nets),
    }
    return _row(runs, about, bool((at_half < 1).all()), "below 1 for every W", measured)


def relu_explodes(config: ConfigDict, runs: Runs) -> Claim:
    gradient = runs.identity("relu_unit", "gradient")[0][:, -1]
    above = [radius for radius in config.flow.radii if radius > 1][:1]
    nets = {
        f"{kind} W of radius {radius:g}, log10": runs.flow(
            "relu", "largest", recurrence=kind, radius=radius, driven=True
        )[:, -1]
        for kind in ("identity", "orthogonal", "gaussian")
        for radius in above
    }
    about = About(
        "C-S13",
        "With ReLU and W > 0, the gradient explodes.",
        f"|dh_T/dh_0| after T = {SCALAR_STEPS} steps of one unit at h_0 = 1 without inputs",
        "Pascanu et al. 2013; Le et al. 2015",
        "refuted as a rule: only above 1, exactly W^T; nets whose weights have either sign need a"
        " larger radius still, since half their units are off",
    )
    measured = {f"W = {w:g}": value for w, value in zip(RELU_W, gradient, strict=True)} | nets
    return _row(runs, about, bool((gradient > 1).all()), "above 1 for every W > 0", measured)


def determinant_predicts(runs: Runs) -> Claim:
    first, second = runs.identity("determinant", "along_axes")[0]
    det, rest = runs.worst("determinant", "determinant"), runs.variants("tanh", driven=False)
    grew = np.concatenate([runs.flow("tanh", "largest", **net)[:, -1] > 0 for net in rest])
    small = np.concatenate([runs.flow("tanh", "det", **net) < 0 for net in rest])
    about = About(
        "C-S14",
        "det > 1 means exploding, an eigenvalue near 0 means vanishing.",
        "a linear RNN with W = diag(2, 0.1), 20 steps back",
        "claim C-S14",
        "refuted: det > 1 is sufficient, not necessary, and vanishing a matter of direction; what"
        " grows is told by the largest eigenvalue and singular values",
    )
    measured = {
        "det W": det,
        "gradient along the first axis": first,
        "along the second": second,
        "tanh nets at rest that grew": int(grew.sum()),
        "of these with |det W| < 1": int((grew & small).sum()),
    }
    criterion = "that with det < 1 and an eigenvalue near 0 nothing grows"
    return _row(runs, about, not (det < 1 and max(first, second) > 1), criterion, measured)


def lstm_gates(runs: Runs, same: float) -> list[Claim]:
    """C-G2 and C-G3: what an LSTM takes and hands on, and what shut gates let through."""
    inputs, outputs = (int(runs.worst("lstm_signature", name)) for name in ("inputs", "outputs"))
    weakest = float(runs.identity("lstm_signature", "weakest").min())
    apart = runs.worst("lstm_signature", "y_minus_h")
    signature = About(
        "C-G2",
        "An LSTM takes three inputs (x, h, c) and hands two on (h, c); its output is h.",
        "number of arrays that h' and c' depend on, and of arrays handed on; the norms of the six"
        " Jacobians; y - h'",
        "claim C-G2",
        "holds; drawn as three outputs, h' is counted twice",
    )
    shut = About(
        "C-G3",
        "With f = 0 the old memory is ignored, with i = 0 the new input.",
        "largest |dc'/dc| with f = 0 and largest |dc'/dx| with i = 0 and a constant f",
        "claim C-G3",
        "holds; with i = 0 the input still steers what is forgotten",
    )
    parts = ("old_memory", "new_input", "through_forget_gate")
    old, new, through = (runs.worst("lstm_gates_shut", name) for name in parts)
    return [
        _row(
            runs,
            signature,
            (inputs, outputs) == (3, 2) and weakest > same and apart == 0,
            "3 and 2; no Jacobian is 0, and y - h' is",
            {
                "inputs": inputs,
                "handed on": outputs,
                "smallest of the six Jacobians, norm": weakest,
                "largest |y - h'|": apart,
            },
        ),
        _row(
            runs,
            shut,
            old == new == 0,
            "exactly 0",
            {
                "|dc'/dc|, f = 0": old,
                "|dc'/dx|, i = 0": new,
                "|dc'/dx|, i = 0, through the forget gate": through,
            },
        ),
    ]


def cells_as_rnns(runs: Runs, same: float) -> list[Claim]:
    """C-G4 and C-G5: an LSTM and a GRU whose gates are held, against the RNN of their candidate."""
    lstm = {name: runs.worst("lstm_as_rnn", name) for name in ("squashed", "plain", "over_time")}
    gru = {name: runs.worst("gru_as_rnn", name) for name in ("cho", "chung", "chung_minus_old")}
    one_step = "largest |GRU - RNN| over one step"
    rows = (
        (
            "C-G4 step",
            "With i = 1, f = 0, o = 1 a step of the LSTM is a step of the RNN with a tanh added.",
            "largest |LSTM - tanh(RNN)| over one step from the same h",
            "claim C-G4",
            "holds to rounding; without the added tanh they differ",
            {"LSTM minus tanh(RNN)": lstm["squashed"], "LSTM minus RNN": lstm["plain"]},
        ),
        (
            "C-G4 time",
            "The same over time: that LSTM is an RNN whose outputs pass through a tanh.",
            f"largest |LSTM - tanh(RNN)| over {STEPS} steps from h = 0",
            "claim C-G4",
            "refuted: the state that is fed back is the squashed one",
            {"LSTM minus tanh(RNN)": lstm["over_time"]},
        ),
        (
            "C-G5 Cho",
            "With r = 1 and z = 0 the GRU is the RNN (z keeps the old state, as Cho et al. and"
            " torch have it).",
            one_step,
            "Cho et al. 2014, equation 7",
            "holds to rounding",
            {"GRU minus RNN": gru["cho"]},
        ),
        (
            "C-G5 Chung",
            "With r = 1 and z = 0 the GRU is the RNN (z lets the new state in, as Chung et al. have"
            " it).",
            one_step,
            "Chung et al. 2014",
            "refuted: there z = 0 copies the old state, and z = 1 gives the RNN",
            {"GRU minus RNN": gru["chung"], "GRU minus its old state": gru["chung_minus_old"]},
        ),
    )
    return [
        _row(runs, About(*about), next(iter(measured.values())) <= same, _up_to(same), measured)
        for *about, measured in rows
    ]


def gates_by_themselves(runs: Runs, same: float) -> list[Claim]:
    """C-G7, C-G10 and C-G11: where values lie, and how wide gates are."""
    between = {
        name: runs.worst("gru_between", name) for name in ("outside", "y_minus_h", "largest_h")
    }
    lowest = float(runs.identity("gate_ranges", "lowest_gate").min())
    highest, candidate = (
        runs.worst("gate_ranges", name) for name in ("highest_gate", "largest_candidate")
    )
    widths = np.unique(runs.identity("gate_shapes", "widths"))
    convex = About(
        "C-G7",
        "A GRU applies no second nonlinearity: h' lies between candidate and old state, and is the"
        " output.",
        "how far h' leaves [min(n, h), max(n, h)], and largest |y - h'|",
        "claim C-G7",
        "holds to rounding",
    )
    ranges = About(
        "C-G10",
        "Candidates lie in (-1, 1) and gates in (0, 1).",
        "extremes over random LSTMs and GRUs",
        "claim C-G10",
        "holds; in float32 a gate rounds to 1 from a pre-activation of about 17 on",
    )
    shared = About(
        "C-G11",
        "All gates have the width of the hidden state.",
        "number of different widths among i, f, g, o, h and c",
        "claim C-G11",
        "holds",
    )
    return [
        _row(
            runs,
            convex,
            between["outside"] <= same and between["y_minus_h"] == 0,
            f"at most {same:g}, and exactly 0",
            {
                "outside": between["outside"],
                "largest |y - h'|": between["y_minus_h"],
                "largest |h'|": between["largest_h"],
            },
        ),
        _row(
            runs,
            ranges,
            0 < lowest <= highest < 1 and candidate < 1,
            "strictly inside",
            {"lowest gate": lowest, "highest gate": highest, "largest |candidate|": candidate},
        ),
        _row(
            runs,
            shared,
            len(widths) == 1,
            "1",
            {"different widths": len(widths), "width": int(widths[0])},
        ),
    ]


def _row(runs: Runs, about: About, true: bool, criterion: str, measured: dict) -> Claim:
    return exact(about, true, len(runs.seeds), criterion=criterion, measured=measured)


def _up_to(same: float) -> str:
    return f"at most {same:g}"
