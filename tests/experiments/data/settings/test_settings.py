import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.imbalance import imbalance_ratio
from experiments.data.settings import SETTINGS, make_counts
from geometry.errors import DataError, UsageError

CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
PACS = {
    "art_painting": [379, 255, 285, 184, 201, 295, 449],
    "cartoon": [389, 457, 346, 135, 324, 288, 405],
    "photo": [189, 202, 182, 186, 199, 280, 432],
    "sketch": [772, 740, 753, 608, 816, 80, 160],
}
# The count tables of the NDCL release, by held-out domain.
RELEASED = {
    "art_painting": {
        "cartoon": [140, 353, 17, 2, 39, 3, 11],
        "photo": [65, 149, 8, 2, 23, 3, 12],
        "sketch": [283, 580, 38, 9, 101, 1, 4],
    },
    "cartoon": {
        "art_painting": [291, 12, 107, 2, 24, 3, 12],
        "photo": [139, 9, 66, 2, 24, 3, 11],
        "sketch": [605, 38, 293, 8, 107, 1, 4],
    },
    "photo": {
        "art_painting": [291, 92, 36, 3, 10, 4, 14],
        "cartoon": [299, 169, 44, 2, 16, 4, 12],
        "sketch": [605, 278, 100, 10, 43, 1, 4],
    },
    "sketch": {
        "art_painting": [178, 41, 9, 2, 3, 20, 347],
        "cartoon": [183, 76, 11, 1, 6, 19, 312],
        "photo": [85, 32, 5, 2, 3, 18, 333],
    },
}


@pytest.mark.parametrize("held_out", list(PACS))
def test_total_heavy_tail_is_the_released_one_on_pacs(held_out):
    sources = [name for name in PACS if name != held_out]
    sizes = [PACS[name] for name in sources]
    table = make_counts("TotalHeavyTail", sizes, sources, CLASSES, validation=15)
    assert table.counts.tolist() == [RELEASED[held_out][name] for name in sources]
    assert 132 < imbalance_ratio(table.counts).pooled < 199
    assert table.parameters == {"c": 3.0, "test": 0.2, "validation": 15}


SIZES = st.integers(2, 5).flatmap(
    lambda K: st.lists(st.lists(st.integers(4, 300), min_size=K, max_size=K), min_size=1, max_size=3)
)


# The opposed settings order domains by size, and of two equally large ones the first given counts as smaller.
ANY_ORDER = sorted(set(SETTINGS) - {"Cross", "Duality"})


@given(SIZES, st.sampled_from(ANY_ORDER), st.randoms(use_true_random=False))
def test_counts_do_not_depend_on_the_order_of_domains_and_classes(sizes, setting, random):
    sizes = np.array(sizes)
    domains, classes = (np.array(list(letters)[:n]) for letters, n in zip(("pqr", "vwxyz"), sizes.shape, strict=True))
    d, k = (random.sample(range(n), n) for n in sizes.shape)
    straight = make_counts(setting, sizes, domains, classes, validation=3)
    shuffled = make_counts(setting, sizes[np.ix_(d, k)], domains[d], classes[k], validation=3)
    np.testing.assert_array_equal(shuffled.counts, straight.counts[np.ix_(d, k)])
    assert (straight.counts >= 1).all()
    assert (straight.counts <= sizes - 3).all()


@given(SIZES)
def test_total_heavy_tail_by_a_plain_loop(sizes):
    stats = pytest.importorskip("scipy.stats")
    available = [[size - 3 for size in row] for row in sizes]
    K = len(sizes[0])
    pooled = [sum(row[k] for row in available) for k in range(K)]
    x = np.linspace(1 / stats.fisk.mean(3), stats.fisk.ppf(0.99, 3), K)
    ratio = stats.fisk.pdf(x, 3) / stats.fisk.pdf(x, 3).sum()
    order = sorted(range(K), key=lambda k: (pooled[k], "vwxyz"[k]), reverse=True)
    total = pooled[order[0]] * 0.8 / ratio[0]
    expected = np.zeros((len(sizes), K), dtype=int)
    for place, k in enumerate(order):
        wanted = total * ratio[place]
        if wanted > pooled[k]:
            wanted = 0.8 * pooled[k]
        for m, row in enumerate(available):
            expected[m, k] = max(1, int(wanted * row[k] / pooled[k] + 1e-9))
    table = make_counts("TotalHeavyTail", sizes, "pqr"[: len(sizes)], "vwxyz"[:K], validation=3)
    np.testing.assert_array_equal(table.counts, expected)


def test_a_cell_the_data_set_lacks_stays_empty():
    sizes = [[50, 0, 30], [40, 20, 0]]
    for setting in SETTINGS:
        counts = make_counts(setting, sizes, "ab", "xyz", validation=5).counts
        assert (counts > 0).tolist() == [[True, False, True], [True, True, False]]


def test_balanced_and_natural():
    sizes = [[55, 30], [105, 205]]
    assert make_counts("balanced", sizes, "ab", "xy", validation=5).counts.tolist() == [[20, 20], [20, 20]]
    assert make_counts("balanced", sizes, "ab", "xy", validation=5, per_cell=7).counts.tolist() == [[7, 7], [7, 7]]
    assert make_counts("natural", sizes, "ab", "xy", validation=5).counts.tolist() == [[40, 20], [80, 160]]
    assert make_counts("natural", sizes, "ab", "xy", validation=5, test=0).counts.tolist() == [[50, 25], [100, 200]]


def test_more_than_a_cell_has_is_refused_by_name():
    with pytest.raises(DataError, match=r"balanced asks for 31 .*'a', class 'y' \(26 to train.* has 30"):
        make_counts("balanced", [[55, 30]], "a", "xy", validation=5, per_cell=26)
    with pytest.raises(DataError, match=r"'b', class 'x' has 5 images"):
        make_counts("TotalHeavyTail", [[50, 50], [5, 50]], "ab", "xy", validation=5)


def test_bad_requests():
    with pytest.raises(UsageError, match=r"'HeavyTail'.*TotalHeavyTail, Duality.*, natural"):
        make_counts("HeavyTail", [[9, 9]], "a", "xy", validation=1)
    with pytest.raises(UsageError, match=r"'d'.*c, test"):
        make_counts("TotalHeavyTail", [[9, 9]], "a", "xy", validation=1, d=3)
    for bad in ({"c": 1}, {"c": float("nan")}, {"test": 1}, {"test": -0.1}):
        with pytest.raises(UsageError, match="Expected"):
            make_counts("TotalHeavyTail", [[9, 9]], "a", "xy", validation=1, **bad)
    with pytest.raises(UsageError, match="-1"):
        make_counts("natural", [[9, 9]], "a", "xy", validation=-1)
    with pytest.raises(UsageError, match="images per cell"):
        make_counts("balanced", [[9, 9]], "a", "xy", validation=1, per_cell=-2)
    with pytest.raises(DataError, match="2 domains x 2 classes"):
        make_counts("natural", [[9, 9]], "ab", "xy", validation=1)
    with pytest.raises(DataError, match="two classes"):
        make_counts("TotalHeavyTail", [[9]], "a", "x", validation=1)
