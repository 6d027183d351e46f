import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.batches import BatchSampler
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
