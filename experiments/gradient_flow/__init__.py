"""What happens to the gradient between the last step of a recurrent net and its first?

Backpropagation through time multiplies one Jacobian per step. Where their product shrinks, the loss
says nothing about the distant past (vanishing); where it grows, one step of gradient descent throws
the net anywhere (exploding). The notes blame the activation function. The theory (Pascanu, Mikolov,
Bengio 2013) bounds the product by (gamma |W|)^lag, |W| the largest singular value of the recurrent
matrix and gamma the largest slope of the activation: 1 for tanh and ReLU, 1/4 for sigmoid.

Three parts. At initialisation, the exact Jacobian of every step of tanh, sigmoid, ReLU, leaky, GRU
and LSTM nets at several spectral radii, and their product in float64, free of under- and overflow.
Identities of the cells and of backpropagation, to rounding. And a short training of a tanh RNN on
the temporal order task by plain SGD, with the gradient's norm clipped, and with Pascanu's
regulariser, from the same weights and on the same batches. A run that diverges there is data.
"""

from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.gradient_flow.figures import draw
from experiments.gradient_flow.nets import CELLS
from experiments.gradient_flow.summary import summarize
from experiments.gradient_flow.training import ARMS, Trainer
from experiments.gradient_flow.views import Views

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """Identities, nets at initialisation and trainings; UsageError for a config that cannot be.

    The jobs raise Interrupted and OSError as ``deepseq.train.loop.fit`` says.
    """
    del workdir
    check(config)
    views, trainer = Views(config), Trainer(config)  # each compiled once for all seeds
    jobs = [Job({"part": "algebra", "seed": seed}, views.identities) for seed in config.seeds]
    jobs += [
        Job({"part": "flow", "seed": seed, "cell": cell}, views.flow)
        for seed in config.seeds
        for cell in CELLS
    ]
    arms = [{"arm": arm, "seed": seed} for seed in config.seeds for arm in ARMS]
    return jobs + [Job(tag, trainer.train, 5) for tag in arms]


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    flow, radii = config.flow, config.flow.radii
    rules.check(
        config,
        rules.at_least(2, "flow.hidden"),
        rules.at_least(8, "flow.steps"),
        rules.distinct("flow.radii", "flow.keeps"),
        rules.that("flow.radii", min(radii, default=0) > 0, "different numbers above 0"),
        rules.that("flow.keeps", len(flow.keeps) >= 2, "at least two different numbers"),
        rules.between(5, flow.steps + 1, "flow.points"),
        rules.at_least(10, "train.lag"),  # as the task asks
        rules.at_least(1, "flow.inputs", "train.hidden", "train.steps", "train.batch_size"),
        rules.at_least(1, "measure.every", "measure.sequences"),
        rules.above(0, "flow.drive", "train.radius", "train.learning_rate", "train.clip"),
        rules.above(0, "train.alpha", "measure.same", "measure.same_slope", "measure.flat"),
        rules.above(0, "measure.carried"),
        rules.multiple("measure.look_every", "measure.save_every", of="measure.every"),
    )
