from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from geometry.atomic import plain
from geometry.bound.model_permutation import permute_models
from geometry.bound.predictive import CLUSTERS, joint_p_value, predictive
from geometry.bound.run_clusters import Clusters, codes
from geometry.bound.run_table import Runs, Term
from geometry.errors import DataError, UsageError
from geometry.significance import holm

SHAPE = (4, 2, 3, 6)  # domains, settings, seeds, models
DOMAIN, SETTING, SEED, MODEL = (grid.ravel() for grid in np.indices(SHAPE))


def errors(rng):
    """Target errors with effects of domain, split, model and their interactions: what runs have in common."""
    split = rng.normal(size=(4, 2))[DOMAIN, SETTING] + 0.3 * rng.normal(size=SHAPE[:3])[DOMAIN, SETTING, SEED]
    model = rng.normal(size=6)[MODEL] + 0.5 * rng.normal(size=(4, 6))[DOMAIN, MODEL]
    return 2 * rng.normal(size=4)[DOMAIN] + split + model + 0.3 * rng.normal(size=DOMAIN.size)


def table(terms, outcome, **changes):
    runs = Runs(
        held_out=tuple(f"d{d}" for d in DOMAIN),
        setting=tuple(f"s{s}" for s in SETTING),
        model=tuple(f"m{m}" for m in MODEL),
        seed=tuple(map(int, SEED)),
        terms=tuple(terms),
        outcomes={"error": outcome},
    )
    return replace(runs, **changes)


def one(values, outcome, **options):
    return predictive(table([Term("term", values)], outcome), resamples=100, **options).associations[0]


RNG = np.random.default_rng(0)
ERROR = errors(RNG)
NOISY = ERROR + 0.5 * RNG.normal(size=ERROR.size)


def test_a_planted_predictor_is_found_among_random_ones():
    rng = np.random.default_rng(5)
    terms = [Term(f"random {i}", errors(rng)) for i in range(8)] + [Term("planted", NOISY)]
    found = predictive(table(terms, ERROR), resamples=999).associations
    assert found[0].term == "planted"
    assert found[0].p_holm < 0.05
    assert found[0].same_sign == 4
    assert found[0].within.low > 0.5
    assert all(other.p_holm > 0.05 for other in found[1:])


def test_within_is_the_mean_of_the_domains_own_correlations():
    found = one(NOISY, ERROR)
    alone = {f"d{d}": spearmanr(NOISY[d == DOMAIN], ERROR[d == DOMAIN]).statistic for d in range(4)}
    assert found.domains == pytest.approx(alone)
    assert found.within.estimate == pytest.approx(np.mean(list(alone.values())))
    assert found.pooled.estimate == pytest.approx(spearmanr(NOISY, ERROR).statistic)


def test_differences_between_domains_alone_are_no_prediction():
    between = ERROR.reshape(SHAPE).mean(axis=(1, 2, 3))[DOMAIN]
    found = one(between, ERROR)
    assert found.pooled.estimate > 0.5
    assert np.isnan(found.within.estimate)
    assert found.note == "constant inside every cluster"
    assert one(np.ones(ERROR.size), ERROR).note == "constant over the runs"


def test_seeds_as_clusters_are_more_and_say_what_for():
    of_splits = ERROR.reshape(SHAPE).mean(axis=3)[DOMAIN, SETTING, SEED]
    terms = [Term("term", NOISY), Term("of splits", of_splits)]
    found = predictive(table(terms, ERROR), clusters=CLUSTERS[1], resamples=50)
    assert found.num_clusters == 12
    untested = next(one for one in found.associations if one.term == "of splits")
    assert untested.p_domains < 0.05
    assert np.isnan(untested.p_value)  # 34 % of null studies would reject
    assert "nothing about other domains" in found.caution
    assert "4 clusters" in predictive(table([Term("term", NOISY)], ERROR), resamples=50).caution


def test_oracles_have_a_correction_and_a_place_of_their_own():
    terms = [Term("oracle", ERROR, "target labels", "it is the outcome"), Term("term", NOISY)]
    found = predictive(table(terms, ERROR), resamples=100).associations
    assert [a.oracle for a in found] == [False, True]
    assert found[0].p_holm == found[0].p_value  # one predictor: the oracle is not counted
    assert found[1].trivial == "it is the outcome"


def test_terms_that_rank_the_runs_alike_count_once():
    holes = np.where(DOMAIN == 3, np.nan, NOISY)
    terms = [Term("term", NOISY), Term("twice", 2 * NOISY + 1e-13), Term("oracle", NOISY, "target labels")]
    terms += [Term("noise", RNG.normal(size=ERROR.size)), Term("holes", holes)]
    found = {one.term: one for one in predictive(table(terms, ERROR), resamples=100).associations}
    assert [found[name].same_as for name in ("term", "twice", "oracle", "noise", "holes")] == ["", "term", "", "", ""]
    assert found["twice"].p_holm == found["term"].p_holm
    others = [found[name].p_value for name in ("term", "noise", "holes")]
    assert found["term"].p_holm == pytest.approx(holm(others)[0])


def test_partial_correlations_hold_one_thing_fixed():
    terms = [Term("risk", ERROR + 0.1 * RNG.normal(size=ERROR.size)), Term("copy", NOISY)]
    found = predictive(table(terms, ERROR, control="risk"), resamples=50).associations
    risk, copy = (next(a for a in found if a.term == name) for name in ("risk", "copy"))
    assert np.isnan(risk.partial["risk"].estimate)
    assert "held fixed" in risk.partial["risk"].method
    assert abs(copy.partial["risk"].estimate) < 0.5 < copy.within.estimate
    by_model = one(RNG.normal(size=6)[MODEL], ERROR)
    assert np.isnan(by_model.partial["model"].estimate)
    assert np.isfinite(by_model.partial["setting"].estimate)


