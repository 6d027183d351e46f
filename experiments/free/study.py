"""Which losses reach the simplex under imbalance, and which do not: a grid of experiments, a row a cell."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.free.experiment import FreeOptimum, free_optimum
from geometry.atomic import plain, read_json, write_json

TEMPERATURES = (1.0, 0.5, 0.1)
COUNTS = {"balanced": (8, 8, 8, 8, 8), "long tail": (60, 30, 12, 5, 2), "step": (24, 24, 3, 3, 3)}
FEW_COUNTS = {
    "balanced": (6, 6, 6, 6, 6),
    "long tail": (16, 8, 4, 2, 1),
    "step": (10, 10, 2, 2, 2),
}  # for NDCL's mixtures
REDUCTIONS = ("sample", "class")
STARTS = 3
HEADER = (
    "loss",
    "variant",
    "anchors",
    "tau",
    "imbalance",
    "counts",
    "representation",
    "verdict",
    "cosine_std",
    "cosine_mean",
    "largest_deviation",
    "spread",
    "rank",
    "distinct",
    "value",
    "simplex_value",
    "simplex_excess",
    "starts",
    "agreeing",
    "gram_disagreement",
    "stationarity",
    "etf_error",
    "optimum_error",
    "seli_error",
    "program_gap",
    "program_gram",
    "boundary",
    "alignment",
    "least_start_std",
    "most_start_std",
    "dimension",
    "mean_length",
    "most_start_spread",
)


@dataclass(frozen=True)
class Cell:
    """One experiment of the study.

    Attributes:
        family: name of the loss in the table.
        variant: what differs from the family's default, in words.
        loss: a key of :data:`experiments.free.objectives.LOSSES`.
        options: of the loss.
        imbalance: name of the counts.
        counts: samples a class.
        dimension: of the vectors; one more than the number of classes by default.
    """

    family: str
    variant: str
    loss: str
    options: Mapping[str, Any]
    imbalance: str
    counts: tuple[int, ...]
    dimension: int | None = None

    @property
    def key(self) -> str:
        """A file name of its own."""
        words = [self.family, self.variant, self.imbalance, *(f"{k}={v}" for k, v in sorted(self.options.items()))]
        words.append("" if self.dimension is None else f"d={self.dimension}")
        return "-".join(word.replace(" ", "_").replace(",", "") for word in words if word)


def cells() -> tuple[Cell, ...]:
    """The study's grid."""
    return (*_contrastive(), *_negatives_dominant(), *_classification())


def _contrastive() -> Iterator[Cell]:
    batch = (
        ("InfoNCE, batch", "", "infonce-batch", {}),
        ("SupCon", "", "supcon", {}),
        ("BCL", "", "bcl", {}),
        ("ECL", "", "ecl", {}),
        ("ECL", "separate denominators", "ecl", {"denominator": "separate"}),
        ("FixCLR", "samples", "fixclr", {}),
        ("FixCLR", "class means", "fixclr", {"level": "class"}),
    )
    whole = (("InfoNCE, program", "", "infonce", {}), ("SupCon, program", "", "lme", {"collisions": True}))
    for imbalance, counts in COUNTS.items():
        for tau in TEMPERATURES:
            for family, variant, loss, options in whole:
                yield Cell(family, variant, loss, {**options, "tau": tau}, imbalance, counts)
            for family, variant, loss, options in batch:
                for reduction in REDUCTIONS:
                    chosen = {**options, "tau": tau, "anchor_reduction": reduction}
                    yield Cell(family, variant, loss, chosen, imbalance, counts)


