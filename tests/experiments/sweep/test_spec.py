"""Specs: what is read, and one sentence for what cannot be."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

import experiments
from experiments.algorithms.search import Choice, LogUniform, Uniform
from experiments.sweep.plan import plan
from experiments.sweep.ranges import parse_range
from experiments.sweep.spec import parse_spec, read_spec
from geometry.errors import DataError, UsageError

READY = sorted((Path(experiments.__file__).parent / "sweeps").glob("*.yaml"))


def changed(given, *keys, value):
    """A copy with one entry replaced."""
    copy = deepcopy(given)
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return copy


def test_a_spec_is_read_whole(given):
    spec = parse_spec(given, name="grid")
    assert spec.name == "grid"
    assert spec.seeds == (0, 1)
    assert [variant.name for variant in spec.variants] == ["erm", "ndcl"]
    assert spec.variants[1].options == {"alpha": 0.3}
    assert spec.sources[0].settings[0] == {"setting": "exponential", "setting_options": ("ratio=5",)}
    assert parse_spec(given | {"seeds": [3, 1]}).seeds == (3, 1)


def test_numbers_are_read_as_people_write_them(write_spec, features):
    spec = read_spec(
        write_spec(
            f"datasets: [{{dataset: small, features: {features}, settings: [balanced]}}]\n"
            "algorithms: [erm]\ntrain: {lr: 1e-3, weight_decay: 1E-05}\nsearch: {lr: {log_uniform: [1e-5, .1]}}\n"
        )
    )
    assert spec.train == {"lr": 1e-3, "weight_decay": 1e-5}
    assert spec.search == {"lr": LogUniform(1e-5, 0.1)}


BAD = [
    (("seedz",), 3, "Unknown key 'seedz' in the spec"),
    (("algorithms",), [], "list of one or more under algorithms"),
    (("algorithms",), [{"options": {}}], "algorithm: NAME"),
    (("algorithms",), ["erm", "erm"], "'erm' twice"),
    (("algorithms",), ["nope"], "Unknown algorithm 'nope'"),
    (("algorithms",), [{"algorithm": "ndcl", "options": {"gamma": 1}}], "Unknown option 'gamma'"),
    (("algorithms",), [{"algorithm": "ndcl", "options": {"rho": -1}}], "rho"),
    (("algorithms",), [{"algorithm": "ndcl", "trian": {}}], "Unknown key 'trian' in algorithms"),
    (("datasets",), {"dataset": "PACS"}, "list of one or more under datasets"),
    (("datasets", 0, "settings"), ["nope"], "Unknown setting 'nope'"),
    (("datasets", 0, "settings"), ["nowhere.csv"], "nowhere.csv"),
    (("datasets", 0, "held_out"), ["noon"], "Unknown domain 'noon'"),
    (("datasets", 0, "validation"), 1.5, "whole number"),
    (("train", "steps"), "many", "number for train: steps"),
    (("train", "steps"), 0, "--steps"),
    (("train", "optimizer"), "nope", "--optimizer"),
    (("train", "algorithm"), "erm", "Unknown key 'algorithm'"),
    (("train",), [1], "mapping"),
    (("seeds",), 0, "seeds"),
    (("seeds",), [1, 1], "every seed once"),
    (("seeds",), True, "seeds"),
    (("draws",), 0, "draws"),
    (("draws_differ_by",), ["moon"], "draws_differ_by"),
    (("keep",), ["all"], "keep"),
    (("model",), {"backbone": "nope"}, "small_cnn"),
    (("resources",), {"tpus": 1}, "Unknown key 'tpus'"),
    (("search",), {"lr": {"log_uniform": [0, 1]}}, "search range of lr"),
    (("search",), {"lr": [1e-3, 1e-2]}, "search range of lr"),
]


@pytest.mark.parametrize(("keys", "value", "said"), BAD)
def test_a_bad_spec_gets_one_sentence(given, keys, value, said):
    with pytest.raises((UsageError, DataError), match=r"^[A-Z].*\.$") as caught:
        plan(parse_spec(changed(given, *keys, value=value)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_search_parameter_is_named(given):
    spec = parse_spec(given | {"search": {"alhpa": {"uniform": [0, 1]}}, "draws": 2})
    with pytest.raises(UsageError, match="Unknown parameter 'alhpa' in the search of erm"):
        plan(spec)


@pytest.mark.parametrize("text", ["a: [", "seeds: 1\nseeds: 2\n", "- 1\n", ""])
def test_a_file_that_is_no_spec_is_named(write_spec, text):
    with pytest.raises((UsageError, DataError), match=r"grid\.yaml|twice"):
        read_spec(write_spec(text))


def test_a_missing_spec_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.yaml"):
        read_spec(tmp_path / "none.yaml")


def test_ranges():
    assert parse_range("a", {"log_uniform": [8, 45], "whole": True}) == LogUniform(8, 45, whole=True)
    assert parse_range("a", {"whole": True, "uniform": [1, 9]}) == Uniform(1, 9, whole=True)
    assert parse_range("a", {"uniform": [-1, 1]}) == Uniform(-1, 1)
    assert parse_range("a", {"choice": ["x", 2]}) == Choice(("x", 2))


NO_RANGES = [
    None,
    3,
    {},
    {"normal": [0, 1]},
    {"uniform": [1, 0]},
    {"uniform": [0]},
    {"uniform": [0, float("inf")]},
    {"uniform": ["a", "b"]},
    {"uniform": [True, 2]},
    {"uniform": [0, 1], "log_uniform": [1, 2]},
    {"uniform": [0, 1], "whole": 1},
    {"choice": []},
    {"choice": [[1]]},
    {"choice": [1], "whole": True},
]


@pytest.mark.parametrize("given", NO_RANGES)
def test_what_is_no_range(given):
    with pytest.raises(UsageError, match="search range of beta"):
        parse_range("beta", given)


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_ready_specs_can_be_planned(path):
    spec = read_spec(path)
    jobs = plan(replace(spec, seeds=spec.seeds[:1], draws=min(spec.draws, 3), chosen_from=None))
    assert len(jobs) > 1
    assert len({job.name for job in jobs}) == len({job.digest for job in jobs})


def test_there_are_ready_specs():
    assert {path.stem for path in READY} == {
        "cifar100_lt",
        "cifar100_lt_short",
        "digits",
        "digits_findings",
        "digits_lt_ecl",
        "digits_ssdg",
        "ndcl_ablation",
        "pacs_checks",
        "pacs_finetune",
        "pacs_frozen",
        "pacs_frozen_chosen",
        "pacs_frozen_search",
        "pacs_heavy_tail",
        "pacs_ssdg",
    }
