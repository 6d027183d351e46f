import numpy as np
import pytest

from experiments.data.imbalance import imbalance_ratio
from experiments.data.settings import make_counts
from experiments.data.settings.opposed import _duality, cross
from geometry.errors import DataError, UsageError

CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
PACS = {
    "art_painting": [379, 255, 285, 184, 201, 295, 449],
    "cartoon": [389, 457, 346, 135, 324, 288, 405],
    "photo": [189, 202, 182, 186, 199, 280, 432],
    "sketch": [772, 740, 753, 608, 816, 80, 160],
}
# The count tables of the NDCL release, by held-out domain. Its 95 guitars are 0.8 x 120 = 96, floored after rounding.
CROSS = {
    "art_painting": {
        "cartoon": [53, 353, 20, 2, 9, 4, 159],
        "photo": [26, 26, 26, 26, 26, 26, 26],
        "sketch": [12, 3, 27, 474, 71, 52, 6],
    },
    "cartoon": {
        "art_painting": [156, 9, 20, 2, 4, 52, 347],
        "photo": [29, 29, 29, 29, 29, 29, 29],
        "sketch": [6, 71, 27, 474, 214, 12, 3],
    },
    "photo": {
        "art_painting": [26, 26, 26, 26, 26, 26, 26],
        "cartoon": [53, 353, 20, 2, 9, 4, 159],
        "sketch": [12, 3, 27, 474, 71, 52, 6],
    },
    "sketch": {
        "art_painting": [156, 9, 20, 2, 4, 52, 347],
        "cartoon": [1, 14, 5, 96, 43, 2, 1],
        "photo": [16, 16, 16, 16, 16, 16, 16],
    },
}
# The same for Duality, with the two numbers that were drawn for each.
DUALITY = {
    "art_painting": (
        40,
        0.566,
        {"cartoon": [29, 5, 197, 89, 11, 2, 1], "photo": [8, 50, 2, 4, 19, 150, 333], "sketch": [6] * 7},
    ),
    "cartoon": (
        43,
        0.6495,
        {"art_painting": [33, 5, 216, 101, 13, 3, 1], "photo": [8, 50, 2, 4, 19, 150, 333], "sketch": [7] * 7},
    ),
    "photo": (
        50,
        0.0195,
        {"art_painting": [156, 9, 20, 2, 4, 52, 347], "cartoon": [1, 5, 2, 35, 16, 1, 1], "sketch": [8] * 7},
    ),
    "sketch": (
        40,
        0.161,
        {"art_painting": [11, 1, 73, 33, 4, 1, 1], "cartoon": [6] * 7, "photo": [8, 50, 2, 4, 19, 150, 333]},
    ),
}


def sources(held_out):
    return [domain for domain in PACS if domain != held_out]


def table(setting, held_out, seed=0, **parameters):
    names = sources(held_out)
    sizes = [PACS[domain] for domain in names]
    return make_counts(setting, sizes, names, CLASSES, validation=15, seed=seed, **parameters)


@pytest.mark.parametrize("held_out", PACS)
def test_cross_is_the_released_table(held_out):
    counts = table("Cross", held_out).counts
    np.testing.assert_array_equal(counts, [CROSS[held_out][domain] for domain in sources(held_out)])


@pytest.mark.parametrize("held_out", PACS)
def test_duality_is_the_released_table_given_its_draws(held_out):
    drawn, share, released = DUALITY[held_out]
    available = np.array([PACS[domain] for domain in sources(held_out)]) - 15
    counts = _duality(available, np.arange(7), c=3.0, test=0.2, drawn=drawn, share=lambda: share)
    np.testing.assert_array_equal(counts, [released[domain] for domain in sources(held_out)])


def test_pooled_imbalance_of_pacs():
    """7 to 9 under Cross and 133 to 198 under TotalHeavyTail; Duality's 9 to 16 depend on what is drawn."""
    for setting, least, most in (("Cross", 7, 9), ("TotalHeavyTail", 133, 198)):
        ratios = [imbalance_ratio(table(setting, held_out).counts).pooled for held_out in PACS]
        assert (round(min(ratios)), round(max(ratios))) == (least, most)
    ratios = [imbalance_ratio(table("Duality", held_out, seed).counts).pooled for held_out in PACS for seed in range(9)]
    assert 9 <= np.mean(ratios) <= 16


def test_duality_draws_from_its_seed():
    tables = [table("Duality", "photo", seed).counts for seed in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert any((tables[0] != other).any() for other in tables[2:])
    sketch = sources("photo").index("sketch")
    for counts in tables:
        assert len(set(counts[sketch])) == 1
        assert 40 <= counts[sketch].sum() < 50 + 7


@pytest.mark.parametrize("setting", ["Cross", "Duality"])
def test_counts_do_not_depend_on_the_order_of_the_columns(setting):
    order = np.random.default_rng(0).permutation(7)
    names = sources("photo")
    sizes = np.array([PACS[domain] for domain in names])
    shuffled = make_counts(setting, sizes[:, order], names, [CLASSES[k] for k in order], validation=15, seed=4)
    np.testing.assert_array_equal(shuffled.counts, table(setting, "photo", 4).counts[:, order])


@pytest.mark.parametrize("num_domains", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("setting", ["Cross", "Duality"])
def test_any_number_of_domains(setting, num_domains):
    rng = np.random.default_rng(num_domains)
    sizes = rng.integers(20, 400, (num_domains, 9))
    names = [f"d{m}" for m in range(num_domains)]
    counts = make_counts(setting, sizes, names, [f"c{k}" for k in range(9)], validation=5).counts
    assert (counts >= 1).all()
    assert (counts <= sizes - 5).all()


def test_tails_oppose_each_other():
    counts = cross(np.full((2, 5), 1000), np.arange(5), np.random.default_rng(0))
    np.testing.assert_array_equal(counts[0], counts[1][::-1])
    assert counts[0].max() == 800


@pytest.mark.parametrize("setting", ["Cross", "Duality"])
def test_one_source_domain_is_refused(setting):
    with pytest.raises(DataError, match="at least 2 source domains"):
        make_counts(setting, [PACS["photo"]], ["photo"], CLASSES, validation=15)


def test_parameters_out_of_range():
    with pytest.raises(UsageError, match="middle"):
        table("Cross", "photo", middle=0.0)
    with pytest.raises(UsageError, match="least"):
        table("Duality", "photo", least=50, most=40)
    with pytest.raises(UsageError, match="ratio"):
        table("exponential", "photo", ratio=0.5)


def test_exponential_in_every_domain():
    counts = make_counts("exponential", np.full((2, 5), 1000), ["a", "b"], "vwxyz", validation=0, ratio=100.0).counts
    np.testing.assert_array_equal(np.sort(counts[0])[::-1], [800, 252, 80, 25, 8])
    np.testing.assert_array_equal(counts[0], counts[1])
    shuffled = make_counts(
        "exponential", np.full((6, 5), 1000), list("abcdef"), "vwxyz", validation=0, ratio=100.0, shuffle=True
    ).counts
    assert len({tuple(row) for row in shuffled.tolist()}) > 1
    assert all(sorted(row) == sorted(counts[0].tolist()) for row in shuffled.tolist())
