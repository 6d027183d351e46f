"""NDCL's loss terms, forward and backward, against the loops over classes they replace.

python -m benchmarks.losses
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from benchmarks.timing import compare, show
from experiments.losses.ndcl import negative_dominant_contrast, prototype_alignment, reweighted_cross_entropy

SETTINGS = ((7, 96), (65, 96), (345, 160))


def contrast_by_class(probs: Tensor, labels: Tensor, negatives: Tensor, negative_labels: Tensor) -> Tensor:
    total = probs.new_zeros(())
    classes = labels.unique()
    for k in classes:
        mine, theirs = probs[labels == k], negatives[negative_labels == k]
        if len(theirs) == 0:
            continue
        attraction = (1 - cosine_similarity(mine[:, None], mine[None, :], dim=-1)).exp()
        attraction = attraction.sum(1) - attraction.diagonal()
        repulsion = (1 - cosine_similarity(mine[:, None], theirs[None, :], dim=-1)).exp().sum(1)
        total = total + torch.log1p(attraction / repulsion).mean()
    return total / len(classes)


def alignment_by_cell(probs: Tensor, labels: Tensor, domains: Tensor) -> Tensor:
    cells = [(k, d) for k in labels.unique() for d in domains.unique() if ((labels == k) & (domains == d)).any()]
    shared = [(k, d) for k, d in cells if sum(bool(k == other) for other, _ in cells) > 1]
    means = torch.stack([probs[(labels == k) & (domains == d)].mean(0) for k, d in shared])
    classes = torch.stack([k for k, _ in shared])
    cosines = cosine_similarity(means[:, None], means[None, :], dim=-1).exp()
    total = probs.new_zeros(())
    for row in range(len(shared)):
        others = torch.arange(len(shared)) != row
        same = others & (classes == classes[row])
        total = total - torch.log(cosines[row][same].sum() / cosines[row][others].sum()) / (same.sum() + 1)
    return total / len(classes.unique())


def cross_entropy_by_class(logits: Tensor, labels: Tensor, domains: Tensor, weights: Tensor) -> Tensor:
    losses = cross_entropy(logits, labels, reduction="none")
    total = logits.new_zeros(())
    for k in labels.unique():
        mine = losses[labels == k]
        total = total + (mine * mine.detach().softmax(0) * weights[domains[labels == k], k]).sum()
    return total / len(labels.unique())


def main() -> None:
    rows = []
    for num_classes, size in SETTINGS:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(size, num_classes, generator=generator, requires_grad=True)
        negatives = torch.randn(size, num_classes, generator=generator).softmax(1)
        labels = torch.randint(num_classes, (size,), generator=generator)
        domains = torch.randint(3, (size,), generator=generator)
        wanted = labels[torch.randperm(size, generator=generator)]
        weights = torch.rand(3, num_classes, generator=generator)
        terms = {
            "contrast": (
                lambda z, y=labels, n=negatives, w=wanted: negative_dominant_contrast(z.softmax(1), y, n, w),
                lambda z, y=labels, n=negatives, w=wanted: contrast_by_class(z.softmax(1), y, n, w),
            ),
            "alignment": (
                lambda z, y=labels, d=domains: prototype_alignment(z.softmax(1), y, d),
                lambda z, y=labels, d=domains: alignment_by_cell(z.softmax(1), y, d),
            ),
            "cross-entropy": (
                lambda z, y=labels, d=domains, w=weights: reweighted_cross_entropy(z, y, d, w),
                lambda z, y=labels, d=domains, w=weights: cross_entropy_by_class(z, y, d, w),
            ),
        }
        for name, (ours, loops) in terms.items():
            torch.testing.assert_close(ours(logits), loops(logits), rtol=1e-4, atol=1e-5)
            mine, theirs, ratio = compare(
                lambda f=ours, z=logits: torch.autograd.grad(f(z), z),
                lambda f=loops, z=logits: torch.autograd.grad(f(z), z),
            )
            rows.append((num_classes, size, name, 1e3 * mine, 1e3 * theirs, ratio))
    show(
        "NDCL's terms, forward and backward",
        ("classes", "batch", "term", "ours, ms", "loops, ms", "loops / ours"),
        rows,
    )


if __name__ == "__main__":
    main()
