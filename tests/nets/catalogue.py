"""Every net that the project offers, as small as its paper lets it be."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepseq.nets import recurrent
from deepseq.nets.blocks.net import Classifier
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
from deepseq.nets.sequences import ar, attentive, language_model, seq2seq, transformer
from deepseq.nets.sequences.transformer import learned, pre_norm
from deepseq.train.losses import cross_entropy, squared_error, with_auxiliary


class Images(NamedTuple):
    """A classifier of ten classes and the images it takes."""

    net: Classifier
    shape: tuple[int, int, int]
    loss: Callable = cross_entropy


# named by module, constructor and what else tells them apart
CLASSIFIERS = {
    "lenet.zip_codes": Images(lenet.zip_codes(), (16, 16, 1), squared_error),
    "lenet.lenet5": Images(lenet.lenet5(jnp.ones((10, 84))), (32, 32, 1)),
    "lenet.full_lenet5": Images(lenet.full_lenet5(), (28, 28, 1)),
    "alexnet.alexnet": Images(alexnet.alexnet(10, 67), (67, 67, 3)),
    "alexnet.single_tower": Images(alexnet.single_tower(10, 63), (63, 63, 3)),
    "vgg.vgg 11": Images(vgg.vgg(11, 10, 32), (32, 32, 3)),
    "nin.nin": Images(nin.nin(), (8, 8, 3)),
    "googlenet.googlenet": Images(googlenet.googlenet(10), (31, 31, 3)),
    "googlenet.with_auxiliary": Images(
        googlenet.with_auxiliary(10, 79), (79, 79, 3), with_auxiliary()
    ),
    "googlenet_batch_norm.googlenet": Images(googlenet_batch_norm.googlenet(10), (31, 31, 3)),
    "googlenet_batch_norm.with_auxiliary": Images(
        googlenet_batch_norm.with_auxiliary(10), (31, 31, 3), with_auxiliary()
    ),
    "resnet.cifar 8": Images(resnet.cifar(8, width=4), (9, 9, 3)),
    "resnet.cifar 8 plain": Images(resnet.cifar(8, residual=False, width=4), (9, 9, 3)),
    "resnet.cifar 8 B": Images(resnet.cifar(8, shortcut="B", width=4), (9, 9, 3)),
    "resnet.imagenet 18": Images(resnet.imagenet(18, classes=10), (33, 33, 3)),
    "resnet.imagenet 50": Images(resnet.imagenet(50, classes=10), (33, 33, 3)),
    "preact_resnet.cifar 8": Images(preact_resnet.cifar(8), (9, 9, 3)),
    "preact_resnet.cifar 11 bottleneck": Images(
        preact_resnet.cifar(11, bottleneck=True), (9, 9, 3)
    ),
    "densenet.imagenet 121": Images(densenet.imagenet(121, 10), (32, 32, 3)),
    "densenet.cifar 10 bc": Images(densenet.cifar(10, 4, bc=True), (9, 9, 3)),
}

RNN, LSTM, GRU = recurrent.RNN_LAYER, recurrent.LSTM_LAYER, recurrent.GRU_LAYER
VOCABULARY = 11
_SMALL = {"embedding": 6, "hidden": 5, "dropout": 0.2}
_TRANSFORMER = {"layers": 2, "size": 8, "heads": 2, "feed_forward": 12}
_LSTM = seq2seq.encoder_decoder(13, VOCABULARY, layers=2, **_SMALL)

LANGUAGE_MODELS = {
    "language_model.language_model": language_model.language_model(VOCABULARY, layers=2, **_SMALL),
    "language_model.language_model tied": language_model.language_model(
        VOCABULARY, GRU, embedding=5, hidden=5, tied=True
    ),
    "language_model.small": language_model.small(VOCABULARY),
    "language_model.medium": language_model.medium(VOCABULARY),
    "language_model.large": language_model.large(VOCABULARY),
}

SEQ2SEQ = {  # sources of 13 tokens, targets of VOCABULARY
    "seq2seq.encoder_decoder": _LSTM,
    "seq2seq.reversed_source": seq2seq.reversed_source(_LSTM),
    "attentive.attentive": attentive.attentive(13, VOCABULARY, alignment=4, **_SMALL),
    "transformer.transformer": transformer.transformer(
        VOCABULARY, source_vocabulary=13, **_TRANSFORMER
    ),
    "transformer.transformer pre-norm": transformer.transformer(
        VOCABULARY, source_vocabulary=13, norm=pre_norm, positions=learned(9), **_TRANSFORMER
    ),
}

OTHERS: dict[str, Any] = {  # called as their constructors say
    "ar.window": ar.window(VOCABULARY, 3, 5),
    "ar.latent": ar.latent(lambda key: GRU.init(key, 2, 5), GRU.layer, 5, 4),
}

LAYERS = {  # init, layer and the width of its outputs
    "rnn": (lambda key: RNN.init(key, 3, 5), RNN.layer, 5),
    "lstm": (lambda key: LSTM.init(key, 3, 5), LSTM.layer, 5),
    "gru": (lambda key: GRU.init(key, 3, 5), GRU.layer, 5),
    "stack": (
        lambda key: (GRU.init(key, 3, 5), GRU.init(key, 5, 5)),
        recurrent.stack(GRU.layer),
        5,
    ),
    "bidirectional": (
        lambda key: (LSTM.init(key, 3, 5), LSTM.init(key, 3, 5)),
        recurrent.bidirectional(LSTM.layer),
        10,
    ),
    "divided": (
        lambda key: LSTM.init(key, 3, 5),
        recurrent.divided(LSTM.layer, jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",))),
        5,
    ),
}
