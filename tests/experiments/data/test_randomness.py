from hypothesis import given
from hypothesis import strategies as st

from experiments.data.randomness import named_generator

NAMES = st.lists(st.text(max_size=4), max_size=3)


@given(st.integers(), NAMES, st.integers(), NAMES)
def test_streams_agree_exactly_when_seed_and_names_do(seed, names, other_seed, other_names):
    same = named_generator(seed, *names).integers(1 << 62) == named_generator(other_seed, *other_names).integers(
        1 << 62
    )
    assert same == ((seed, names) == (other_seed, other_names))


def test_names_do_not_run_together():
    assert named_generator(0, "a", "bc").random() != named_generator(0, "ab", "c").random()


def test_the_stream_is_the_same_in_every_process():
    assert named_generator(7, "split", "photo", "dog").integers(0, 1000, 3).tolist() == [662, 376, 957]
