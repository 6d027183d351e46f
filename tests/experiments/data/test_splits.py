import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.catalogue import Catalogue
from experiments.data.imbalance import CountTable
from experiments.data.settings import make_counts
from experiments.data.splits import PARTS, make_split
from geometry.errors import DataError, UsageError

SIZES = {("a", "x"): 20, ("a", "y"): 9, ("b", "x"): 12, ("b", "y"): 30, ("c", "x"): 1, ("c", "y"): 17}


def catalogue(sizes):
    domains, classes = (tuple(sorted({cell[i] for cell in sizes})) for i in (0, 1))
    rows = [
        (d, k, f"{domain}/{cls}/{i}.png")
        for d, domain in enumerate(domains)
        for k, cls in enumerate(classes)
        for i in range(sizes.get((domain, cls), 0))
    ]
    domain, label = np.array([row[:2] for row in rows], dtype=np.int64).T
    return Catalogue("toy", Path("."), domains, classes, tuple(row[2] for row in rows), domain, label)


def split(sizes=SIZES, held_out="c", validation=2, seed=0):
    data = catalogue(sizes)
    sources = [m for m, name in enumerate(data.domains) if name != held_out]
    names = [data.domains[m] for m in sources]
    table = make_counts("natural", data.sizes[sources], names, data.classes, validation=validation)
    return make_split(data, table, held_out, validation=validation, seed=seed)


@given(st.integers(0, 5), st.sampled_from(["a", "b", "c", None]))
def test_parts_are_disjoint_exhaustive_and_as_asked(seed, held_out):
    sizes = SIZES | {("c", "x"): 4}
    result = split(sizes, held_out=held_out, seed=seed)
    parts = [result.indices(part) for part in PARTS]
    assert sorted(np.concatenate(parts)) == list(range(len(result.catalogue)))
    sources = [m for m, name in enumerate(result.catalogue.domains) if name != held_out]
    np.testing.assert_array_equal(result.counts("train")[sources], result.table.counts)
    assert (result.counts("validation")[sources] == 2).all()
    if held_out is not None:
        target = result.catalogue.domain_position(held_out)
        unused = np.floor(0.2 * result.catalogue.sizes[target] + 1e-9)
        np.testing.assert_array_equal(result.counts("target_unused")[target], unused)
        assert (result.counts("target")[target] == result.catalogue.sizes[target] - unused).all()
        assert result.counts("target").sum() == result.counts("target")[target].sum()
    assert sum(result.sizes.values()) == len(result.catalogue)
    np.testing.assert_array_equal(
        result.indices("train", "b"), [i for i in result.indices("train") if result.catalogue.domain[i] == 1]
    )


def test_a_single_image_of_the_target_is_kept():
    assert split().counts("target")[2].tolist() == [1, 14]


def assignment(result):
    return dict(zip(result.catalogue.paths, result.part, strict=True))


def test_seeded():
    assert assignment(split(seed=1)) == assignment(split(seed=1))
    assert split(seed=1).digest == split(seed=1).digest
    assert split(seed=1).digest != split(seed=2).digest


def test_another_domain_or_class_elsewhere_moves_nothing():
    before = assignment(split())
    more = SIZES | {
        ("a", "aa"): 8,
        ("b", "aa"): 8,
        ("c", "aa"): 8,
        ("_first", "x"): 7,
        ("_first", "y"): 7,
        ("_first", "aa"): 7,
    }
    after = assignment(split(more))
    assert before == {path: after[path] for path in before}


def test_domains_of_the_table_may_come_in_any_order():
    data = catalogue(SIZES)
    table = CountTable("mine", ("b", "a"), ("x", "y"), np.array([[1, 2], [3, 4]]))
    result = make_split(data, table, "c", validation=1)
    assert result.counts("train").tolist() == [[3, 4], [1, 2], [0, 0]]
    assert result.sources == ("a", "b")


def test_what_does_not_fit_is_refused():
    data = catalogue(SIZES)

    def table(counts=((1, 1), (1, 1)), domains=("a", "b"), classes=("x", "y")):
        return CountTable("mine", domains, classes, np.array(counts))

    with pytest.raises(UsageError, match=r"'d'.*a, b, c"):
        make_split(data, table(), "d", validation=1)
    with pytest.raises(DataError, match="source domains a, c"):
        make_split(data, table(), "b", validation=1)
    with pytest.raises(DataError, match="classes"):
        make_split(data, table(classes=("y", "x")), "c", validation=1)
    with pytest.raises(DataError, match=r"asks for 10 .*'a', class 'y'"):
        make_split(data, table([[1, 8], [1, 1]]), "c", validation=2)
    with pytest.raises(UsageError, match="-1"):
        make_split(data, table(), "c", validation=-1)


def test_saved_and_described(tmp_path):
    result = split()
    result.save_csv(tmp_path / "split.csv")
    with (tmp_path / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(result.catalogue.paths)
    assert [PARTS.index(row["split"]) for row in rows] == result.part.tolist()
    assert rows[0]["domain"] == "a"
    manifest = result.to_manifest()
    assert manifest["sha256"] == result.digest
    assert manifest["sizes"]["validation"] == 8


def test_the_table_shows_every_count():
    lines = split().format_table().splitlines()
    assert lines[0].split() == ["domain", "split", "x", "y", "total"]
    assert ["a", "train", "14", "5", "19"] in [line.split() for line in lines]
    assert ["c", "target", "1", "14", "15"] in [line.split() for line in lines]
    assert len({len(line) for line in lines}) == 1


def test_many_classes_are_summarised():
    sizes = {(domain, f"{k:02d}"): 10 + k for domain in "ab" for k in range(20)}
    lines = split(sizes, held_out="b").format_table().splitlines()
    assert lines[0].split() == ["domain", "split", "classes", "min", "median", "max", "total"]
    counts = [int(0.8 * (8 + k) + 1e-9) for k in range(20)]
    expected = ["a", "train", "20", str(min(counts)), f"{np.median(counts):g}", str(max(counts)), str(sum(counts))]
    assert lines[1].split() == expected
