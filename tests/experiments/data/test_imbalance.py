import math

import numpy as np
import pytest

from experiments.data.imbalance import CountTable, imbalance_ratio, read_counts, save_counts
from geometry.errors import DataError, UsageError


def table(counts, **options):
    counts = np.array(counts, dtype=np.int64)
    domains, classes = (tuple("abcdef"[:n]) for n in counts.shape)
    return CountTable("test", domains, classes, counts, **options)


def test_ratios_are_over_present_classes():
    ratio = imbalance_ratio([[40, 0, 2, 0], [20, 0, 1, 3], [0, 0, 0, 0]])
    assert ratio.pooled == 20.0
    np.testing.assert_array_equal(ratio.per_domain, [20.0, 20.0, math.nan])
    assert (ratio.absent, ratio.absent_cells) == (1, 7)


def test_csv_round_trip(tmp_path):
    before = table([[3, 0], [10, 7]])
    before.to_csv(tmp_path / "counts.csv")
    after = read_counts(tmp_path / "counts.csv")
    assert list(after.rows()) == list(before.rows()) == [("a", "a", 3), ("a", "b", 0), ("b", "a", 10), ("b", "b", 7)]
    assert after.setting == "counts"


@pytest.mark.parametrize("name", ["counts.csv", "counts.yaml", "counts.yml"])
def test_every_form_is_read_back(tmp_path, name):
    before = table([[3, 0], [10, 7]], parameters={"c": 2}, seed=4)
    save_counts(before, tmp_path / name)
    after = read_counts(tmp_path / name, domains=["b", "a"], classes=["b", "a"])
    assert after.counts.tolist() == [[7, 10], [0, 3]]
    with pytest.raises(UsageError, match=r"\.csv or \.yaml"):
        save_counts(before, tmp_path / "counts.txt")


def test_the_wide_form_of_a_run(tmp_path):
    path = tmp_path / "GINIDG.csv"
    path.write_text("domain,dog,cat\nphoto,1,2\nsketch,3,4\n")
    read = read_counts(path, domains=["photo"], classes=["cat", "dog"], ignore=["sketch"])
    assert (read.setting, read.counts.tolist()) == ("GINIDG", [[2, 1]])
    path.write_text("domain,dog,cat\nphoto,1\n")
    with pytest.raises(DataError, match=r"line 2.*2 values"):
        read_counts(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1, 2]", "domain: {class: count}"), ("a: {x: -1}", "-1"), ("a: {x: true}", "True"), ("a: [", "as YAML")],
)
def test_bad_yaml_is_refused(tmp_path, text, message):
    (tmp_path / "counts.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_counts(tmp_path / "counts.yaml")


def test_the_data_sets_order_wins_over_the_files(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("Domain, Class ,count\nsketch,dog,1\nsketch,cat,2\n\nphoto,dog,3\nphoto,cat,4.0\n")
    read = read_counts(path, domains=["photo", "sketch"], classes=["cat", "dog"])
    assert read.counts.tolist() == [[4, 3], [2, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("domain,class,count\n", "none"),
        ("a,b,3\n", "header"),
        ("domain,class,count\na,b,-3\n", "'-3'"),
        ("domain,class,count\na,b,nan\n", "'nan'"),
        ("domain,class,count\na,b,inf\n", "'inf'"),
        ("domain,class,count\na,b,2.5\n", r"'2\.5'"),
        ("domain,class,count\na,b,many\n", "line 2.*'many'"),
        ("domain,class,count\na,b,\n", "line 2.*''"),
        ("domain,class,count\na,b\n", "line 2.*2 values"),
        ("domain,class,count\na,b,1\na,b,2\n", "second time"),
        ("domain,class,count\na,b,1\nc,d,2\n", "none for domain 'a', class 'd' and 1 more"),
        ("domain,class,count\na,b,0\n", "zero"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "counts.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_counts(path)


def test_files_that_are_no_table(tmp_path):
    with pytest.raises(DataError, match="found no file"):
        read_counts(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="Cannot read"):
        read_counts(tmp_path / "binary.csv")


def test_unknown_names_are_refused_with_the_known_ones(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("domain,class,count\nphoto,dog,1\n")
    with pytest.raises(DataError, match=r"'photo'.*sketch"):
        read_counts(path, domains=["sketch"], classes=["dog"])
    with pytest.raises(DataError, match=r"'dog'.*cat"):
        read_counts(path, domains=["photo"], classes=["cat"])


def test_asking_for_too_much_names_the_cell():
    counts = table([[3, 1], [5, 2]])
    counts.require_available([[5, 3], [7, 4]], validation=2)
    with pytest.raises(DataError, match=r"asks for 7 .*'b', class 'a' \(5 to train, 2 to validate\).* has 6"):
        counts.require_available([[5, 3], [6, 4]], validation=2)


def test_an_absent_cell_needs_no_validation_images_but_gives_none():
    table([[3, 0]]).require_available([[5, 0]], validation=2)
    with pytest.raises(DataError, match="class 'b'"):
        table([[3, 1]]).require_available([[5, 0]], validation=2)


def test_tables_that_make_no_sense():
    with pytest.raises(DataError, match="shape"):
        CountTable("test", ("a",), ("x",), np.ones((2, 1), dtype=np.int64))
    with pytest.raises(DataError, match=r"-1 .*'b', class 'a'"):
        table([[1, 1], [-1, 1]])
    with pytest.raises(DataError, match="at least one"):
        table([[0, 0]])
