import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.protocols import protocol, shot_thresholds, thirds
from experiments.data.settings import make_counts
from geometry.shots import ShotThresholds, shot_groups


def test_published_thresholds_and_their_exceptions():
    counts = [[100, 1]]
    assert shot_thresholds("PACS", "TotalHeavyTail", "sketch", counts) == ShotThresholds(120, 6)
    assert shot_thresholds("pacs", "Cross", "photo", counts) == ShotThresholds(160, 60)
    assert shot_thresholds("pacs", "Cross", "Sketch", counts) == ShotThresholds(120, 30)
    assert shot_thresholds("PACS", "Duality", "photo", counts) == ShotThresholds(100, 15)
    assert shot_thresholds("office_home", "TotalHeavyTail", "Art", counts) == ShotThresholds(30, 6)
    assert shot_thresholds("DomainNet", "Duality", "infograph", counts) == ShotThresholds(80, 25)


def test_validation_and_parameters():
    assert protocol("PACS", "GINIDG").validation == 25
    assert protocol("PACS", "TotalHeavyTail").validation == 15
    assert protocol("VLCS", "TotalHeavyTail").validation == 5
    assert protocol("digits", "balanced").validation == 15
    assert protocol("mine", "natural").validation == 5
    assert protocol("DomainNet", "TotalHeavyTail").parameters == {"c": 2.0}


@given(st.lists(st.lists(st.integers(0, 500), min_size=6, max_size=6), min_size=1, max_size=3))
def test_thirds_leave_no_group_empty(counts):
    sizes = np.unique(np.mean(counts, axis=0))
    groups = set(shot_groups(counts, thirds(counts)))
    if sizes.size >= 3:
        assert groups == {"many", "medium", "few"}
    elif sizes.size == 2:
        assert groups == {"many", "few"}
    else:
        assert groups == ({"many"} if sizes[0] >= 1 else groups)


@pytest.mark.parametrize("held_out", range(4))
def test_every_group_is_there_on_the_digits(digit_set, held_out):
    sources = [m for m in range(4) if m != held_out]
    names = [digit_set.domains[m] for m in sources]
    table = make_counts("TotalHeavyTail", digit_set.sizes[sources], names, digit_set.classes, validation=15)
    groups = shot_groups(
        table.counts, shot_thresholds("digits", "TotalHeavyTail", digit_set.domains[held_out], table.counts)
    )
    assert min(groups.count(group) for group in ("many", "medium", "few")) >= 2