def _negatives_dominant() -> Iterator[Cell]:
    for imbalance, counts in FEW_COUNTS.items():
        for space in ("predictions", "vectors"):
            for aggregate in ("sum", "mean"):
                for form in ("exp", "raw"):
                    for reduction in REDUCTIONS:
                        options = {
                            "space": space,
                            "aggregate": aggregate,
                            "dissimilarity": form,
                            "anchor_reduction": reduction,
                        }
                        variant = f"{space}, {form}, {aggregate}"
                        yield Cell("NDCL", variant, "ndcl", options, imbalance, counts)
                options = {"space": space, "aggregate": aggregate, "negatives": "mixed", "anchor_reduction": "class"}
                yield Cell("NDCL", f"{space}, exp, {aggregate}, mixed", "ndcl", options, imbalance, counts)
        for radius in (5.0, 20.0):
            options = {"radius": radius, "anchor_reduction": "class"}
            yield Cell("NDCL", f"predictions, exp, sum, radius {radius:g}", "ndcl", options, imbalance, counts)


def _classification() -> Iterator[Cell]:
    names = {"ce": "Cross-entropy", "focal": "Focal", "balanced-softmax": "Balanced softmax", "ldam": "LDAM"}
    for imbalance, counts in COUNTS.items():
        for loss, family in names.items():
            yield Cell(family, "", loss, {}, imbalance, counts)


def row(cell: Cell, found: FreeOptimum) -> tuple[Any, ...]:
    """A row of the table, under :data:`HEADER`."""
    geometry, errors, program = found.geometry, found.errors, found.program
    return (
        cell.family,
        cell.variant,
        found.options.get("anchor_reduction", "sample"),
        found.options.get("tau"),
        cell.imbalance,
        "/".join(map(str, cell.counts)),
        found.representation,
        found.verdict,
        geometry.cosine_std,
        geometry.cosine_mean,
        geometry.deviation,
        geometry.spread,
        geometry.rank,
        geometry.distinct,
        found.value,
        found.simplex_value,
        (found.simplex_value - found.value) / (abs(found.simplex_value) or 1.0),
        len(found.values),
        found.agreeing,
        found.gram_disagreement,
        found.stationarity,
        errors.get("etf"),
        errors.get("optimum", errors.get("layer-peeled")),
        errors.get("seli"),
        None if program is None else program.gap,
        None if program is None else program.gram_difference,
        found.boundary,
        found.alignment,
        *_ends(found.deviations),
        found.dimension,
        geometry.lengths.min(),
        max(found.spreads),
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the most of what is defined, whatever the order; NaN where nothing is."""
    defined = [value for value in values if value == value]  # not NaN
    return (min(defined), max(defined)) if defined else (float("nan"), float("nan"))


def run_study(
    directory: Path,
    grid: Sequence[Cell],
    *,
    seed: int = 0,
    starts: int = STARTS,
    jobs: int = -1,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Every cell of a grid, in parallel; finished cells are kept in ``directory`` and not computed again.

    Args:
        directory: where each finished cell is written as JSON.
        grid: the cells.
        seed: of the starts.
        starts: random starts a cell.
        jobs: processes; -1 is one a core.
        progress: told the cells done, all of them, and the last one.

    Returns:
        A dict a row, keyed by :data:`HEADER`, in the grid's order.
    """
    from joblib import Parallel, delayed

    from experiments.provenance import code_version

    made_by = {"code": plain(code_version()), "seed": seed, "starts": starts}
    found: dict[str, dict[str, Any]] = {}
    for cell in grid:
        path = directory / f"{cell.key}.json"
        if path.exists():
            kept = read_json(path)
            if kept["made_by"] == made_by:
                found[cell.key] = kept["row"]
    missing = [cell for cell in grid if cell.key not in found]
    work = (delayed(_solved)(cell, seed, starts) for cell in missing)
    for cell, values in Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(work):
        found[cell.key] = dict(zip(HEADER, plain(list(values)), strict=True))
        write_json(directory / f"{cell.key}.json", {"made_by": made_by, "row": found[cell.key]})
        if progress is not None:
            progress(len(found), len(grid), cell.key)
    return [found[cell.key] for cell in grid]


def _solved(cell: Cell, seed: int, starts: int) -> tuple[Cell, tuple[Any, ...]]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = free_optimum(
            cell.loss, cell.counts, dimension=cell.dimension, options=cell.options, seed=seed, starts=starts
        )
    finally:
        torch.set_num_threads(threads)
    return cell, row(cell, found)
