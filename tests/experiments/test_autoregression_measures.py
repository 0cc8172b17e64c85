"""What the autoregression study measures: tables, nets, disturbed series, states, forecasts and
models of pixels.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

from configs.autoregression import get_config
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.net import parameters
from deepseq.nets.sequences import ar
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments.autoregression import pixels, reals, sources, symbols
from experiments.autoregression.figures import draw
from experiments.autoregression.summary import summarize
from experiments.autoregression.training import columns, program, train

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def smoke_config(**groups):
    config = get_config("smoke")
    for name, values in groups.items():
        config[name].update(values)
    return FrozenConfigDict(config)


@pytest.fixture
def session(tmp_path):
    return Session({}, tmp_path)


def test_tables_are_between_floor_and_guessing():
    config = smoke_config()
    for name in sources.names(config):
        fitted = symbols.tables(config, name)
        floors, losses = np.array(fitted["floors"]), np.array(fitted["loss"])
        count, longest = sources.alphabet(config, name)
        assert floors.shape == losses.shape == (2, longest + 1)
        assert (losses > floors).all() and (losses < np.log(count) + 0.05).all()
        low, high = fitted["rate"].T
        assert (low <= high).all() and (high <= floors[:, -1] + 1e-9).all()
    floors = np.array(symbols.tables(config, "order 2")["floors"])
    assert np.ptp(floors, axis=0)[0] > 1e-3  # each seed has a chain of its own


def test_the_net_of_a_window_reaches_the_table(session):
    config = smoke_config(window={"updates": 400}, measure={"every": 100})
    losses = np.array(symbols.windows(config, "order 1", session)["loss"])
    floors = np.array(symbols.tables(config, "order 1")["floors"])
    np.testing.assert_allclose(losses, floors, atol=0.02)
    assert (losses > floors).all()


def test_disturbed_series():
    config = smoke_config()
    test = sources.series(config, "order 2", 1)
    kinds = sources.disturbed(config, test)
    assert kinds["trimmed"].shape == (2, 8, 4 * 128) and kinds["omitted"].shape == (2, 29, 128)
    # the second piece of series 5
    np.testing.assert_array_equal(kinds["trimmed"][1, :, 128 + 5], test[1, 8:16, 5])
    np.testing.assert_array_equal(np.sort(kinds["permuted"], 1), np.sort(test, 1))
    assert (kinds["permuted"] != test).any() and kinds["intact"] is test
    numbered = np.tile(np.arange(32)[:, None], (1, 6))
    kept = sources.omit(np.random.default_rng(0), numbered, 29)
    assert kept.shape == (29, 6) and (np.diff(kept, axis=0) > 0).all()
    assert len({tuple(column) for column in kept.T}) > 1


def test_a_state_is_read_for_what_it_holds():
    config = smoke_config()
    params = symbols.latent_program(config, 2).init(jnp.arange(2, dtype=jnp.uint32)).params
    test = sources.series(config, "copy", 1)
    shares = symbols.decoded(config, params, test)
    assert shares.shape == (2, 4 * config.bits.lag) and (shares[:, 0] > 0.99).all()
    deaf = params._replace(cell=params.cell._replace(wx=0 * params.cell.wx, b=0 * params.cell.b))
    np.testing.assert_allclose(symbols.decoded(config, deaf, test), 0.5, atol=0.1)


def test_chain_rule_is_exact():
    differences = symbols.chain_rule(smoke_config())
    assert differences["words"] == 2**6 and max(differences["forward"]) < 1e-12
    assert max(differences["table"]) < symbols.EXACT
    assert 0 < max(differences["marginal"]) < symbols.EXACT
    assert max(differences["total"]) < symbols.EXACT


def test_the_error_of_a_net_that_feeds_itself_is_that_of_a_loop():
    config = smoke_config()
    net = ar.latent(lambda key: reals.CELLS["rnn"].init(key, 1, 8), reals.CELLS["rnn"].layer, 8, 1)
    params = jax.vmap(net.init)(jax.random.split(jax.random.key(0), 2))
    test = reals.series(config, 1)
    longest, horizon, weights = (
        config.real.longest,
        config.real.horizon,
        reals.process(config).weights,
    )
    test = test[:, : longest + horizon + 2]  # two origins
    one, xs, excess = jax.tree.map(lambda a: a[0], params), test[0], []
    for end in (longest, longest + 1):
        known, best = jnp.asarray(xs[:end]), np.float64(xs[:end])
        for _ in range(horizon):
            h = ar.states(reals.CELLS["rnn"].layer, one, known[..., None], carry=None)[1]
            known = jnp.concatenate([known, (h @ one.readout.w + one.readout.b).T])
            best = np.concatenate([best, [weights @ best[:-5:-1]]])
        true = np.float64(xs[end : end + horizon])
        excess.append(((true - known[end:]) ** 2 - (true - best[end:]) ** 2).mean(1))
    np.testing.assert_allclose(
        reals.fed_back(config, params, test)[0], np.mean(excess, 0), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("name", pixels.ARMS)
def test_a_model_of_pixels_sees_what_it_may(name):
    net = pixels.model(name, 5)
    params = net.init(jax.random.key(0))
    levels = jax.random.randint(jax.random.key(1), (8, 8, 1), 0, 17)
    apply = jax.jit(jax.vmap(net.apply, (None, 0)))
    changed = jnp.stack(
        [levels.at[r, c].set((levels[r, c] + 5) % 17) for r in range(8) for c in range(8)]
    )
    # at the same place of the batch, so that it is rounded alike
    unchanged = jnp.broadcast_to(levels, changed.shape)
    moves = (
        np.abs(apply(params, changed) - apply(params, unchanged)).max((3, 4)).reshape(8, 8, 8, 8)
        > 0
    )
    for r, c in np.ndindex(8, 8):
        felt = moves[r, c]  # where a change of this pixel is
        allowed = np.zeros((8, 8), bool)
        if name.startswith("raster"):
            allowed.reshape(-1)[8 * r + c + 1 :] = True
        elif name in ("grid rnn", "grid lstm"):
            allowed[r:, c:], allowed[r, c] = True, False
        elif name == "grid rnn ahead":
            allowed.reshape(-1)[8 * r + c + 1 :] = True  # of the raster, and no more
        else:
            places = {"left": (0, 1), "above": (1, 0), "corner": (1, 1), "ahead": (1, -1)}
            for neighbour in pixels.ARMS[name].inputs:
                row, column = r + places[neighbour][0], c + places[neighbour][1]
                if 0 <= row < 8 and 0 <= column < 8:
                    allowed[row, column] = True
            assert (felt == allowed).all()
        assert not felt[~allowed].any() and (felt.any() == allowed.any())


def test_models_of_pixels_have_equal_parameters():
    sizes = {name: parameters(pixels.model(name, pixels.width(name, 8000))) for name in pixels.ARMS}
    assert all(0.9 * 8000 < size <= 8000 for size in sizes.values()), sizes
    assert (
        parameters(pixels.model("grid rnn", 48))
        == 50 * 48 + 2 * 48**2 + 48 + 17 * 49
        == sizes["grid rnn"]
    )
    assert pixels.width("raster lstm", 10) == 0


def test_images_are_drawn_in_raster_order():
    """Each pixel is drawn given those before it: a model sure of a copy of the left pixel draws
    rows of one level.
    """
    net = pixels.model("left", 17)
    params = jax.tree.map(jnp.zeros_like, net.init(jax.random.key(0)))
    same = 10 * jnp.eye(17)
    params = params._replace(
        inside=params.inside._replace(w=params.inside.w.at[:17].set(same)),
        readout=params.readout._replace(w=100 * jnp.eye(17)),
    )
    images = pixels.sample(net, params, 20)
    assert (images == images[:, :, :1]).all() and len(np.unique(images[:, :, 0])) > 8


def test_divergence_is_a_record(session, tmp_path):
    config = smoke_config(latent={"rate": 1e38})
    record = reals.echo(config, session)
    assert not record["RNN finite"].any() and record["RNN finite"].shape == (2,)
    log.write(tmp_path / "log", {"part": "echo", "of": "", **record})
    (read,) = log.read(tmp_path / "log")
    summary = summarize(config, [read])
    assert [claim["verdict"] for claim in summary["claims"]] == ["undecided"] * 2
    assert summary["metrics"]["trainings that were not finite"] >= 2
    assert draw(config, [read]) == {}


def test_a_run_does_not_depend_on_the_others(session, tmp_path):
    net, settings = ar.window(2, 1, 4), ConfigDict({"rate": 0.05, "updates": 20})

    def loss(params, xs):
        return -ar.log_likelihood(net.apply(params, xs[..., None]), xs).mean()

    trained = program(net.init, loss, columns(3), settings, every=10)
    data = np.random.default_rng(0).integers(0, 2, (3, 6, 9)).astype(np.int32)
    looks = []
    params, three = train(trained, (4, 5, 6), data, session, lambda p: looks.append(p.readout.b[0]))
    _, one = train(trained, (5,), data[1:2], session)
    np.testing.assert_allclose(one["curve"][0], three["curve"][1], rtol=1e-5)
    assert three["finite"].all() and (three["curve"][0] != three["curve"][1]).any()
    assert len(looks) == 2 and (looks[1] == params.readout.b[0]).all()
    stopped = Session({"of": "copy"}, tmp_path, stopping=lambda: True)
    with pytest.raises(Interrupted, match="step 0"):
        train(trained, (4,), data[:1], stopped)
