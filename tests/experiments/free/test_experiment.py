"""What losses of training want of free vectors."""

import numpy as np
import pytest
import torch

from experiments.free.experiment import free_optimum
from experiments.free.mixed import mixed_plan
from experiments.free.objectives import LOSSES, objective
from experiments.free.reached import geometry_of
from geometry.alignment import cosines
from geometry.errors import UsageError
from geometry.layer_peeled import layer_peeled
from geometry.optimum import solve

TAIL = (12, 6, 3, 2)


@pytest.mark.parametrize("loss", ["bcl", "ecl"])
def test_class_averaged_anchors_restore_the_simplex(loss):
    wanted = {
        how: free_optimum(loss, TAIL, starts=2, options={"tau": 0.5, "anchor_reduction": how})
        for how in ("class", "sample")
    }
    assert wanted["class"].verdict == "simplex"
    assert wanted["class"].value == pytest.approx(
        np.log1p(3 * np.exp(-4 / 3 / 0.5)), rel=1e-12
    )  # the bound of the proof
    assert wanted["sample"].verdict == "objective"
    assert wanted["sample"].simplex_value > wanted["sample"].value * 1.01
    assert wanted["sample"].agreeing == 2


def test_balanced_contrast_bound_holds_everywhere():
    # Ours: with class-averaged anchors no vectors have a loss below the simplex's, whatever the counts.
    # ECL's equal shares need two samples a class: alone, an anchor has only the prototype's half of its numerator.
    for loss, counts in (("bcl", (5, 2, 1)), ("ecl", (5, 3, 2))):
        goal = objective(loss, counts, dimension=3, options={"tau": 0.3, "anchor_reduction": "class"})
        rng, bound = np.random.default_rng(0), np.log1p(2 * np.exp(-1.5 / 0.3))
        for _ in range(200):
            shaken = goal.space.simplex + rng.choice([0.01, 0.3, 3.0]) * rng.normal(size=goal.space.spheres.size)
            assert float(goal.value(torch.from_numpy(goal.space.spheres.normalise(shaken)))) >= bound


def test_negatives_in_the_numerator_want_two_clusters_even_of_balanced_classes():
    found = free_optimum("ndcl", (5, 5, 5, 5), starts=3, options={"space": "vectors"})
    assert (found.geometry.rank, found.geometry.distinct) == (1, 2)
    assert found.verdict == "objective"
    # Per anchor: 4 positives at distance 0; of 15 negatives 10 are antipodal, 5 coincide.
    assert found.value == pytest.approx(np.log1p(4 / (10 * np.exp(2) + 5)), rel=1e-9)


def test_negatives_in_the_numerator_want_the_corners_of_predictions():
    found = free_optimum("ndcl", (6, 3, 2), starts=3, options={"radius": 20.0})
    assert found.verdict == "simplex"
    assert found.representation == "predictions"


def test_raw_dissimilarities_do_not_choose():
    found = free_optimum("ndcl", (6, 3, 2), starts=3, options={"dissimilarity": "raw", "space": "vectors"})
    assert found.verdict == "tie"
    assert found.value < 1e-12


def test_cross_entropy_reaches_the_layer_peeled_model():
    counts = (10, 10, 1, 1)
    found = free_optimum("ce", counts, starts=2)
    certified = layer_peeled(counts)
    assert found.value == pytest.approx(certified.value, rel=1e-9)
    np.testing.assert_allclose(found.geometry.gram, cosines(certified.embeddings, centre=True), atol=1e-5)
    assert found.errors["layer-peeled"] < 1e-5 < found.errors["etf"]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_runs_with_a_singleton_and_descends(loss):
    found = free_optimum(loss, (4, 2, 1), dimension=3, starts=1)
    goal = objective(loss, (4, 2, 1), dimension=3, options={})
    start = goal.space.start(np.random.default_rng(0))
    assert found.value <= float(goal.value(torch.from_numpy(start)))
    assert found.value <= found.simplex_value + 1e-9 * abs(found.simplex_value) or found.verdict == "search"
    assert set(found.options) == set(LOSSES[loss].defaults)


def test_too_few_dimensions_leave_no_room():
    found = free_optimum("supcon", TAIL, dimension=2, starts=1, options={"tau": 0.5})
    assert found.verdict == "no room"
    assert np.isnan(found.simplex_value)
    assert found.geometry.rank == 2
    assert free_optimum("infonce", TAIL, dimension=2, starts=1).program.value == pytest.approx(solve(TAIL).value)


def test_the_same_seed_gives_the_same_numbers():
    first, again = (free_optimum("supcon", TAIL, starts=2, seed=3, options={"tau": 0.5}) for _ in range(2))
    assert first.values == again.values


def test_geometry_of_known_vectors():
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = geometry_of(vectors, np.array([0, 0, 1]), centred=False)
    np.testing.assert_allclose(found.gram, np.eye(2), atol=1e-15)
    assert (found.cosine_mean, found.spread, found.rank, found.distinct) == (0.0, 0.0, 2, 2)
    assert found.deviation == pytest.approx(1.0)
    assert geometry_of(vectors, np.array([0, 0, 1]), centred=True).deviation == pytest.approx(0.0, abs=1e-12)


def test_mixtures_of_all_pairs():
    plan = mixed_plan(np.array([0, 0, 1]), "mixed", 0.25)
    inputs = torch.tensor([[1.0], [2.0], [10.0]], dtype=torch.float64)
    made = dict(zip(zip(plan.positive, plan.negative, strict=True), plan.mix(inputs).ravel().tolist(), strict=True))
    assert made == {(0, 2): 7.75, (1, 2): 8.0, (2, 0): 3.25, (2, 1): 4.0}
    with pytest.raises(UsageError, match="mixtures"):
        mixed_plan(np.repeat([0, 1], 400), "mixed", 0.5)


@pytest.mark.parametrize(
    ("loss", "counts", "arguments", "said"),
    [
        ("nope", (3, 2), {}, "infonce, lme"),
        ("bcl", (3, 2), {"options": {"nope": 1.0}}, "prototype_share"),
        ("ndcl", (3, 2), {"options": {"space": 5.0}}, "word"),
        ("ndcl", (3, 2), {"options": {"space": "feet"}}, "vectors or predictions"),
        ("ndcl", (3, 2), {"options": {"negatives": "few"}}, "real or mixed"),
        ("bcl", (3, 2), {"options": {"space": "predictions"}}, "prototypes"),
        ("focal", (3, 2), {"options": {"gamma": "much"}}, "number"),
        ("lme", (3, 2), {"options": {"collisions": 1.0}}, "true or false"),
        ("bcl", (3,), {}, "two classes"),
        ("bcl", (3, 0), {}, "a sample"),
        ("bcl", (3, 2), {"starts": 0}, "start"),
        ("bcl", (3, 2), {"dimension": 0}, "dimension"),
    ],
)
def test_bad_requests(loss, counts, arguments, said):
    with pytest.raises(UsageError, match=said):
        free_optimum(loss, counts, **arguments)
