"""Class means per domain, their moving averages, and alignment through both."""

import math

import pytest
import torch

from experiments.losses.ndcl import align_prototypes, prototype_alignment
from experiments.losses.prototypes import CellMeans, cell_means, moving_prototypes
from geometry.errors import UsageError


def naive_alignment(cells, cosine, tau):
    """``cells``: {(class, domain): prototype}."""
    held = {k: [d for c, d in cells if c == k] for k, _ in cells}
    cells = {(k, d): vector for (k, d), vector in cells.items() if len(held[k]) > 1}
    total = 0.0
    for (k, d), mean in cells.items():
        same = math.fsum(math.exp(cosine(mean, cells[k, e]) / tau) for e in held[k] if e != d)
        every = math.fsum(math.exp(cosine(mean, other) / tau) for cell, other in cells.items() if cell != (k, d))
        total -= math.log(same / every) / len(held[k])
    return total / len({k for k, _ in cells})


def test_cell_means_are_the_means(tailed_batch):
    vectors, labels, domains, *_ = tailed_batch(0)
    found = cell_means(100 * vectors, labels, domains)
    cells = list(zip(found.classes.tolist(), found.domains.tolist(), strict=True))
    assert sorted(cells) == sorted({(int(k), int(d)) for k, d in zip(labels, domains, strict=True)})
    for mean, (k, d) in zip(found.means, cells, strict=True):
        torch.testing.assert_close(mean, 100 * vectors[(labels == k) & (domains == d)].mean(0))


def test_means_of_the_largest_numbers_are_finite():
    largest = torch.finfo(torch.float32).max
    for size in range(1, 30):  # ten tenths of the largest float round to infinity
        one_cell = torch.zeros(size, dtype=torch.int64)
        assert torch.isfinite(cell_means(torch.full((size, 2), largest), one_cell, one_cell).means).all()


@pytest.mark.parametrize("tau", [1.0, 0.1])
def test_alignment_at_any_temperature(tailed_batch, cosine, tau):
    for seed in range(4):
        vectors, labels, domains, *_ = tailed_batch(seed)
        batch = cell_means(vectors, labels, domains)
        cells = {(int(k), int(d)): mean for mean, k, d in zip(batch.means, batch.classes, batch.domains, strict=True)}
        expected = naive_alignment(cells, cosine, tau)
        assert prototype_alignment(vectors, labels, domains, tau=tau).item() == pytest.approx(expected, rel=1e-12)
        assert align_prototypes(batch.means, batch.classes, tau=tau).item() == pytest.approx(expected, rel=1e-12)


def test_moving_average_is_the_rule_cell_by_cell(tailed_batch):
    vectors, labels, domains, *_ = tailed_batch(1)
    memory = torch.rand(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    memory[1, 2:] = torch.nan
    found = moving_prototypes(memory, cell_means(vectors, labels, domains), momentum=0.8)
    for d in range(3):
        for k in range(6):
            mine = vectors[(domains == d) & (labels == k)]
            if len(mine) == 0:
                expected = memory[d, k]
            elif memory[d, k].isnan().any():
                expected = mine.mean(0)
            else:
                expected = 0.8 * memory[d, k] + 0.2 * mine.mean(0)
            torch.testing.assert_close(found[d, k], expected, equal_nan=True)


def test_alignment_with_memory_takes_every_cell_ever_seen(tailed_batch, cosine):
    vectors, labels, domains, *_ = tailed_batch(2)
    memory = torch.rand(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    memory[0] = torch.nan
    moved = moving_prototypes(memory, cell_means(vectors, labels, domains), momentum=0.5)
    cells = {(k, d): moved[d, k] for d in range(3) for k in range(6) if not moved[d, k].isnan().any()}
    found = prototype_alignment(vectors, labels, domains, memory=memory, momentum=0.5)
    assert found.item() == pytest.approx(naive_alignment(cells, cosine, 1.0), rel=1e-12)


def test_an_empty_memory_or_one_without_momentum_is_the_released_form(tailed_batch):
    vectors, labels, domains, *_ = tailed_batch(3)
    released = prototype_alignment(vectors, labels, domains)
    empty = prototype_alignment(vectors, labels, domains, memory=torch.full((3, 6, 4), torch.nan))
    assert empty.item() == pytest.approx(released.item(), rel=1e-12)


def test_memory_lets_a_class_of_one_domain_be_aligned():
    """The batch alone holds each class in one domain and gives nothing; its gradient is (1 - momentum) of a mean's."""
    vectors = torch.tensor([[1.0, 0.2], [0.1, 1.0]], dtype=torch.float64, requires_grad=True)
    labels, domains = torch.tensor([0, 1]), torch.tensor([0, 0])
    assert prototype_alignment(vectors, labels, domains).item() == 0
    memory = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.8, 0.6]]], dtype=torch.float64)
    loss = prototype_alignment(vectors, labels, domains, memory=memory, momentum=0.75)
    (gradient,) = torch.autograd.grad(loss, vectors)
    means = moving_prototypes(memory, cell_means(vectors, labels, domains), momentum=0.75).detach()
    flat = means.flatten(0, 1).requires_grad_(True)
    (of_means,) = torch.autograd.grad(align_prototypes(flat, torch.tensor([0, 1, 0, 1])), flat)
    torch.testing.assert_close(gradient, 0.25 * of_means[:2])


def test_gradients_through_memory_are_finite_where_cells_are_unseen(tailed_batch):
    vectors, labels, domains, *_ = tailed_batch(4)
    vectors.requires_grad_(True)
    memory = torch.full((3, 6, 4), torch.nan, dtype=torch.float64)
    memory[0, 0] = 1.0
    assert torch.autograd.gradcheck(lambda x: prototype_alignment(x, labels, domains, memory=memory), (vectors,))


def test_memory_keeps_its_shape_and_takes_the_batchs_dtype():
    batch = CellMeans(torch.ones(1, 2, dtype=torch.float32), torch.tensor([1]), torch.tensor([0]))
    moved = moving_prototypes(torch.zeros(2, 3, 2, dtype=torch.float64), batch, momentum=0.9)
    assert moved.shape == (2, 3, 2)
    assert moved.dtype == torch.float32


def test_temperature_must_be_positive():
    with pytest.raises(UsageError, match="temperature"):
        align_prototypes(torch.eye(2), torch.tensor([0, 0]), tau=0.0)
