"""The long-dependencies study: how a training ends, how it judges, what it asks of a config."""

import json

import numpy as np
import pytest

from configs.long_dependencies import get_config
from deepseq.data import tasks
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments import long_dependencies as study
from experiments.long_dependencies import cells
from experiments.long_dependencies.figures import draw
from experiments.long_dependencies.records import SGD, Runs
from experiments.long_dependencies.summary import summarize
from experiments.long_dependencies.tasks import TASKS, problem
from experiments.long_dependencies.training import Trainer

FIGURES = {"figure", "curves", "gates", "clipping"}


def tiny():
    config = get_config("smoke")
    config.lags.update({"adding": (4,), "copy": (), "order": (), "echo": ()})
    config.net.cells = ("rnn",)
    return config


def train(trainer, arm, workdir, **options):
    """The record of one training, with its tag."""
    training = next(t for t in study.trainings(trainer.config) if t.arm == arm)
    session = Session(training.tag, workdir, **options)
    return {**training.tag, **trainer.train(session, training)}


def test_divergence_is_a_record(tmp_path):
    config = tiny()
    # beyond what float32 holds, within a few steps
    config.clipping.update({"rate": 3e38, "slow_rate": 1e-3})
    log.write(tmp_path / "log", train(Trainer(config), "sgd", tmp_path))
    (record,) = log.read(tmp_path / "log")
    assert [run["end"] for run in record["runs"]] == ["diverged", "diverged"]
    for run in record["runs"]:
        assert run["steps"] < config.measure.every and len(run["loss"]) == 1
    runs, place = Runs(config, [record]), ("order", 10)
    assert runs.shortfall(place, "sgd").tolist() == [1, 1] and runs.diverged("sgd") == 2
    assert runs.cost(place, "sgd").tolist() == [config.clipping.steps] * 2
    assert summarize(config, [record])["metrics"]["diverged_runs"] == {"sgd": 2}


def test_a_run_ends_when_solved_whatever_the_other_seeds_do(tmp_path):
    config = tiny()
    config.measure.solved = 0.8
    config.train.steps.adding = 400
    trainer = Trainer(config)
    both = train(trainer, "rnn", tmp_path)["runs"]
    assert {run["end"] for run in both} == {"solved"} and max(run["steps"] for run in both) < 400
    for run in both:
        assert run["loss"][-1] < 0.8 / 6 <= min(run["loss"][:-1], default=1)
    config.seeds = (1,)
    (alone,) = train(trainer, "rnn", tmp_path)["runs"]
    assert alone["seed"] == 1 and alone["steps"] == both[1]["steps"]
    np.testing.assert_allclose(alone["loss"], both[1]["loss"], rtol=1e-3)


def test_a_training_goes_on_from_its_checkpoint_with_the_same_record(tmp_path):
    config = tiny()
    config.train.steps.adding = 120
    config.measure.save_every = 40
    trainer = Trainer(config)
    whole = train(trainer, "rnn", tmp_path / "whole")
    asked = []

    def stopping():
        asked.append(1)
        return len(asked) > 5  # of six chunks

    with pytest.raises(Interrupted, match="arm=rnn: interrupted at step 100"):
        train(trainer, "rnn", tmp_path / "cut", stopping=stopping)
    asked.clear()
    assert train(trainer, "rnn", tmp_path / "cut", stopping=stopping) == whole
    assert len(asked) == 2  # chunks from step 80 on


STEPS = {
    "lstm": 1000,
    "gru": 400,
    "gru-wide": 400,
    "tied": 500,
    "lstm, bias 0": 1500,
    "lstm, bias 3": 600,
    "sgd-c": 900,
    "sgd-cr": 300,
}
LEVELS = dict.fromkeys(STEPS, 0.05) | {"rnn": 1.0, "irnn": 0.3}


