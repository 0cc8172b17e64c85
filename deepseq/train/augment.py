"""Normalisation and augmentation of images inside the train step."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["Crops", "crop_flip", "draw", "normalise", "pad_crop_flip"]


class Crops(NamedTuple):
    """How each image of a batch is cropped and flipped."""

    top: Array  # (B,) int32, first row taken of the padded image
    left: Array  # (B,) int32, first column
    flip: Array  # (B,) bool, whether the crop is then mirrored left to right


def normalise(pixels: Array, scale: float | Array, mean: Array) -> Array:
    """pixels * scale - mean in float32: (B, H, W, C), a scalar, (H, W, C) -> (B, H, W, C)."""
    chex.assert_rank(pixels, 4)
    chex.assert_shape(mean, pixels.shape[1:])
    return pixels.astype(jnp.float32) * jnp.float32(scale) - mean


def pad_crop_flip(key: Array | None, images: Array, *, pad: int = 4) -> Array:
    """Pads each side, crops a random window of the old size and mirrors every second one: (B, H, W,
    C) -> (B, H, W, C).

    He et al. 2015, section 4.2: 4 pixels on each side of 32x32. The padding is zero, so subtract
    the mean first.

    Args:
      key: typed PRNG key; None leaves the images as they are, for evaluation.
      images: (B, H, W, C).
      pad: pixels on each side.
    """
    chex.assert_rank(images, 4)
    return images if key is None else crop_flip(images, draw(key, images.shape[0], pad), pad=pad)


def draw(key: Array, batch_size: int, pad: int) -> Crops:
    """Uniform offsets in 0..2 pad and fair flips for a batch."""
    top, left, flip = jax.random.split(key, 3)
    offsets = [jax.random.randint(k, (batch_size,), 0, 2 * pad + 1) for k in (top, left)]
    return Crops(*offsets, jax.random.bernoulli(flip, 0.5, (batch_size,)))


def crop_flip(images: Array, crops: Crops, *, pad: int) -> Array:
    """Applies given crops and flips to zero-padded images: (B, H, W, C) -> (B, H, W, C)."""
    b, h, w, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows = crops.top[:, None] + jnp.arange(h)
    columns = jnp.arange(w)
    columns = crops.left[:, None] + jnp.where(crops.flip[:, None], columns[::-1], columns)
    return padded[jnp.arange(b)[:, None, None], rows[:, :, None], columns[:, None, :]]
