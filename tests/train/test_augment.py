import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.train.augment import Crops, crop_flip, draw, normalise, pad_crop_flip


def by_loop(images, crops, pad):
    out = np.zeros_like(images)
    _, h, w, _ = images.shape
    for i, (top, left, flip) in enumerate(zip(*map(np.asarray, crops), strict=True)):
        for y in range(h):
            for x in range(w):
                row, column = y + top - pad, (w - 1 - x if flip else x) + left - pad
                if 0 <= row < h and 0 <= column < w:
                    out[i, y, x] = images[i, row, column]
    return out


@pytest.mark.parametrize(
    ("shape", "pad"), [((40, 8, 8, 1), 4), ((40, 6, 9, 3), 2), ((3, 5, 5, 2), 0)]
)
def test_equals_a_loop_over_pixels(shape, pad):
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    crops = draw(jax.random.key(1), shape[0], pad)
    found = jax.jit(pad_crop_flip, static_argnames="pad")(jax.random.key(1), images, pad=pad)
    np.testing.assert_array_equal(found, by_loop(images, crops, pad))


def test_offsets_and_flips_are_uniform_and_independent():
    crops = draw(jax.random.key(0), 20_000, 4)
    cells = np.zeros((9, 9, 2))
    np.add.at(cells, tuple(np.asarray(x, int) for x in crops), 1)
    expected = 20_000 / cells.size
    chi_squared = ((cells - expected) ** 2 / expected).sum()
    # 161 degrees of freedom; a dependence gives thousands
    assert abs(chi_squared - 161) < 5 * (2 * 161) ** 0.5


def test_the_middle_crop_without_flip_is_the_image_and_so_is_no_key():
    images = jnp.arange(2 * 4 * 4 * 3.0).reshape(2, 4, 4, 3)
    middle = Crops(jnp.full(2, 4), jnp.full(2, 4), jnp.zeros(2, bool))
    np.testing.assert_array_equal(crop_flip(images, middle, pad=4), images)
    assert pad_crop_flip(None, images) is images


def test_normalise_scales_then_subtracts_the_mean_of_each_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 1), np.uint8)
    mean = np.random.default_rng(1).random((2, 3, 1), np.float32)
    found = normalise(jnp.array(pixels), 1 / 255, jnp.array(mean))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, pixels / 255 - mean, atol=1e-6)


def test_a_mean_of_the_wrong_shape_is_refused():
    with pytest.raises(AssertionError):
        normalise(jnp.zeros((5, 2, 3, 1), jnp.uint8), 1.0, jnp.zeros((3, 2, 1)))
