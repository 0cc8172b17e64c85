"""Text from a trained model: the net of a run goes on where a prompt ends.

    python -m experiments.sample --workdir=DIR [--prompt=TEXT] [--temperature=1.0] [--length=400]
    [--seed=0]
        [--net=NAME] [--net_seed=N]

Exit code 0; 2 for a wrong command line, directory or prompt.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_collections import FrozenConfigDict

from deepseq.data.source import DataError
from deepseq.lab import command_line
from deepseq.lab.errors import UsageError, one_line
from deepseq.train import allocator

USAGE = "python -m experiments.sample --workdir=DIR --prompt=TEXT --temperature=1.0 --length=400"
HELP = f"""Prints a text that a trained model goes on with, the same for the same seed.

  {USAGE}

  --workdir      a finished or interrupted run of a study with a sequence model, such as
                 runs/language_model-laptop
  --prompt       where the text begins; a line end by default. Words of a word model are
                 separated by spaces
  --temperature  1 draws from the model's own distribution, less makes likely continuations
                 likelier; default 1.0
  --length       characters or words to draw; default 400
  --seed         of the draws; default 0
  --net          which of the run's nets; default its first
  --net_seed     of which of its seeds; default its first
"""
DEFAULTS = {
    "workdir": "",
    "prompt": "\n",
    "temperature": 1.0,
    "length": 400,
    "seed": 0,
    "net": "",
    "net_seed": -1,
}


def main(argv: Sequence[str]) -> int:
    """Does what ``argv`` (without the program's name) asks for and returns the exit code."""
    try:
        flags = command_line.options(argv, DEFAULTS, HELP)
        print(flags if isinstance(flags, str) else _sample(**flags))
        return 0
    except (UsageError, DataError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2


def _sample(
    *,
    workdir: str,
    prompt: str,
    temperature: float,
    length: int,
    seed: int,
    net: str,
    net_seed: int,
) -> str:
    _check(workdir, prompt, temperature, length, seed)
    config = _config(Path(workdir))
    study = importlib.import_module(f"experiments.{config.name}")
    if not hasattr(study, "trained"):
        raise UsageError(
            f"{workdir} has no model: {config.name} trains none that writes text; give a run of"
            " language_model"
        )
    allocator.keep_freed_memory()
    import jax
    import jax.numpy as jnp

    from deepseq.data import text
    from deepseq.nets.sequences import language_model
    from deepseq.train.checkpoints import quiet_orbax

    quiet_orbax()

    model = study.trained(
        config, Path(workdir), net or config.nets[0], config.seeds[0] if net_seed < 0 else net_seed
    )
    try:
        begin = text.encode(model.vocabulary, model.unit, prompt)
    except ValueError as error:
        raise UsageError(f"--prompt: {error}") from error
    draw = jax.jit(
        language_model.sample, static_argnums=0, static_argnames=("length", "temperature")
    )
    key = jax.random.key(seed)
    drawn = draw(
        model.net.apply,
        model.params,
        jnp.asarray(begin),
        key,
        length=length,
        temperature=temperature,
    )
    return text.decode(model.vocabulary, model.unit, [*begin.tolist(), *drawn.tolist()])


def _check(workdir: str, prompt: str, temperature: float, length: int, seed: int) -> None:
    if not workdir:
        raise UsageError(f"no --workdir given; write {USAGE}")
    if not temperature > 0:
        raise UsageError(
            f"--temperature={temperature} must be above 0; 0.1 takes almost always the likeliest"
        )
    if length < 1:
        raise UsageError(f"--length={length} must be at least 1")
    if seed < 0:
        raise UsageError(f"--seed={seed} must be at least 0")
    if not prompt:
        raise UsageError(
            "--prompt= is empty; give a text, or leave it out to begin after a line end"
        )


def _config(workdir: Path) -> FrozenConfigDict:
    """The config of a run's directory."""
    path = workdir / "config.json"
    try:
        config = FrozenConfigDict(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(
            f"{workdir} has no model: no {path.name} ({error.strerror}); give a run's directory"
        ) from error
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path} is damaged (no JSON object); restore it, or give another --workdir"
        ) from error
    if "name" not in config or not importlib.util.find_spec(f"experiments.{config.name}"):
        raise UsageError(f"{path} is of no study that is here; give a run's directory")
    return config


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