def records(config, levels=LEVELS, steps=STEPS):
    """A log as the study writes it, from made-up last losses (over the baseline, at the longest
    lag) and steps by arm.
    """
    rng = np.random.default_rng(0)
    for training in study.trainings(config):
        task, arm, cell = problem(training.task, training.lag), training.arm, training.cell
        units = cells.width(cell, 32, task.inputs, task.outputs)
        long = arm in SGD or training.lag > min(config.lags[training.task])
        runs = []
        for seed in config.seeds:
            level = (levels.get(arm, 1.02) if long else 0.05) * (1 + 0.01 * rng.random())
            taken = round(steps.get(arm, 700) * (1 + 0.1 * rng.random()))
            solved = level < 0.1
            run = {
                "seed": seed,
                "end": "solved" if solved else "unsolved",
                "steps": taken if solved else training.steps,
                "loss": (task.baseline * np.array([2.0, 1.0, level])).tolist(),
                "norm": [1.0] * 3,
            }
            runs.append(run)
        yield {
            **training.tag,
            "units": units,
            "parameters": cells.parameters(cell, units, task.inputs, task.outputs),
            "cell_parameters": cells.torch_count(cell, units, task.inputs),
            "baseline": task.baseline,
            "runs": runs,
        }


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def test_verdicts_when_gates_bridge_the_lag():
    config = get_config("laptop")
    summary = summarize(config, list(records(config)))
    assert verdicts(summary) == {
        "C-S11": "holds",
        "C-S11 first": "holds",
        "C-S13 trained": "refuted",
        "C-S16 clipping": "holds",
        "C-S16 regulariser": "holds",
        "C-G1": "holds",
        "C-G6 count": "holds",
        "C-G6 loss": "holds",
        "C-G8 width": "holds",
        "C-G8 parameters": "holds",
        "C-G9 trained": "holds",
    }
    rnn, clipping = summary["claims"][0], summary["claims"][3]
    assert rnn["n"] == 3 and rnn["measured"]["mean"] == pytest.approx(0.95, abs=0.02)
    assert clipping["measured"]["SGD-C solved, share of runs"] == 1
    lstm, success = summary["comparison"][0], summary["comparison"][-1]
    assert 16 * 1000 <= lstm["ours"] <= 16 * 1100 and lstm["paper"] == 74_000
    assert (success["ours"], success["interval"]) == (100, None)
    json.dumps(summary, allow_nan=False)


def test_verdicts_when_it_is_the_other_way_round():
    config = get_config("laptop")
    levels = LEVELS | {"rnn": 0.04, "lstm": 1.0, "irnn": 1.0, "tied": 1.0, "sgd": 0.05}
    steps = STEPS | {"sgd": 100, "sgd-cr": 2000, "lstm, bias 3": 1900}
    assert verdicts(summarize(config, list(records(config, levels, steps)))) == {
        "C-S11": "refuted",
        "C-S11 first": "refuted",
        "C-S13 trained": "holds",
        "C-S16 clipping": "refuted",
        "C-S16 regulariser": "refuted",
        "C-G1": "refuted",
        "C-G6 count": "holds",
        "C-G6 loss": "refuted",
        "C-G8 width": "holds",
        "C-G8 parameters": "holds",
        "C-G9 trained": "refuted",
    }


def test_one_seed_decides_nothing_but_algebra():
    config = get_config("laptop")
    config.seeds = (0,)
    log_of_one = list(records(config))
    by_id = verdicts(summarize(config, log_of_one))
    decided = {id for id, verdict in by_id.items() if verdict != "undecided"}
    assert len(by_id) == 11 and decided == {"C-G6 count"}
    assert all("one seed" in drawing.caption for drawing in draw(config, log_of_one).values())


def test_a_log_that_is_not_finished_gives_what_it_can():
    config = get_config("laptop")
    whole = list(records(config))
    for count in (0, 1, 9, len(whole) - 1):
        summary = summarize(config, whole[:count])
        json.dumps(summary, allow_nan=False)
        assert set(draw(config, whole[:count])) == FIGURES
    by_id = verdicts(summary)
    assert "C-S16 clipping" in by_id and "C-S16 regulariser" not in by_id
    assert summarize(config, [])["claims"] == []


def test_the_figures_name_what_is_compared():
    config = get_config("laptop")
    drawings = draw(config, list(records(config)))
    assert set(drawings) == FIGURES
    assert all("3 seeds" in drawing.caption for drawing in drawings.values())

    def legend(name):
        return [text.get_text() for text in drawings[name].figure.legends[0].get_texts()]

    assert legend("figure") == legend("curves") == ["tanh RNN", "IRNN", "LSTM", "GRU"]
    assert legend("clipping") == ["SGD", "SGD, slower", "SGD-C", "SGD-CR"]
    lstms, others = legend("gates")[:3], legend("gates")[3:]
    assert lstms == ["LSTM, bias 0", "LSTM, bias 1", "LSTM, bias 3"]
    assert others == ["tied LSTM", "GRU", "GRU, as many parameters"]


