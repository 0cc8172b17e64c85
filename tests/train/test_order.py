import itertools

import jax
import numpy as np
import pytest

from deepseq.train.order import batches

N, SIZE = 23, 5  # four batches an epoch, three examples left over
LABELS = np.arange(N, dtype=np.int32)
IMAGES = np.broadcast_to(LABELS.astype(np.uint8)[:, None, None, None], (N, 2, 2, 1))


def order(seed):
    return batches(IMAGES, LABELS, jax.random.key(seed), SIZE)


def test_every_batch_is_what_the_definition_gives():
    key = jax.random.key(3)
    order_key, step_key = jax.random.split(key)
    batch = order(3)
    for t in range(12):
        epoch = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, t // 4), N))
        found = batch(t)
        np.testing.assert_array_equal(found.labels, epoch[t % 4 * SIZE :][:SIZE])
        np.testing.assert_array_equal(found.images, IMAGES[np.asarray(found.labels)])
        assert found.images.dtype == np.uint8
        expected = jax.random.fold_in(step_key, t)
        np.testing.assert_array_equal(jax.random.key_data(found.key), jax.random.key_data(expected))


def test_no_example_comes_twice_in_an_epoch_and_epochs_differ():
    batch = order(0)
    epochs = [np.concatenate([batch(t).labels for t in range(4 * e, 4 * e + 4)]) for e in range(30)]
    assert all(len(set(epoch.tolist())) == 20 for epoch in epochs)
    assert all((a != b).any() for a, b in itertools.pairwise(epochs))
    assert set(np.concatenate(epochs).tolist()) == set(range(N))  # what is left over changes


def test_any_step_in_any_order_gives_the_same_batch_as_from_the_start():
    from_start, again = order(1), order(1)
    expected = [from_start(t) for t in range(9)]
    for t in (6, 2, 8, 7):
        found = again(t)
        np.testing.assert_array_equal(found.labels, expected[t].labels)
        np.testing.assert_array_equal(
            jax.random.key_data(found.key), jax.random.key_data(expected[t].key)
        )


def test_seeds_differ_in_order_and_keys():
    a, b = order(1)(0), order(2)(0)
    assert (a.labels != b.labels).any()
    assert (jax.random.key_data(a.key) != jax.random.key_data(b.key)).any()


def test_the_permutation_is_made_once_an_epoch(monkeypatch):
    from deepseq.train import order as module

    epochs, permutation = [], module.permutation

    def counted(key, epoch, size):
        epochs.append(epoch)
        return permutation(key, epoch, size)

    monkeypatch.setattr(module, "permutation", counted)
    batch = order(0)
    for t in range(8):
        batch(t)
    assert epochs == [0, 1]


@pytest.mark.parametrize("size", [0, N + 1])
def test_a_batch_larger_than_the_set_is_refused(size):
    with pytest.raises(ValueError, match="batch size from 1 to 23"):
        batches(IMAGES, LABELS, jax.random.key(0), size)


def test_images_without_labels_are_refused():
    with pytest.raises(ValueError, match="one label per image"):
        batches(IMAGES, LABELS[:-1], jax.random.key(0), SIZE)