def test_undefined_numbers_are_dropped_and_counted():
    holes = np.where(DOMAIN == 0, np.nan, NOISY)
    found = one(holes, ERROR)
    assert found.n == ERROR.size * 3 // 4
    assert np.isnan(found.domains["d0"])
    assert found.same_sign == 3
    assert one(np.full(ERROR.size, np.nan), ERROR).note == "no run has both numbers"
    assert one(np.where(MODEL == 0, np.inf, NOISY), ERROR).n == ERROR.size
    assert plain(found)["domains"]["d0"] is None


def test_too_few_runs_a_domain_describe_and_test_nothing():
    few = (SETTING == 0) & (SEED == 0) & (MODEL < 5)
    for kept, tested in ((few, False), (few | (SETTING == 1), True)):
        columns = {
            name: tuple(np.asarray(getattr(table([], ERROR), name))[kept].tolist())
            for name in ("held_out", "setting", "model", "seed")
        }
        columns |= {"terms": (Term("term", NOISY[kept]),), "outcomes": {"error": ERROR[kept]}}
        found = predictive(replace(table([], ERROR), **columns), resamples=50)
        association = found.associations[0]
        assert np.isfinite([association.within.estimate, association.within.low]).all()
        assert np.isfinite([association.p_domains, association.p_value, association.p_holm]).all() == tested
        assert ("fewer than 6 runs" in association.note) == ("fewer than 6 runs" in found.caution) != tested


def test_one_domain_describes_and_tests_nothing():
    runs = table([Term("term", NOISY)], ERROR, held_out=("sketch",) * ERROR.size)
    found = predictive(runs, resamples=50)
    assert np.isfinite(found.associations[0].within.estimate)
    assert np.isnan(found.associations[0].p_domains)
    assert found.caution.startswith("One cluster")


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**16))
def test_only_ranks_and_groups_matter(seed):
    rng = np.random.default_rng(seed)
    values, order = errors(rng), rng.permutation(ERROR.size)
    plain_one, bent = one(values, ERROR), one(np.exp(values / 3), ERROR)
    assert bent.within.estimate == pytest.approx(plain_one.within.estimate)
    assert bent.p_value == pytest.approx(plain_one.p_value, nan_ok=True)  # of the errors themselves: no scatter
    runs = table([Term("term", values[order])], ERROR[order])
    columns = {
        name: tuple(np.asarray(getattr(runs, name))[order].tolist())
        for name in ("held_out", "setting", "model", "seed")
    }
    shuffled = predictive(replace(runs, **columns), resamples=20).associations[0]
    assert shuffled.within.estimate == pytest.approx(plain_one.within.estimate)
    assert shuffled.models.statistic == pytest.approx(plain_one.models.statistic)


def test_false_positives_stay_at_the_level_though_runs_share_models_and_splits():
    nulls, wrong, naive, domains_alone = 200, {"model": 0, "both": 0, "split": 0}, 0, 0
    blocks = codes(list(zip(DOMAIN, SETTING, SEED, strict=True)))
    clusters = Clusters(DOMAIN, 20, np.random.default_rng(0), 0.95)
    for seed in range(nulls):
        rng = np.random.default_rng([seed, 1])
        outcome = errors(rng)
        terms = {
            "model": rng.normal(size=6)[MODEL] + 0.2 * rng.normal(size=DOMAIN.size),
            "both": errors(rng),
            "split": 2 * rng.normal(size=4)[DOMAIN] + rng.normal(size=SHAPE[:3])[DOMAIN, SETTING, SEED],
        }
        for name, values in terms.items():  # the two tests that decide, as `predictive` makes them
            _, p_domains = clusters.mean(clusters.correlations(values, outcome), np.bincount(DOMAIN), "")
            models = permute_models(
                values, outcome, blocks=blocks, cells=DOMAIN, models=MODEL, permutations=200, rng=rng
            )
            wrong[name] += joint_p_value(p_domains, models) < 0.05
            naive += name == "model" and spearmanr(values, outcome).pvalue < 0.05
            domains_alone += name == "model" and p_domains < 0.05
    most = 0.05 * nulls + 2.6 * np.sqrt(0.05 * 0.95 * nulls)
    assert all(count <= most for count in wrong.values()), wrong
    assert naive > 2 * most  # what treating runs as independent would do
    assert domains_alone > most  # and what forgetting that the models are the same would


def test_bad_input_is_one_sentence():
    runs = table([Term("term", NOISY)], ERROR)
    with pytest.raises(UsageError, match="Unknown clusters"):
        predictive(runs, clusters="runs")
    with pytest.raises(UsageError, match="20 resamples"):
        predictive(runs, resamples=5)
    with pytest.raises(DataError, match="one length"):
        table([Term("term", NOISY[:3])], ERROR)
    with pytest.raises(DataError, match="every term once"):
        table([Term("term", NOISY)] * 2, ERROR)
    single = Runs(("d",), ("s",), ("m",), (0,), (Term("term", NOISY[:1]),), {"error": ERROR[:1]})
    with pytest.raises(DataError, match="two runs"):
        predictive(single)
