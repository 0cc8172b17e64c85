"""Encoder-decoders beside flax.linen and PyTorch, and decoding with and without a cache: ``python
-m benchmarks.attention``.

Training steps: forward, backward, plain gradient descent, runs interleaved in shuffled order; read
the ratios. Decoding: beam search over the key-value cache beside one that runs the whole decoder
again for every token."""

import argparse
import json
import pathlib
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import attention_peers as peers
from benchmarks import timing
from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences import attentive, decoding, transformer
from deepseq.train.allocator import keep_freed_memory

BATCH, STEPS, VOCABULARY = 64, 32, 8000
TRANSFORMER = {"layers": 3, "size": 256, "heads": 8}
RECURRENT = {"embedding": 256, "hidden": 256}


def main() -> None:
    """Measures, prints and, with --out, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    flags = parser.parse_args()
    allocator = "keep" if keep_freed_memory() else "default (this C library has no mallopt)"
    result: dict[str, object] = {"environment": timing.environment(allocator)}
    print(", ".join(f"{key} {value}" for key, value in result["environment"].items()), flush=True)
    rng = np.random.default_rng(0)
    source, target = (
        jnp.asarray(rng.integers(3, VOCABULARY, (BATCH, n))) for n in (STEPS, STEPS + 1)
    )
    result["training"] = {
        "Transformer": training(transformers(0.0, source, target), flags.rounds),
        "Transformer, dropout 0.1": training(transformers(0.1, source, target), flags.rounds),
        "GRU with attention": training(recurrent(source, target), flags.rounds),
    }
    for name, found in result["training"].items():
        others = "   ".join(
            f"{peer} {q[1]:.2f} ({q[0]:.2f} to {q[2]:.2f})"
            for peer, q in found["over_ours"].items()
        )
        print(
            f"{name:26s} {found['ms']:7.0f} ms   {others}   compile"
            f" {found['compile_seconds']:.1f} s",
            flush=True,
        )
    result["decoding"] = decoded(flags.rounds)
    print(", ".join(f"{name} {value:.2f}" for name, value in result["decoding"].items()))
    if flags.out:
        flags.out.write_text(json.dumps(result, indent=1) + "\n")


def training(cases: dict[str, Callable], rounds: int) -> dict[str, object]:
    """Milliseconds of ours, the others' time over ours (quartiles), and seconds until our first
    step.
    """
    began = time.perf_counter()
    cases["ours"]()
    compiled = time.perf_counter() - began
    times = timing.interleave(cases, rounds, repeats=1)
    quartiles = timing.ratios(times, "ours")
    return {
        "ms": timing.milliseconds(times["ours"]),
        "compile_seconds": compiled,
        "over_ours": {name: q for name, q in quartiles.items() if name != "ours"},
    }


def transformers(rate: float, source, target) -> dict[str, Callable]:
    """A training step of the Transformer: ours, linen's, torch's."""
    net = transformer.transformer(VOCABULARY, feed_forward=512, dropout=rate, **TRANSFORMER)
    sizes = {"vocabulary": VOCABULARY, "hidden": 512, "rate": rate, **TRANSFORMER}
    cases = {
        "ours": ours(net, source, target, rate),
        "flax.linen": peers.linen_transformer(sizes, source, target),
    }
    peer = peers.torch_transformer(sizes, source, target)
    return cases | ({"torch": peer} if peer else {})


def recurrent(source, target) -> dict[str, Callable]:
    """A training step of the GRU encoder-decoder with additive attention, and its peers'."""
    net = attentive.attentive(VOCABULARY, VOCABULARY, alignment=RECURRENT["hidden"], **RECURRENT)
    sizes = {"vocabulary": VOCABULARY, **RECURRENT}
    cases = {
        "ours": ours(net, source, target, 0.0),
        "flax.linen": peers.linen_attentive(sizes, source, target),
    }
    peer = peers.torch_attentive(sizes, source, target)
    return cases | ({"torch": peer} if peer else {})


def ours(net: Seq2Seq, source, target, rate: float) -> Callable:
    """Our training step, as the peers have it."""

    def apply(params, source, target, key):
        keys = jax.random.split(key) if rate else (None, None)
        return net.teach(
            params, net.encode(params, source, lengths=None, key=keys[0]), target, key=keys[1]
        )

    return peers.jitted(
        apply, jax.jit(net.init)(jax.random.key(0)), source, target, jax.random.key(1)
    )


def decoded(rounds: int, sentences: int = 200, steps: int = 30, beam: int = 4) -> dict[str, float]:
    """Seconds of beam search over a cache for all sentences; the time without one over it."""
    net = transformer.transformer(VOCABULARY, feed_forward=512, dropout=0.0, **TRANSFORMER)
    params = jax.jit(net.init)(jax.random.key(0))
    source = jnp.asarray(np.random.default_rng(1).integers(3, VOCABULARY, (sentences, 20)))
    how = {"begin": 1, "end": 2, "steps": steps, "beam": beam}

    def search(net: Seq2Seq) -> Callable:
        found = jax.jit(
            lambda p, s: decoding.beam_search(
                net, p, net.encode(p, s, lengths=None, key=None), **how
            )[0]
        )
        return lambda: jax.block_until_ready(found(params, source))

    cases = {"cache": search(net), "again": search(without_cache(net))}
    # ties may fall differently
    if not (np.asarray(cases["cache"]()) == np.asarray(cases["again"]())).mean() > 0.99:
        raise SystemExit("the two searches disagree")
    times = timing.interleave(cases, max(1, rounds // 3), repeats=1)
    ratio = timing.ratios(times, "cache")["again"][1]
    seconds = timing.milliseconds(times["cache"]) / 1e3
    return {
        f"seconds for {sentences} sentences, beam {beam}": seconds,
        "without a cache, times that": ratio,
    }


def without_cache(net: Seq2Seq) -> Seq2Seq:
    """The net whose carry is the tokens so far: every step runs the decoder over all of them."""

    def start(params, memory, steps):
        rows = jax.tree.leaves(memory)[0].shape[0]
        return jnp.zeros((rows, steps), jnp.int32), jnp.zeros(rows, jnp.int32)

    def decode(params, memory, carry, token):
        tokens, seen = carry
        tokens = jnp.where(jnp.arange(tokens.shape[1]) == seen[:, None], token[:, None], tokens)
        logits = net.teach(params, memory, tokens, key=None)
        return (tokens, seen + 1), jnp.take_along_axis(logits, seen[:, None, None], 1)[:, 0]

    return net._replace(start=start, decode=decode)


if __name__ == "__main__":
    main()
