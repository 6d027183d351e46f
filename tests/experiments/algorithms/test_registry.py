"""Options by name: defaults, types, words, and ranges to draw them from."""

from dataclasses import asdict, fields

import numpy as np
import pytest

from experiments.algorithms.registry import ALGORITHMS, resolve_options
from experiments.algorithms.search import FINE_TUNING, FROZEN_HEAD, Choice, LogUniform, Uniform
from experiments.config import OptimConfig
from geometry.errors import UsageError


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_defaults_resolve_to_themselves_and_are_plain(name):
    options = resolve_options(name, {})
    assert options == asdict(ALGORITHMS[name].Options())
    assert resolve_options(name, options) == options
    assert all(isinstance(value, float | int | str) for value in options.values())


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_drawn_option_is_one_the_algorithm_takes(name):
    search = ALGORITHMS[name].search
    assert set(search) <= {option.name for option in fields(ALGORITHMS[name].Options)}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        drawn = {key: search[key].draw(rng) for key in search}
        resolved = resolve_options(name, drawn)
        assert {key: resolved[key] for key in drawn} == drawn


def test_numbers_may_come_as_words_and_words_are_checked():
    assert resolve_options("ndcl", {"alpha": "0.5"})["alpha"] == 0.5
    assert resolve_options("ndcl", {"tau": 1})["tau"] == 1.0
    assert resolve_options("bcl", {"prototype_share": 0.25})["prototype_share"] == 0.25
    assert resolve_options("bcl", {"prototype_share": "equal"})["prototype_share"] == "equal"
    with pytest.raises(UsageError, match=r"Expected predictions, features or projections .* got 'space'\."):
        resolve_options("ndcl", {"contrast_space": "space"})
    with pytest.raises(UsageError, match=r"Expected a number, bcl or equal for option 'prototype_share'"):
        resolve_options("bcl", {"prototype_share": "half"})
    with pytest.raises(UsageError, match="Expected a number for option 'alpha' of ndcl, got 'much'"):
        resolve_options("ndcl", {"alpha": "much"})
    with pytest.raises(UsageError, match="Expected a number for option 'alpha' of ndcl, got True"):
        resolve_options("ndcl", {"alpha": True})
    with pytest.raises(UsageError, match="Unknown option 'gamma' of erm; known: none"):
        resolve_options("erm", {"gamma": 1})
    with pytest.raises(UsageError, match="Unknown algorithm 'armoury'"):
        resolve_options("armoury", {})
    assert resolve_options("pgrad", {"splits": "2"})["splits"] == 2
    for value in (1.5, "1.5", "some"):
        with pytest.raises(UsageError, match="Expected a whole number for option 'splits' of pgrad"):
            resolve_options("pgrad", {"splits": value})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ndcl", {"momentum": 1.0}),
        ("ndcl", {"tau": 0.0}),
        ("supcon", {"weight": -1.0}),
        ("bcl", {"prototype_share": 2.0}),
        ("bcl", {"weight": -1.0}),
        ("focal", {"gamma": -1.0}),
        ("ldam", {"scale": 0.0}),
        ("ldam", {"drw": 2.0}),
        ("mixup", {"alpha": 0.0}),
        ("coral", {"weight": -1.0}),
        ("reweight", {"beta": 1.0}),
        ("balanced_softmax", {"strength": -1.0}),
        ("logistic", {"strength": 0.0}),
        ("mmd", {"weight": -1.0}),
        ("causirl", {"weight": -1.0}),
        ("causirl", {"distance": "l2"}),
        ("dann", {"grad_penalty": -1.0}),
        ("dann", {"width": 0}),
        ("cdann", {"depth": 0}),
        ("tcri", {"weight": -1.0}),
        ("tcri", {"anneal": 2.0}),
        ("tcri", {"alpha": -1.0}),
        ("boda", {"temperature": 0.0}),
        ("boda", {"refresh": 0.0}),
        ("selfreg", {"alpha": 0.0}),
        ("ginidg", {"samples": 0}),
        ("ginidg", {"reconstruction": 1.5}),
        ("fish", {"meta_lr": 0}),
        ("fish", {"meta_lr": 1.5}),
        ("pgrad", {"splits": 0}),
        ("pgrad", {"outer_lr": 0}),
        ("mldg", {"beta": -1}),
        ("mldg", {"n_meta_test": 0}),
        ("mldg", {"order": "third"}),
        ("transfer", {"radius": -1}),
        ("rsc", {"feature_drop": 1.5}),
        ("sagnet", {"adversarial_weight": -1}),
        ("samaltdg", {"rho": -1}),
        ("samaltdg", {"balance": 2}),
        ("irm", {"weight": -1.0}),
        ("vrex", {"anneal": 1.5}),
        ("groupdro", {"eta": -1.0}),
        ("eqrm", {"quantile": 1.0}),
        ("eqrm", {"late_rate": 0.0}),
        ("rdm", {"variance_weight": -1.0}),
        ("fishr", {"ema": 1.0}),
        ("trm", {"eta": -1.0}),
        ("irm", {"estimate": "thirds"}),
        ("kcl", {"weight": -1.0}),
        ("kcl", {"positives": 1.5}),
        ("kcl", {"queue": 0}),
        ("kcl", {"momentum": 1.5}),
        ("paco", {"queue": 2.5}),
        ("paco", {"beta": 0}),
        ("paco", {"tau": 0}),
        ("proco", {"epochs": 0}),
        ("proco", {"weight": -1}),
        ("kcl", {"queue": "inf"}),
        ("kcl", {"positives": "inf"}),
        ("bcl", {"views": "inf"}),
        ("bcl", {"prototypes": "mlp"}),
        ("fixmatch", {"threshold": 1.5}),
        ("fixmatch", {"anneal": 1.5}),
        ("fixmatch", {"lambda_u": -1}),
        ("freematch", {"momentum": 2}),
        ("freematch", {"fairness": -1}),
        ("freematch", {"fixclr": -1}),
        ("fixmatch", {"fixclr_tau": 0}),
        ("fixmatch", {"fixclr_level": "class", "fixclr_other_domains": True}),
    ],
)
def test_options_outside_their_range_are_refused(name, options):
    with pytest.raises(UsageError, match="Expected"):
        resolve_options(name, options)


@pytest.mark.parametrize("ranges", [FINE_TUNING, FROZEN_HEAD])
def test_training_ranges_name_training_options(ranges):
    rng = np.random.default_rng(0)
    drawn = {key: ranges[key].draw(rng) for key in ranges}
    OptimConfig(**drawn)
    assert isinstance(drawn["batch_size"], int)


def test_draws_stay_inside_their_range():
    rng = np.random.default_rng(0)
    logs = np.log10([LogUniform(1e-3, 1.0).draw(rng) for _ in range(2000)])
    assert logs.min() >= -3
    assert logs.max() <= 0
    assert np.mean(logs) == pytest.approx(-1.5, abs=0.1)
    flat = np.array([Uniform(0.1, 0.3).draw(rng) for _ in range(2000)])
    assert flat.min() >= 0.1
    assert flat.max() <= 0.3
    assert np.mean(flat) == pytest.approx(0.2, abs=0.01)
    assert {Choice(("a", "b")).draw(rng) for _ in range(50)} == {"a", "b"}
    for broken in (lambda: LogUniform(0, 1), lambda: Uniform(1, 1), lambda: Choice(())):
        with pytest.raises(UsageError, match="Expected"):
            broken()
