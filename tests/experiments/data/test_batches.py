import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data.batches import BatchSampler, ClassAwareSampler
from geometry.errors import DataError, UsageError

POOLS = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(
    lambda sizes: [100 * m + np.arange(size) for m, size in enumerate(sizes)]
)


@given(POOLS, st.integers(1, 25), st.integers(0, 3))
def test_every_image_comes_once_per_epoch(pools, batch_size, seed):
    sampler = BatchSampler(pools, batch_size, seed)
    steps = [sampler.indices(step) for step in range(8)]
    for m, pool in enumerate(pools):
        assert all(batch[m].shape == (batch_size,) for batch in steps)
        stream = np.concatenate([batch[m] for batch in steps])
        for start in range(0, stream.size - pool.size + 1, pool.size):
            assert sorted(stream[start : start + pool.size]) == pool.tolist()


@given(POOLS, st.integers(1, 25), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_a_step_depends_on_nothing_but_its_number(pools, batch_size, steps):
    used = BatchSampler(pools, batch_size, 0)
    for step in steps:
        fresh = BatchSampler(pools, batch_size, 0)
        for ours, theirs in zip(used.indices(step), fresh.indices(step), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_what_a_caller_does_to_a_batch_changes_no_other():
    sampler = BatchSampler([np.arange(6)], 3, 0)
    sampler.indices(0)[0][:] = -1
    np.testing.assert_array_equal(sampler.indices(0)[0], BatchSampler([np.arange(6)], 3, 0).indices(0)[0])


def test_epochs_domains_and_seeds_have_orders_of_their_own():
    sampler = BatchSampler([np.arange(50), np.arange(50)], 50, 0)
    first, second, other = sampler.indices(0), sampler.indices(1), BatchSampler([np.arange(50)], 50, 1).indices(0)
    orders = {tuple(order) for order in (*first, *second, *other)}
    assert len(orders) == 5
    assert sampler.epochs(3) == [3.0, 3.0]


def test_a_single_image_fills_its_batch():
    assert BatchSampler([np.array([4])], 3, 0).indices(17)[0].tolist() == [4, 4, 4]


def test_bad_requests():
    with pytest.raises(UsageError, match="batch size"):
        BatchSampler([[1]], 0, 0)
    with pytest.raises(DataError, match="number 1"):
        BatchSampler([[1], []], 2, 0)
    with pytest.raises(DataError, match="no domain"):
        BatchSampler([], 2, 0)
    with pytest.raises(UsageError, match="step"):
        BatchSampler([[1]], 2, 0).indices(-1)


CELLS = st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any), min_size=1, max_size=3)


def class_aware(cells, batch_size, seed=0):
    """A sampler over cells of the given sizes, domain by domain, with every image's class."""
    labels = np.concatenate([np.repeat(np.arange(len(row)), row) for row in cells])
    ends = np.cumsum([sum(row) for row in cells])
    pools = np.split(np.arange(ends[-1]), ends[:-1])
    return ClassAwareSampler(pools, labels, batch_size, seed), labels


@settings(max_examples=30)
@given(CELLS, st.integers(0, 3))
def test_classes_come_equally_often_and_in_pairs(cells, seed):
    for m, row in enumerate(cells):
        present = [k for k, size in enumerate(row) if size]
        sampler, labels = class_aware(cells, 2 * len(present), seed)
        for step in range(4):  # a batch is one round of this domain's classes
            of = labels[sampler.indices(step)[m]]
            assert (of[::2] == of[1::2]).all()
            assert sorted(of[::2]) == present
        stream = np.concatenate([sampler.indices(step)[m] for step in range(30)])
        for k in present:
            images = stream[labels[stream] == k]
            for start in range(0, images.size - row[k] + 1, row[k]):  # every image once per epoch of its class
                assert len(set(images[start : start + row[k]])) == row[k]


@settings(max_examples=30)
@given(CELLS, st.integers(1, 9), st.lists(st.integers(0, 60), min_size=1, max_size=5))
def test_a_class_aware_step_depends_on_nothing_but_its_number(cells, batch_size, steps):
    used, _ = class_aware(cells, batch_size)
    for step in steps:
        fresh, _ = class_aware(cells, batch_size)
        for ours, theirs in zip(used.indices(step), fresh.indices(step), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_domains_meet_in_the_same_classes():
    sampler, labels = class_aware([[9] * 20, [4] * 20], 8)
    for step in range(5):
        first, second = (set(labels[part]) for part in sampler.indices(step))
        assert first == second
        assert len(first) == 4
