"""Algorithms around a cosine classifier, whose logits are 30 cos and whose features have length one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

import experiments
from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.ldam import LDAM
from experiments.losses.ldam import ldam
from experiments.models import build_classifier
from experiments.sweep.plan import plan
from experiments.sweep.spec import read_spec
from geometry.errors import UsageError
from tests.experiments.algorithms.rivals import trained_backbone

COUNTS = np.array([[50, 20, 5, 2], [40, 30, 4, 1]])


def built(name, *, cosine=True, **options):
    model = build_classifier("features", 4, seed=2, num_inputs=6, cosine=cosine)
    return build_algorithm(name, model, TrainingSet(COUNTS, 10), options)


@pytest.fixture
def sixteen():
    inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    return Batch(inputs, torch.arange(16) % 4, torch.arange(16) // 8)


def test_ldam_at_scale_one_is_the_published_margin_on_cosines(sixteen):
    algorithm = built("ldam", scale=1, max_margin=15)
    rows, inputs = (normalize(part.detach(), dim=1) for part in (algorithm.model.class_rows, sixteen.inputs))
    counts = torch.as_tensor(COUNTS)[sixteen.domains].double()
    margins = 0.5 * (counts.amin(dim=1, keepdim=True) / counts) ** 0.25
    cosines = (inputs @ rows.T).double()
    expected = cross_entropy(30 * (cosines - margins * torch.eye(4)[sixteen.labels]), sixteen.labels)
    found = algorithm.terms(sixteen, np.random.default_rng(0))["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert found.item() == pytest.approx(ldam(cosines, sixteen.labels, margins, scale=30).item(), rel=1e-5)


@pytest.mark.parametrize("scale", [*LDAM.search["scale"].values, 2.0])
def test_ldam_refuses_to_scale_cosines_twice(scale):
    with pytest.raises(UsageError, match=rf"30 cos already, got {scale:g}; .* --set scale=1 max_margin=15 .* search"):
        built("ldam", scale=scale)
    built("ldam", cosine=False, scale=scale)


def test_ready_made_sweeps_give_ldam_the_margin_of_their_classifier():
    found = set()
    for path in sorted((Path(experiments.__file__).parent / "sweeps").glob("*.yaml")):
        if "classifier: cosine" in (text := path.read_text()) and "ldam" in text:
            found |= {
                (job.config.optim.options["scale"], job.config.optim.options["max_margin"])
                for job in plan(read_spec(path))
                if job.config.optim.algorithm == "ldam"
            }
    assert found == {(1, 15)}


def test_ginidg_makes_features_of_the_length_that_features_have(sixteen):
    algorithm, seen = built("ginidg", reconstruction=0.0), []
    algorithm.fake.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    algorithm.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))

    def generated():
        return algorithm.terms(sixteen, np.random.default_rng(0))["loss/generated"].item()

    before = generated()
    assert len(seen) == 2  # aligned features, then those of samples and the generator's
    for vectors in seen:
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    with torch.no_grad():
        for part in algorithm.decoder.parameters():
            part.mul_(20.0)
    assert generated() == pytest.approx(before, rel=1e-4)  # longer ones are no better


def test_ginidgs_variance_is_finite_for_features_of_any_length():
    algorithm = built("ginidg", cosine=False)
    batch = Batch(
        torch.randn(8, 6, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 4, torch.arange(8) // 4
    )
    for length in (1.0, 1e3, 1e5):
        algorithm.zero_grad()
        terms = algorithm.terms(Batch(length * batch.inputs, batch.labels, batch.domains), np.random.default_rng(0))
        terms["loss"].backward()
        gradients = [part.grad for part in algorithm.parameters() if part.grad is not None]
        assert all(torch.isfinite(value) for value in terms.values())
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_ginidgs_variance_is_exact_where_it_is_finite():
    algorithm = trained_backbone("ginidg", latent=5)
    rng = np.random.default_rng(0)
    aligned, noise = torch.tensor(30 * rng.normal(size=(7, 6))), torch.tensor(rng.normal(size=(3, 7, 5)))
    with torch.no_grad():
        mean, log_variance = algorithm.encoder(aligned).chunk(2, dim=1)
        code = (mean + noise * (1e-8 + log_variance.exp()).sqrt()).relu()
        assert 10 < log_variance.max() < 40
        torch.testing.assert_close(algorithm.generate(aligned, noise), algorithm.decoder(code), rtol=0, atol=0)
