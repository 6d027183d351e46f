import pytest

from experiments.data.datasets import KNOWN, LAYOUTS, open_dataset
from geometry.errors import DataError, UsageError


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_a_benchmark_opens_from_its_folder_and_from_the_one_above(name, make_tree, tmp_path):
    layout = LAYOUTS[name]
    inner = make_tree({domain: {"dog": 1, "cat": 2} for domain in layout.domains}, root=tmp_path / layout.folder)
    for root in (inner, tmp_path):
        data = open_dataset(name.lower(), root)
        assert data.name == name
        assert data.domains == tuple(sorted(layout.domains))
        assert data.sizes.tolist() == [[2, 1]] * len(layout.domains)


def test_a_benchmark_without_one_of_its_domains_is_refused(make_tree):
    root = make_tree({"art_painting": {"dog": 1}, "photo": {"dog": 1}})
    with pytest.raises(DataError, match="cartoon"):
        open_dataset("PACS", root)


def test_another_name_reads_the_tree(make_tree):
    data = open_dataset("mine", make_tree({"x": {"a": 1}, "y": {"a": 1}}))
    assert (data.name, data.domains) == ("mine", ("x", "y"))


def test_names_without_a_root():
    with pytest.raises(UsageError) as error:
        open_dataset("pascs")
    assert all(name in str(error.value) for name in KNOWN)
    with pytest.raises(UsageError, match="office_home/"):
        open_dataset("OfficeHome")


def test_the_embedded_digits_need_no_root(digit_cache):
    assert open_dataset("digits").domains == ("mnist", "optdigits", "printed", "textured")
