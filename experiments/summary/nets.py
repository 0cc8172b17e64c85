"""Every net by a short name, with an example of each size that must be given."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets import recurrent
from deepseq.nets.images import (
    alexnet,
    densenet,
    googlenet,
    googlenet_batch_norm,
    lenet,
    nin,
    preact_resnet,
    resnet,
    vgg,
)
from deepseq.nets.recurrent import grid
from deepseq.nets.sequences import ar, attentive, language_model, seq2seq, transformer


class Pass(NamedTuple):
    """A forward pass without any numbers."""

    forward: Callable  # (params, *inputs) -> outputs
    init: Callable  # key -> params
    inputs: tuple  # shapes


class Kind(NamedTuple):
    """A net that can be summarised."""

    paper: str
    build: Callable[..., Pass] | None  # of what ``sizes`` names, and of the image's size
    sizes: dict[str, Any]  # what --net.key can set, and what it is otherwise
    image_size: int | None = None  # of a net that reads images


def _images(make: Callable, channels: int = 3, sized: bool = False) -> Callable[..., Pass]:
    def build(*, image_size: int, **sizes: Any) -> Pass:
        net = make(**sizes, **({"image_size": image_size} if sized else {}))
        x = _floats(1, image_size, image_size, sizes.get("in_channels", channels))
        return Pass(lambda p, x: net.apply(p, x, running=None, key=None)[0], net.init, (x,))

    return build


def _language_model(make: Callable) -> Callable[..., Pass]:
    def build(*, steps: int, **sizes: Any) -> Pass:
        net = make(**sizes)
        xs = _tokens(steps, 1)
        return Pass(lambda p, x: net.apply(p, x, carry=None, key=None)[0], net.init, (xs,))

    return build


def _encoder_decoder(make: Callable) -> Callable[..., Pass]:
    def build(*, steps: int, **sizes: Any) -> Pass:
        net = make(**sizes)

        def forward(params: Any, source: Array, target: Array) -> Array:
            memory = net.encode(params, source, lengths=None, key=None)
            return net.teach(params, memory, target, key=None)

        return Pass(forward, net.init, (_tokens(1, steps), _tokens(1, steps)))

    return build


def _recurrent(init: Callable, layer: Callable) -> Callable[..., Pass]:
    def build(*, inputs: int, hidden: int, steps: int) -> Pass:
        xs = _floats(steps, 1, inputs)
        return Pass(lambda p, x: layer(p, x)[1], lambda key: init(key, inputs, hidden), (xs,))

    return build


def _grid(init: Callable, layer: Callable) -> Callable[..., Pass]:
    def build(*, inputs: int, hidden: int, side: int) -> Pass:
        xs = _floats(side, side, inputs)
        return Pass(
            lambda p, x: layer(p, x[:, :, None]), lambda key: init(key, inputs, hidden), (xs,)
        )

    return build


def _window(*, symbols: int, tau: int, hidden: int) -> Pass:
    net = ar.window(symbols, tau, hidden)
    return Pass(net.apply, net.init, (_tokens(1, tau),))


def _lenet5() -> Any:
    return lenet.lenet5(jnp.ones((10, 84)))


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _tokens(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


LARGE = {"classes": 1000, "in_channels": 3}
SMALL = {"classes": 10, "in_channels": 3}
GRID = {"inputs": 1, "hidden": 32, "side": 8}
TEXT = {"vocabulary": 10_000, "steps": 35}
LAYER = {"inputs": 128, "hidden": 128, "steps": 100}
PAIR = {
    "source_vocabulary": 8000,
    "target_vocabulary": 8000,
    "embedding": 256,
    "hidden": 256,
    "steps": 32,
}
TRANSFORMER = {
    "vocabulary": 37_000,
    "layers": 6,
    "size": 512,
    "heads": 8,
    "feed_forward": 2048,
    "bias": False,
    "steps": 32,
}

KINDS = {
    "alexnet": Kind("Krizhevsky et al. 2012", _images(alexnet.alexnet, sized=True), LARGE, 227),
    "alexnet_single_tower": Kind(
        "Krizhevsky 2014", _images(alexnet.single_tower, sized=True), LARGE, 224
    ),
    "ar_window": Kind("Bengio et al. 2003", _window, {"symbols": 10, "tau": 5, "hidden": 64}),
    "attentive": Kind(
        "Bahdanau et al. 2015", _encoder_decoder(attentive.attentive), PAIR | {"alignment": 256}
    ),
    "densenet": Kind("Huang et al. 2016", _images(densenet.imagenet), {"depth": 121, **LARGE}, 224),
    "densenet_cifar": Kind(
        "Huang et al. 2016",
        _images(densenet.cifar),
        {"depth": 100, "growth": 12, "bc": True, **SMALL},
        32,
    ),
    "encoder_decoder": Kind(
        "Sutskever et al. 2014", _encoder_decoder(seq2seq.encoder_decoder), PAIR | {"layers": 4}
    ),
    "googlenet": Kind("Szegedy et al. 2014", _images(googlenet.googlenet), LARGE, 224),
    "googlenet_auxiliary": Kind(
        "Szegedy et al. 2014", _images(googlenet.with_auxiliary, sized=True), LARGE, 224
    ),
    "googlenet_batch_norm": Kind(
        "Ioffe, Szegedy 2015", _images(googlenet_batch_norm.googlenet), LARGE, 224
    ),
    "googlenet_batch_norm_auxiliary": Kind(
        "Ioffe, Szegedy 2015", _images(googlenet_batch_norm.with_auxiliary), LARGE, 224
    ),
    "grid_lstm": Kind("Graves et al. 2007", _grid(grid.grid_lstm_init, grid.grid_lstm), GRID),
    "grid_rnn": Kind("Graves et al. 2007", _grid(grid.grid_rnn_init, grid.grid_rnn), GRID),
    "gru": Kind("Cho et al. 2014", _recurrent(recurrent.gru_init, recurrent.gru), LAYER),
    "lenet5": Kind("LeCun et al. 1998", _images(_lenet5, 1), {}, 32),
    "lenet5_full": Kind(
        "LeCun et al. 1998", _images(lenet.full_lenet5, 1), {"classes": 10, "in_channels": 1}, 32
    ),
    "lm_large": Kind("Zaremba et al. 2014", _language_model(language_model.large), TEXT),
    "lm_medium": Kind("Zaremba et al. 2014", _language_model(language_model.medium), TEXT),
    "lm_small": Kind(
        "Zaremba et al. 2014", _language_model(language_model.small), TEXT | {"steps": 20}
    ),
    "lstm": Kind(
        "Hochreiter, Schmidhuber 1997", _recurrent(recurrent.lstm_init, recurrent.lstm), LAYER
    ),
    "nin": Kind("Lin et al. 2013", _images(nin.nin), SMALL, 32),
    "preact_resnet": Kind(
        "He et al. 2016",
        _images(preact_resnet.cifar),
        {"depth": 164, "bottleneck": True, "width": 16, **SMALL},
        32,
    ),
    "resnet": Kind(
        "He et al. 2015", _images(resnet.imagenet), {"depth": 50, "shortcut": "B", **LARGE}, 224
    ),
    "resnet_cifar": Kind(
        "He et al. 2015",
        _images(resnet.cifar),
        {"depth": 56, "residual": True, "shortcut": "A", "width": 16, **SMALL},
        32,
    ),
    "rnn": Kind("Elman 1990", _recurrent(recurrent.rnn_init, recurrent.rnn), LAYER),
    "transformer": Kind(
        "Vaswani et al. 2017", _encoder_decoder(transformer.transformer), TRANSFORMER
    ),
    "vgg": Kind(
        "Simonyan, Zisserman 2014", _images(vgg.vgg, sized=True), {"depth": 16, **LARGE}, 224
    ),
    "zip_codes": Kind("LeCun et al. 1989", _images(lenet.zip_codes, 1), {}, 16),
}
