"""Plans: the whole grid, draws that are repeatable, names that follow the configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.origin import config_digest
from experiments.sweep.plan import held_out_domains, known_domains, plan, with_places
from experiments.sweep.spec import Source, parse_spec
from geometry.errors import UsageError

SEARCH = {"draws": 4, "search": {"lr": {"log_uniform": [1e-4, 1e-1]}, "batch_size": {"choice": [4, 8]}}}


def test_the_plan_is_the_whole_grid_and_every_run_has_a_name_of_its_own(given):
    given["datasets"][0] |= {"settings": ["balanced", "natural"], "held_out": "all"}
    jobs = plan(parse_spec(given))
    assert len(jobs) == 2 * 3 * 2 * 2
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.held_out for job in jobs} == {"day", "dusk", "night"}
    for job in jobs:
        assert job.config.data.test_domain == job.held_out
        assert job.config.data.setting == job.setting
        assert job.config.data.seed == job.seed
        assert job.digest == config_digest(job.config)
        assert job.config.optim.algorithm == job.algorithm


def test_jobs_on_one_split_follow_each_other(given):
    jobs = plan(parse_spec(given))
    assert [(job.seed, job.variant) for job in jobs] == [(0, "erm"), (0, "ndcl"), (1, "erm"), (1, "ndcl")]


def values(jobs, **chosen):
    """The drawn values of the chosen jobs, by draw."""
    found = [job for job in jobs if all(getattr(job, name) == value for name, value in chosen.items())]
    return {
        job.draw: (job.config.optim.lr, job.config.optim.batch_size, tuple(sorted(job.config.optim.options.items())))
        for job in found
    }


def test_draw_0_is_the_defaults_and_the_others_lie_in_their_ranges(given):
    jobs = plan(parse_spec(given | SEARCH))
    found = values(jobs, variant="erm", seed=0)
    assert sorted(found) == [0, 1, 2, 3]
    assert found[0] == (0.01, 4, ())
    assert all(1e-4 <= found[draw][0] <= 1e-1 and found[draw][1] in (4, 8) for draw in (1, 2, 3))
    assert len(set(found.values())) == 4


def test_draws_are_repeatable_and_differ_along_the_named_axes_alone(given):
    given["datasets"][0]["held_out"] = ["day", "night"]
    jobs = plan(parse_spec(given | SEARCH))
    assert plan(parse_spec(given | SEARCH)) == jobs
    by_domain = [values(jobs, variant="erm", seed=0, held_out=name) for name in ("day", "night")]
    by_seed = [values(jobs, variant="erm", seed=seed, held_out="day") for seed in (0, 1)]
    assert by_domain[0] == by_domain[1]
    assert by_seed[0][0] == by_seed[1][0]
    assert by_seed[0][1] != by_seed[1][1]
    same = plan(parse_spec(given | SEARCH | {"draws_differ_by": ["held_out"]}))
    assert values(same, variant="erm", seed=0, held_out="day") == values(same, variant="erm", seed=1, held_out="day")
    assert values(same, variant="erm", seed=0, held_out="day") != values(same, variant="erm", seed=0, held_out="night")
    other = plan(parse_spec(given | SEARCH | {"draw_seed": 1}))
    assert values(other, variant="erm", seed=0, held_out="day") != by_seed[0]


def test_a_new_range_moves_no_other_parameter(given):
    before = values(plan(parse_spec(given | SEARCH)), variant="erm", seed=0)
    wider = {**SEARCH, "search": {**SEARCH["search"], "weight_decay": {"log_uniform": [1e-6, 1e-2]}}}
    assert values(plan(parse_spec(given | wider)), variant="erm", seed=0) == before


def test_more_draws_keep_the_runs_of_fewer(given):
    fewer, more = plan(parse_spec(given | SEARCH)), plan(parse_spec(given | SEARCH | {"draws": 6}))
    assert {job.digest for job in fewer} < {job.digest for job in more}


def test_an_algorithm_is_searched_over_its_own_ranges_unless_the_spec_says_otherwise(given):
    given["algorithms"] = [
        "ndcl",
        {"algorithm": "ndcl", "name": "fixed", "options": {"alpha": 0.5}},
        {"algorithm": "ndcl", "name": "off", "search": {"alpha": None}},
        {"algorithm": "ndcl", "name": "narrow", "search": {"alpha": {"uniform": [0.2, 0.21]}}},
    ]
    jobs = plan(parse_spec(given | {"draws": 4}))
    alphas = {
        name: [dict(options)["alpha"] for _, _, options in values(jobs, variant=name, seed=0).values() if options]
        for name in ("ndcl", "fixed", "off", "narrow")
        if name != "off"
    }
    assert len(set(alphas["ndcl"])) == 3
    assert all(1e-3 <= alpha <= 1 for alpha in alphas["ndcl"])
    assert set(alphas["fixed"]) == {0.5}
    assert all(0.2 <= alpha <= 0.21 for alpha in alphas["narrow"])
    assert all("alpha" not in dict(options) for _, _, options in values(jobs, variant="off", seed=0).values())


def test_a_variant_without_ranges_has_its_defaults_alone(given):
    jobs = plan(parse_spec(given | {"draws": 5, "algorithms": ["erm"]}))
    assert [job.draw for job in jobs] == [0, 0]


def test_the_device_does_not_change_a_run(given):
    job = plan(parse_spec(given))[0]
    assert config_digest(replace(job.config, optim=replace(job.config.optim, device="auto"))) == job.digest


def test_places_of_this_machine(given, features):
    spec = parse_spec(given)
    assert with_places(spec, Path("elsewhere"), None).sources[0].features == Path("elsewhere")
    images = with_places(spec, None, Path("root")).sources[0]
    assert images.features is None
    assert images.data["data"] == Path("root")
    assert known_domains(spec.sources[0]) == ("day", "dusk", "night")


def test_a_held_out_domain_is_known_by_name_before_any_data_are_opened():
    for dataset, known in (("digits", "mnist"), ("PACS", "sketch")):
        source = Source({"dataset": dataset}, None, ({"setting": "balanced"},), ("noon",))
        with pytest.raises(UsageError, match=f"Unknown domain 'noon' of {dataset}; known: .*{known}"):
            held_out_domains(source)


def test_label_budgets_are_settings_of_their_own(given):
    given["datasets"][0] |= {"settings": ["balanced", {"setting": "balanced", "labels": 2}], "labels": 1}
    jobs = plan(parse_spec(given))
    assert {job.setting: job.config.data.labels for job in jobs} == {"balanced, 1 label": 1, "balanced, 2 labels": 2}
    assert len({job.name for job in jobs}) == len(jobs)
    del given["datasets"][0]["labels"]
    assert {job.setting for job in plan(parse_spec(given))} == {"balanced", "balanced, 2 labels"}
    given["datasets"][0]["settings"][1]["labels"] = "two"
    with pytest.raises(UsageError, match="whole number for settings: labels"):
        parse_spec(given)
