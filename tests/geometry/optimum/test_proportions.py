import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.optimum import class_proportions


def test_counts_and_text_and_proportions_agree():
    expected = np.array([500, 50, 5]) / 555
    for given in ([500, 50, 5], "500,50,5", "500, 50, 5,", expected, np.array([1000, 100, 10], dtype=np.float32)):
        np.testing.assert_allclose(class_proportions(given), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("500,many,5", "one number per class"),
        (["a", "b"], "one number per class"),
        ([1, [2, 3]], "one number per class"),
        ("", "at least two classes"),
        ([], "at least two classes"),
        ([3], "at least two classes"),
        ([1, -2, 3], "class 1 has -2"),
        ([1, float("nan")], "finite .* class 1 has nan"),
        ([float("inf"), 1], "class 0 has inf"),
        ([1, 0, 2], "Class 1 has count 0 .* drop it"),
        ([[1, 2], [3, 4]], "shape"),
        (None, "Expected"),
    ],
)
def test_bad_input_is_one_clear_sentence(given, message):
    with pytest.raises(UsageError, match=message):
        class_proportions(given)


def test_proportions_that_must_sum_to_one():
    assert class_proportions(".9,.09,.01", must_sum_to_one=True).sum() == pytest.approx(1.0)
    with pytest.raises(UsageError, match=r"sum to 1, got 1\.2"):
        class_proportions([0.9, 0.3], must_sum_to_one=True)
