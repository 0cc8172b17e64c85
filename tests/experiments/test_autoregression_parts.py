"""What the autoregression study measures: tables, nets, disturbed series, states, forecasts and
models of pixels.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from configs.autoregression import get_config
from deepseq.nets.sequences import ar
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments.autoregression import pixels, reals, symbols
from experiments.autoregression.figures import draw
from experiments.autoregression.summary import summarize
from experiments.autoregression.training import columns, program, train

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def smoke_config(**groups):
    config = get_config("smoke")
    for name, values in groups.items():
        config[name].update(values)
    return FrozenConfigDict(config)


def never():
    return False


def test_tables_are_between_floor_and_guessing():
    config = smoke_config()
    for name in symbols.names(config):
        found = symbols.tables(config, name)
        floors, losses = np.array(found["floors"]), np.array(found["loss"])
        count, longest = symbols.alphabet(config, name)
        assert floors.shape == losses.shape == (2, longest + 1)
        assert (losses > floors).all() and (losses < np.log(count) + 0.05).all()
        assert (found["rate"][:, 0] <= found["rate"][:, 1]).all() and (
            found["rate"][:, 1] <= floors[:, -1] + 1e-9
        ).all()
    assert (
        np.ptp(np.array(symbols.tables(config, "order 2")["floors"]), axis=0)[0] > 1e-3
    )  # each seed has a chain of its own


def test_the_net_of_a_window_reaches_the_table():
    config = smoke_config(window={"updates": 400}, measure={"every": 100})
    own = symbols.window_program(config, *symbols.alphabet(config, "order 1"))
    found = np.array(symbols.windows(config, "order 1", own, never)["loss"])
    floors = np.array(symbols.tables(config, "order 1")["floors"])
    np.testing.assert_allclose(found, floors, atol=0.02)
    assert (found > floors).all()


def test_disturbed_series():
    config = smoke_config()
    test = symbols.series(config, "order 2", 1)
    found = symbols.disturbed(config, test)
    assert found["trimmed"].shape == (2, 8, 4 * 128) and found["omitted"].shape == (2, 29, 128)
    np.testing.assert_array_equal(
        found["trimmed"][1, :, 128 + 5], test[1, 8:16, 5]
    )  # the second piece of series 5
    np.testing.assert_array_equal(np.sort(found["permuted"], 1), np.sort(test, 1))
    assert (found["permuted"] != test).any() and found["intact"] is test
    numbered = np.tile(np.arange(32)[:, None], (1, 6))
    kept = symbols.omit(np.random.default_rng(0), numbered, 29)
    assert (
        kept.shape == (29, 6)
        and (np.diff(kept, axis=0) > 0).all()
        and len({tuple(column) for column in kept.T}) > 1
    )


def test_a_state_is_read_for_what_it_holds():
    config = smoke_config()
    own = symbols.latent_program(config, 2)
    params = own.begin(jnp.arange(2, dtype=jnp.uint32)).params
    test = symbols.series(config, "copy", 1)
    shares = symbols.decoded(config, params, test)
    assert shares.shape == (2, 4 * config.bits.lag) and (shares[:, 0] > 0.99).all()
    deaf = params._replace(cell=params.cell._replace(wx=0 * params.cell.wx, b=0 * params.cell.b))
    np.testing.assert_allclose(symbols.decoded(config, deaf, test), 0.5, atol=0.1)


def test_chain_rule_is_exact():
    found = symbols.chain_rule(smoke_config())
    assert (
        found["words"] == 2**6
        and max(found["forward"]) < 1e-12
        and max(found["table"]) < symbols.EXACT
    )
    assert 0 < max(found["marginal"]) < symbols.EXACT and max(found["total"]) < symbols.EXACT


def test_the_error_of_a_net_that_feeds_itself_is_that_of_a_loop():
    config = smoke_config()
    net = ar.latent(lambda key: reals.CELLS["rnn"].init(key, 1, 8), reals.CELLS["rnn"].layer, 8, 1)
    params = jax.vmap(net.init)(jax.random.split(jax.random.key(0), 2))
    test = reals.series(config, 1)
    longest, horizon, own = config.real.longest, config.real.horizon, reals.process(config)
    test = test[:, : longest + horizon + 2]  # two origins
    one, xs, excess = jax.tree.map(lambda a: a[0], params), test[0], []
    for end in (longest, longest + 1):
        known, best = jnp.asarray(xs[:end]), np.float64(xs[:end])
        for _ in range(horizon):
            h = ar.states(reals.CELLS["rnn"].layer, one, known[..., None], carry=None)[1]
            known = jnp.concatenate([known, (h @ one.readout.w + one.readout.b).T])
            best = np.concatenate([best, [own.weights @ best[:-5:-1]]])
        true = np.float64(xs[end : end + horizon])
        excess.append(((true - known[end:]) ** 2 - (true - best[end:]) ** 2).mean(1))
    np.testing.assert_allclose(
        reals._fed_back(config, params, test)[0], np.mean(excess, 0), rtol=1e-3, atol=1e-3
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
    unchanged = jnp.broadcast_to(
        levels, changed.shape
    )  # at the same place of the batch, so that it is rounded alike
    moves = (
        np.abs(apply(params, changed) - apply(params, unchanged)).max((3, 4)).reshape(8, 8, 8, 8)
        > 0
    )
    for r, c in np.ndindex(8, 8):
        seen = moves[r, c]  # where a change of this pixel is felt
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
            assert (seen == allowed).all()
        assert not seen[~allowed].any() and (seen.any() == allowed.any())


def test_models_of_pixels_have_equal_parameters():
    sizes = {name: pixels.count(name, pixels.width(name, 8000)) for name in pixels.ARMS}
    assert all(0.9 * 8000 < size <= 8000 for size in sizes.values()), sizes
    assert pixels.count("grid rnn", 48) == 50 * 48 + 2 * 48**2 + 48 + 17 * 49 == sizes["grid rnn"]
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
    images = np.asarray(pixels._draw(net, 20)(params))
    assert (images == images[:, :1]).all() and len(np.unique(images[:, 0])) > 8


def test_divergence_is_a_record(tmp_path):
    config = smoke_config(latent={"rate": 1e38})
    record = reals.echo(config, never)
    assert not record["RNN finite"].any() and record["RNN finite"].shape == (2,)
    log.write(tmp_path / "log", {"part": "echo", "of": "", **record})
    (read,) = log.read(tmp_path / "log")
    summary = summarize(config, [read])
    assert [claim["verdict"] for claim in summary["claims"]] == ["undecided"] * 2
    assert (
        summary["metrics"]["trainings that were not finite"] >= 2
        and draw(config, [read], summary) == {}
    )


def test_a_run_does_not_depend_on_the_others():
    net = ar.window(2, 1, 4)
    own = program(
        net.init,
        lambda params, xs: -ar.log_likelihood(net.apply(params, xs[..., None]), xs).mean(),
        columns(3),
        rate=0.05,
        updates=20,
        every=10,
    )
    data = np.random.default_rng(0).integers(0, 2, (3, 6, 9)).astype(np.int32)
    _, three = train(own, (4, 5, 6), data, never, {})
    _, one = train(own, (5,), data[1:2], never, {})
    np.testing.assert_allclose(one["curve"][0], three["curve"][1], rtol=1e-5)
    assert three["finite"].all() and (three["curve"][0] != three["curve"][1]).any()
    with pytest.raises(Interrupted, match="step 0"):
        train(own, (4,), data[:1], lambda: True, {"source": "copy"})
