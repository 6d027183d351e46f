"""What every algorithm keeps to, on frozen features and around a network that trains: no hidden state or randomness.

Names come from the registry, options for frozen features from the algorithms' own refusals.
"""

import random
import re
from dataclasses import dataclass, fields
from functools import cache
from inspect import getmodule, getsource

import numpy as np
import pytest
import torch

from experiments.algorithms import Algorithm, Batch, TrainingSet, build_algorithm
from experiments.algorithms.registry import ALGORITHMS
from experiments.descent import Descent
from experiments.models import Classifier, build_classifier
from geometry.errors import UsageError
from tests.experiments.algorithms.frozen_features import NEED_A_BACKBONE, NEED_FEATURES, wanted_options
from tests.experiments.algorithms.views import UNLABELLED, turned, with_views

COUNTS = np.array([[30, 8, 2, 1], [20, 10, 5, 0], [9, 9, 9, 9]])
STEPS = 12
DRAW_SAMPLES = {"causirl", "ginidg", "kcl", "mixup", "mldg", "ndcl", "sagnet", "selfreg"}  # the loss of a batch varies
BELIEVING = {  # samples are believed and repelled from the first step
    "fixmatch": {"threshold": "0.3", "fixclr": "0.5", "fixclr_space": "predictions"},
    "freematch": {"momentum": "0.9", "fixclr": "0.5", "fixclr_space": "predictions", "labelled_too": "false"},
}
ORDERLESS = {"irm": {"estimate": "square"}}  # its default pairs every other sample, as published
FITTED = {"logistic"}  # its loss has no gradient
SOURCES = {"ginidg": "Xia, Jing and Ding"}  # of those without a year


@dataclass(frozen=True)
class Setting:
    """A kind of input and a model for it."""

    images: bool

    def inputs(self, labels: torch.Tensor, seed: int) -> torch.Tensor:
        """Gaussian clouds, or images of a class's grey with noise."""
        rng = np.random.default_rng(seed)
        if self.images:
            noise = rng.random(size=(len(labels), 3, 16, 16)) / 2
            return torch.as_tensor(noise + labels.numpy()[:, None, None, None] / 8, dtype=torch.float32)
        centres = np.random.default_rng(0).normal(size=(COUNTS.shape[1], 6))
        return torch.as_tensor(centres[labels] + rng.normal(size=(len(labels), 6)), dtype=torch.float32)

    def batch(self, seed: int, sizes: tuple[int, ...] = (8, 8, 8)) -> Batch:
        """So many samples of each domain, classes drawn as the training set has them."""
        rng = np.random.default_rng([1, seed])
        drawn = [rng.choice(len(row), size, p=row / row.sum()) for row, size in zip(COUNTS, sizes, strict=True)]
        labels = torch.as_tensor(np.concatenate(drawn))
        return Batch(self.inputs(labels, seed), labels, torch.as_tensor(np.repeat(np.arange(len(sizes)), sizes)))

    def model(self) -> Classifier:
        """Always the same one."""
        return build_classifier("small_cnn" if self.images else "features", COUNTS.shape[1], seed=3, num_inputs=6)

    def build(self, name: str, options: dict[str, str]) -> Algorithm:
        labels = torch.as_tensor(np.repeat(np.arange(COUNTS.shape[1]), COUNTS.sum(axis=0)))
        features = None if self.images else lambda part: (self.inputs(labels, 0), labels)
        return build_algorithm(name, self.model(), TrainingSet(COUNTS, STEPS, features, UNLABELLED), options)


FEATURES, IMAGES = Setting(images=False), Setting(images=True)


@dataclass(frozen=True)
class Case:
    """An algorithm in a setting, with options of its own."""

    name: str
    setting: Setting
    options: tuple[tuple[str, str], ...] = ()

    def build(self, more: dict[str, str] | None = None) -> Algorithm:
        """Always the same one."""
        wanted = {} if self.setting.images else wanted_options(self.name)
        return self.setting.build(self.name, wanted | dict(self.options) | (more or {}))

    def batch(self, algorithm: Algorithm, seed: int, sizes: tuple[int, ...] = (8, 8, 8)) -> Batch:
        """A batch of the setting with the views and unlabelled samples that the algorithm asks for."""
        rng = np.random.default_rng([5, seed])
        others = self.setting.batch(seed + 100, (7, 0, 9))
        return with_views(algorithm, self.setting.batch(seed, sizes), rng, others)

    def trained(self) -> Algorithm:
        """After a few updates, so that what can be remembered is."""
        algorithm = self.build()
        for step in range(3):
            self.update(algorithm, self.batch(algorithm, step), step)
        return algorithm

    def loaded(self, more: dict[str, str] | None = None) -> Algorithm:
        """A fresh algorithm with the state of a trained one."""
        fresh = self.build(more)
        fresh.load_state_dict(trained_state(self))
        return fresh

    @staticmethod
    def update(algorithm: Algorithm, batch: Batch, seed: int) -> dict[str, float]:
        """One update with an optimiser that has no state."""
        trained = [parameter for parameter in algorithm.parameters() if parameter.requires_grad]
        descent = Descent(torch.optim.SGD(trained, lr=0.01), algorithm)
        return algorithm.update(batch, np.random.default_rng([2, seed]), descent)


