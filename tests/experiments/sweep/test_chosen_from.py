"""A search's choices, run again with more seeds: the draw that was best on source validation, place by place."""

import csv
import json

import pytest

from experiments.sweep.driver import run_sweep
from experiments.sweep.plan import plan
from experiments.sweep.results import write_results
from experiments.sweep.spec import parse_spec
from experiments.sweep.status import outcomes
from geometry.errors import DataError, UsageError


@pytest.fixture
def search(given, tmp_path):
    """A finished search of three draws with one seed, on two held-out domains."""
    given = given | {"seeds": 1, "draws": 3, "search": {"lr": {"log_uniform": [1e-5, 1e-1]}}}
    given["datasets"][0]["held_out"] = ["day", "night"]
    spec, out = parse_spec(given), tmp_path / "search"
    run_sweep(spec, plan(spec), out, workers=1)
    return given, out


def spaceless(given):
    """The values of a search's spec without what makes it one."""
    return {name: value for name, value in given.items() if name not in ("draws", "search")}


def test_draws_and_ranges_are_the_searchs_own(search):
    given, out = search
    for name in ("draws", "search"):
        with pytest.raises(UsageError, match=f"Expected {name} or chosen_from"):
            parse_spec(spaceless(given) | {name: given[name], "chosen_from": str(out)})


def test_every_seed_runs_the_draw_that_was_best_on_validation(search):
    given, out = search
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    jobs = plan(parse_spec(spaceless(given) | {"chosen_from": str(out), "seeds": 4}))
    assert len(jobs) == 2 * 2 * 4
    for job in jobs:
        rivals = [row for row in rows if (row["held_out"], row["variant"]) == (job.held_out, job.variant)]
        best = max(rivals, key=lambda row: (float(row["validation_balanced_accuracy"]), -int(row["draw"])))
        assert len(rivals) == 3
        assert job.config.optim.lr == json.loads(best["train"])["lr"]
        assert {**job.config.optim.options} == json.loads(best["options"])


def test_an_unfinished_search_or_a_row_it_does_not_have_is_refused(search, tmp_path):
    given, out = search
    with pytest.raises(DataError, match="finished search"):
        plan(parse_spec(spaceless(given) | {"chosen_from": str(unfinished(given, tmp_path))}))
    more = spaceless(given) | {"chosen_from": str(out), "algorithms": ["erm", "focal"]}
    with pytest.raises(DataError, match="focal in the search"):
        plan(parse_spec(more))
    with pytest.raises(UsageError, match="got both"):
        parse_spec(given | {"chosen_from": str(out)})
    with pytest.raises(DataError, match="nowhere"):
        plan(parse_spec(spaceless(given) | {"chosen_from": str(tmp_path / "nowhere")}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train": {"steps": 40}}, "Expected steps 20 for erm, as in the search"),
        ({"train": {"lr": 0.5}}, "Expected lr 0.01 for erm, as in the search"),
        ({"algorithms": [{"algorithm": "ndcl", "options": {"alpha": 0.7}}]}, "Expected alpha 0.3 for ndcl"),
    ],
)
def test_what_the_choice_would_replace_without_a_word_is_refused(search, changed, said):
    given, out = search
    given = spaceless(given) | {"chosen_from": str(out)}
    changed = {name: given[name] | part if name == "train" else part for name, part in changed.items()}
    with pytest.raises(UsageError, match=said):
        plan(parse_spec(given | changed))


def test_what_no_search_decides_may_differ(search):
    given, out = search
    given["train"] |= {"checkpoint_every": 10, "log_every": 20}
    jobs = plan(parse_spec(spaceless(given) | {"chosen_from": str(out)}))
    assert {job.config.optim.checkpoint_every for job in jobs} == {10}


def unfinished(given, tmp_path):
    """The same search with one algorithm more, of which nothing was run."""
    spec, out = parse_spec(given | {"algorithms": ["erm"]}), tmp_path / "part"
    jobs = plan(spec)
    run_sweep(spec, jobs[:1], out, workers=1)
    write_results(out, spec, jobs, outcomes(jobs, out / "runs"), {})
    return out