def test_a_run_that_diverged_or_got_worse_counts_as_the_baseline():
    config = tiny()
    run = {"seed": 0, "end": "unsolved", "steps": 40, "loss": [0.1, 70.0], "norm": [1.0, 1.0]}
    both = [run, {**run, "seed": 1, "end": "diverged"}]
    record = {"task": "adding", "lag": 4, "arm": "rnn", "baseline": 1 / 6, "runs": both}
    assert Runs(config, [record]).shortfall(("adding", 4), "rnn").tolist() == [1, 1]
    run["loss"] = [float("inf")]
    assert Runs(config, [record]).shortfall(("adding", 4), "rnn").tolist() == [1, 1]


def test_deviations_follow_the_config():
    laptop, paper = (
        " ".join(row["here"] for row in summarize(get_config(tier), [])["deviations"])
        for tier in ("laptop", "paper")
    )
    assert "Adam at" in laptop and "rnn 0.003" in laptop and "Adam" not in paper
    assert "100 (adding), 30 (copy), 50 (temporal order)" in laptop and "(adding)" not in paper


@pytest.mark.parametrize("tier", ["smoke", "laptop", "paper"])
def test_every_tier_has_a_plan(tier, tmp_path):
    config = get_config(tier)
    jobs, trainings = study.plan(config, tmp_path), study.trainings(config)
    assert [job.tag for job in jobs] == [training.tag for training in trainings]
    assert len({tuple(job.tag.values()) for job in jobs}) == len(jobs)
    assert all(job.cost > 0 for job in jobs)
    assert {training.task for training in trainings} <= set(TASKS)
    assert {training.arm for training in trainings} >= set(SGD)


def test_the_paper_tier_is_that_of_arjovsky():
    config = get_config("paper")
    assert max(config.lags.adding) == 750 and config.train.optimizer == "rmsprop"
    assert tasks.copy_baseline(500) == pytest.approx(0.04, abs=2e-3)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("net.cells", ("rnn", "lstn"), "net.cells=lstn does not exist; did you mean lstm"),
        ("net.cells", ("rnn", "rnn"), "net.cells=rnn,rnn must be one or more different values"),
        ("net.other_forget_biases", (1.0,), "none of them net.forget_bias=1"),
        ("net.other_forget_biases", (0.0, 0.0), "must be different"),
        ("net.hidden", 0, "net.hidden=0 must be at least 1"),
        ("train.optimizer", "adma", "train.optimizer=adma does not exist; did you mean adam"),
        ("train.batch_size", 0, "train.batch_size=0 must be at least 1"),
        ("train.threshold", 0.0, "train.threshold=0.0 must be above 0"),
        ("train.rates.gru", 0.0, "train.rates.gru=0.0 must be above 0"),
        ("train.steps.adding", 50, "train.steps.adding=50 must be a positive multiple of measure"),
        ("lags.adding", (30, 10), "lags.adding=30,10 must be increasing, from 2 on"),
        ("lags.copy", (0,), "lags.copy=0 must be increasing, from 1 on"),
        ("lags.order", (5,), "lags.order=5 must be increasing, from 10 on"),
        ("lags.echo", (3, 3), "lags.echo=3,3 must be increasing, from 0 on"),
        ("clipping.lags", (9,), "clipping.lags=9 must be increasing, from 10 on"),
        ("clipping.steps", 0, "clipping.steps=0 must be a positive multiple of measure.every=20"),
        ("clipping.rate", 0.0, "clipping.rate=0.0 must be above 0"),
        ("clipping.slow_rate", 0.0, "clipping.slow_rate=0.0 must be above 0"),
        ("clipping.threshold", 0.0, "clipping.threshold=0.0 must be above 0"),
        ("clipping.weight", -1.0, "clipping.weight=-1.0 must be at least 0"),
        ("measure.every", 0, "measure.every=0 must be at least 1"),
        ("measure.save_every", 30, "measure.save_every=30 must be a positive multiple of measure"),
        ("measure.save_every", -20, "measure.save_every=-20 must be a positive multiple"),
        ("measure.solved", 1.0, "measure.solved=1.0 must be between 0 and 1"),
        ("measure.apart", 0.0, "measure.apart=0.0 must be above 0"),
        ("measure.same_loss", 0.0, "measure.same_loss=0.0 must be above 0"),
    ],
)
def test_a_config_that_cannot_be(key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError, match=message):
        study.check(config)