@cache
def trained_state(case: Case) -> dict[str, torch.Tensor]:
    """The state of a trained algorithm."""
    return {key: value.clone() for key, value in case.trained().state_dict().items()}


CASES = [
    pytest.param(Case(name, setting), id=f"{name}-{'images' if setting.images else 'features'}")
    for name in sorted(ALGORITHMS)
    for setting, refused in ((FEATURES, NEED_A_BACKBONE), (IMAGES, NEED_FEATURES))
    if name not in refused
] + [
    pytest.param(Case(name, setting, tuple(options.items())), id=f"{name}-{'images' * setting.images}-believing")
    for name, options in BELIEVING.items()
    for setting in (FEATURES, IMAGES)
]


def global_randomness():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    return torch_state.tolist(), numpy_state[1].tolist(), numpy_state[2:], random.getstate()


def assert_same_state(found: Algorithm, expected: Algorithm | dict[str, torch.Tensor]) -> None:
    state = found.state_dict()
    wanted = expected if isinstance(expected, dict) else expected.state_dict()
    assert state.keys() == wanted.keys()
    for key in wanted:
        torch.testing.assert_close(state[key], wanted[key], rtol=0, atol=0, equal_nan=True, msg=lambda m, k=key: k + m)


@pytest.mark.parametrize("case", CASES)
def test_terms_in_evaluation_mode_leave_everything_as_it_is(case):
    algorithm = case.loaded().eval()
    state = {key: value.clone() for key, value in algorithm.state_dict().items()}
    before = global_randomness()
    batch = case.batch(algorithm, 7)
    first, second = (algorithm.terms(batch, np.random.default_rng(3)) for _ in range(2))
    assert global_randomness() == before
    assert_same_state(algorithm, state)
    assert not any(module.training for module in algorithm.modules())
    assert all(parameter.grad is None for parameter in algorithm.parameters())
    assert {key: float(value.detach()) for key, value in first.items()} == {
        key: float(value.detach()) for key, value in second.items()
    }
    assert all(value.ndim == 0 and torch.isfinite(value) for value in first.values())
    if case.name not in FITTED:
        first["loss"].backward()
        assert any(weight.grad.abs().sum() > 0 for weight in algorithm.model.head.parameters())


@pytest.mark.parametrize("case", CASES)
def test_building_and_training_take_no_global_randomness(case):
    before = global_randomness()
    first = case.build()
    torch.rand(5)
    second = case.build()
    assert_same_state(first, second)
    torch.manual_seed(0)
    before = global_randomness()
    case.trained()
    assert global_randomness() == before


@pytest.mark.parametrize("case", CASES)
def test_all_that_an_algorithm_remembers_is_in_its_state(case):
    one = case.trained()
    assert all(isinstance(value, torch.Tensor) for value in one.state_dict().values())
    other = case.build()
    other.load_state_dict({key: value.clone() for key, value in one.state_dict().items()})
    values = [case.update(algorithm, case.batch(algorithm, 3), 3) for algorithm in (one, other)]
    assert values[0] == values[1]
    assert_same_state(other, one)


@pytest.mark.parametrize("case", CASES)
def test_domains_of_unequal_batch_train(case):
    algorithm = case.build()
    for step, sizes in enumerate([(3, 17, 1), (17, 3, 0), (1, 0, 20), (2, 2, 2)]):
        values = case.update(algorithm, case.batch(algorithm, step, sizes), step)
        assert np.isfinite(list(values.values())).all()
    assert all(torch.isfinite(parameter).all() for parameter in algorithm.parameters())


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_a_batch_is_nothing_to_the_loss(case):
    batch = case.batch(case.build(), 5, (9, 5, 7))

    def loss(given: Batch, seed: int) -> float:
        algorithm = case.loaded(ORDERLESS.get(case.name))
        return float(algorithm.terms(given, np.random.default_rng(seed))["loss"].detach())

    if case.name in DRAW_SAMPLES:
        assert loss(batch, 0) != loss(batch, 1)
        return
    assert loss(batch, 0) == loss(batch, 1), "draws at random: one more for DRAW_SAMPLES"
    assert loss(turned(batch, np.random.default_rng(0)), 0) == pytest.approx(loss(batch, 0), rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_frozen_features_are_taken_or_refused_in_words(name):
    if name not in NEED_A_BACKBONE:
        options = wanted_options(name)
        assert set(options) <= {option.name for option in fields(ALGORITHMS[name].Options)}
        return
    with pytest.raises(UsageError, match=r"backbone.*\."):
        wanted_options(name)


@pytest.mark.parametrize("name", sorted(NEED_FEATURES))
def test_images_are_refused_in_words(name):
    with pytest.raises(UsageError, match="features"):
        IMAGES.build(name, {})


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_option_and_a_source_are_in_the_docstrings(name):
    algorithm = ALGORITHMS[name]
    described = "\n".join(part.__doc__ or "" for part in algorithm.Options.__mro__[:-1])
    for option in fields(algorithm.Options):
        assert re.search(rf"^\s+{option.name}: \S", described, re.MULTILINE), f"{option.name} is not described"
    module = getmodule(algorithm)
    words = "\n".join(part.__doc__ or "" for part in (module, *algorithm.__mro__[:-1], algorithm.Options))
    assert re.search(SOURCES.get(name, r"\b(19|20)\d\d\b"), words), "no source with its year"
    lines = getsource(module).count("\n")
    assert lines <= 120
