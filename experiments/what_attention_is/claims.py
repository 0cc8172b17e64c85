"""The verdicts of the attention study that are algebra: exact, on random weights, in every seed."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from deepseq.lab.verdicts import claim, exact
from experiments.what_attention_is.records import Found

VASWANI = "Vaswani et al. 2017 (arXiv 1706.03762)"


def algebra(config: ConfigDict, found: Found) -> list[dict]:
    """The rows of the verdict table on Jacobians, shapes, permutations and caches."""
    tolerance = config.algebra.tolerance
    first = found.part("algebra")[0]

    def row(
        id: str,
        text: str,
        true: Callable[[Mapping], bool],
        measured: Mapping,
        expected: str,
        statistic: str,
    ) -> dict:
        return claim(
            id,
            text,
            exact(all(map(true, found.part("algebra")))),
            statistic=statistic,
            measured=measured,
            interval=None,
            n=len(found.seeds),
            expected=expected,
            source=VASWANI,
        )

    def worst(name: str, join: Callable = max) -> dict:
        return {name: join(found.exact(name))}

    masked = [
        f"{kind} mask, {which}"
        for kind in ("causal", "padding", "arbitrary")
        for which in ("forbidden", "allowed")
    ]
    split, whole = first["parameters, size split"], first["parameters, 10 each"]
    alike = "difference of outputs where all keys are alike"
    cached = "step by step against the whole target"
    return [
        row(
            "C-T2",
            "Every output depends on every input, so the same word is encoded differently in"
            " another context",
            lambda f: (
                f["least influence between steps"] > 0
                and f["change of a word in another context"] > 0
            ),
            worst("least influence between steps", min)
            | worst("change of a word in another context", min),
            "both above 0",
            "least block of the Jacobian of self-attention; change of the first output when the"
            " last input changes",
        ),
        row(
            "C-T3",
            "The feed-forward net is shared by all steps and mixes none",
            lambda f: (
                f["feed-forward influence between steps"]
                == 0
                < f["feed-forward influence within a step"]
            ),
            worst("feed-forward influence between steps")
            | worst("feed-forward influence within a step", min),
            "exactly 0 and above 0",
            "largest block of its Jacobian off the diagonal; least block on it",
        ),
        row(
            "C-T5",
            "Queries and keys must be of one size, values may be of any",
            lambda f: f["another key size is refused"] == 1 and f["value size of the output"] == 9,
            {"value size of the output": first["value size of the output"]},
            "9 of 9; another key size is refused",
            "shape of the output for d_k = 4 and d_v = 9; whether keys of size 5 are refused",
        ),
        row(
            "C-T7",
            "Dividing the size among the heads makes the count independent of their number",
            lambda f: len(set(f["parameters, size split"])) == 1,
            dict(zip(map("{} heads".format, first["heads"]), split, strict=True)),
            "equal",
            "parameters of multi-head attention, D = 80, D / h per head",
        ),
        row(
            "C-T7 whole",
            "Eight heads of 10 are joined by a map of 80 x 10 per output: the count grows with the"
            " heads",
            lambda f: f["parameters, 10 each"] == [4 * 80 * 10 * h for h in f["heads"]],
            dict(zip(map("{} heads".format, first["heads"]), whole, strict=True)),
            "4 x 80 x 10 h",
            "parameters of multi-head attention, D = 80, 10 per head",
        ),
        row(
            "C-T8",
            "Without positions order is lost: permuted inputs give permuted outputs; with positions"
            " they do not",
            lambda f: f["permuted without positions"] < tolerance < f["permuted with positions"],
            worst("permuted without positions") | worst("permuted with positions", min),
            f"below {tolerance:g}; above it",
            "|f(Px) - Pf(x)| / |f(x)| for a permutation P",
        ),
        row(
            "C-T9 mask",
            "A mask is a zero Jacobian: nothing flows where it forbids to look",
            lambda f: all(f[name] == 0 if "forbidden" in name else f[name] > 0 for name in masked),
            {name: (max if "forbidden" in name else min)(found.exact(name)) for name in masked},
            "exactly 0; above 0",
            "largest block of the Jacobian where a mask forbids, least where it allows",
        ),
        row(
            "C-T9 memory",
            "The decoder takes keys and values from the encoder: they decide all that it reads",
            lambda f: f["least influence of the encoder"] > 0 and f[alike] < tolerance,
            worst("least influence of the encoder", min) | worst(alike),
            f"above 0; below {tolerance:g}",
            "least block of the Jacobian to the encoder's outputs; spread of the outputs where"
            " these are all alike",
        ),
        row(
            "C-T9 steps",
            "Token by token from its cache, the decoder gives what it gives for the whole target at"
            " once",
            lambda f: f[cached] < tolerance,
            worst(cached),
            f"below {tolerance:g}",
            "largest difference of logits, relative to the largest",
        ),
    ]
