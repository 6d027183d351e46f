"""``tailgeom compare``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.cli.analysis import Analysis, Table
from geometry.artifact import Artifact
from geometry.atomic import plain

WORST_PAIRS = 8
MOST_COORDINATES = 100  # classes beyond which the aligned coordinates are not written into the JSON
SHOWN = (
    "of",
    "target",
    "gram_error",
    "low",
    "high",
    "alignment",
    "procrustes",
    "angle_rms",
    "dimension",
    "target_rank",
)


@dataclass(frozen=True)
class Compare(Analysis):
    """Compare learned class means with the optimal geometry for their class proportions.

    Features, projected embeddings, predictions and classifier rows are held against the certified optimum of the
    contrastive program for the training counts, the simplex equiangular tight frame, and the SELI and layer-peeled
    geometries of cross-entropy, so that one reads which theory fits best: relative Gram error with a bootstrap
    interval, kernel alignment, Procrustes residual, and the angle of every pair of classes, majority and minority
    apart.

    Example::

        tailgeom compare runs/demo/ndcl
        tailgeom compare runs/demo/ndcl --tau 0.1 --json
        tailgeom compare runs/demo/ndcl --loss supcon --tau 0.1 --of features,head --targets optimum,etf

    Attributes:
        loss: of the contrastive program: infonce, lme, supcon, exp, hinge, quadratic, linear or another that tailgeom
            optimum knows.
        tau: temperature of the contrastive program.
        negatives: number k of its negatives, or inf for the limit of many.
        q: weight of its negatives, or plain for log(1 + sum).
        collisions: draw its negatives from all classes, the anchor's own among them.
        margin: of its hinge loss.
        of: representations, comma-separated: features, projections, predictions, head (default: all there are).
        targets: targets, comma-separated: optimum, etf, orthogonal-frame, seli-classifiers, seli-embeddings,
            lpm-classifiers, lpm-embeddings (default: those that speak about the representation).
        feature_energy: E_H of the layer-peeled model.
        classifier_energy: E_W of the layer-peeled model.
        raw: compare class means as they are, without subtracting their mean.
        split: which samples: train, validation, source_test, target or all (default: train where there is one).
        resamples: bootstrap resamples behind each interval.
        seed: seed of the resampling.
    """

    loss: str = "infonce"
    tau: float = 1.0
    negatives: Annotated[str, tyro.conf.arg(aliases=("--k",))] = "inf"
    q: str = "1"
    collisions: bool = False
    margin: float = 1.0
    of: str = ""
    targets: str = ""
    feature_energy: float = 5.0
    classifier_energy: float = 1.0
    raw: bool = False
    split: str = ""
    resamples: int = 200
    seed: int = 0

    name = "compare"

    @property
    def header(self) -> Sequence[str]:
        """Columns of the summary."""
        from geometry.compare import SUMMARY_HEADER

        return SUMMARY_HEADER

    def analyse(self, artifact: Artifact) -> Any:
        """Every comparison."""
        from experiments.cli.optimum import negatives_number, negatives_weight
        from geometry.theory_fit import compare_to_optimum

        return compare_to_optimum(
            artifact,
            loss=self.loss,
            tau=self.tau,
            negatives=negatives_number(self.negatives),
            q=negatives_weight(self.q),
            collisions=self.collisions,
            margin=self.margin,
            of=_listed(self.of),
            targets=_listed(self.targets),
            feature_energy=self.feature_energy,
            classifier_energy=self.classifier_energy,
            centre=not self.raw,
            split=self.split or None,
            resamples=self.resamples,
            seed=self.seed,
        )

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a representation and target."""
        return list(result.rows())

    def more_tables(self, result: Any) -> Mapping[str, Table]:
        """The angle of every pair of classes, and each kind of pairs."""
        from geometry.compare import BLOCK_HEADER, PAIR_HEADER

        return {
            "pairs": (PAIR_HEADER, [row for comparison in result.comparisons for row in comparison.rows()]),
            "blocks": (BLOCK_HEADER, [row for comparison in result.comparisons for row in comparison.block_rows()]),
        }

    def contents(self, result: Any) -> dict[str, Any]:
        """The result, with the plane in which learned and optimal means are drawn."""
        from geometry.alignment import planar

        comparisons = []
        for comparison in result.comparisons:
            entry = {field.name: getattr(comparison, field.name) for field in fields(comparison)}
            if len(comparison.classes) > MOST_COORDINATES:
                entry |= {"learned_coordinates": None, "optimal_coordinates": None}
            entry["plane"] = planar(comparison.learned, comparison.optimal)
            # The cosines are finite; walking through a hundred thousand numbers one by one takes seconds.
            comparisons.append({name: _listed_matrix(value) for name, value in entry.items()})
        whole = {
            field.name: plain(getattr(result, field.name)) for field in fields(result) if field.name != "comparisons"
        }
        return whole | {"comparisons": comparisons}

    def save(self, directory: Path, payload: dict[str, Any], result: Any) -> None:
        """Write the result; where the user asked for files, the angles as a figure for each representation too."""
        super().save(directory, payload, result)
        if self.out is None:
            return
        from figures import angles, style

        for of in dict.fromkeys(comparison.of for comparison in result.comparisons):
            panels = {
                c.target: {"learned": c.learned, "optimal": c.optimal, "groups": c.groups, "rms": c.blocks[0].rms}
                for c in result.comparisons
                if c.of == of
            }
            style.save(angles.figure(panels), directory / f"compare_angles_{of}")

    def show(self, result: Any) -> None:
        """Print the summary, which theory fits best, the blocks and the pairs that deviate most."""
        from experiments.cli.output import print_table
        from geometry.compare import BLOCK_HEADER, PAIR_HEADER

        shown = [position for position, name in enumerate(self.header) if name in SHOWN]
        rows = [[row[position] for position in shown] for row in self.table(result)]
        print_table(self.command_line(), [self.header[position] for position in shown], rows)
        for sentence in result.verdicts:
            print(sentence)
        first = result.comparisons[0]
        print_table(f"Pairs by group ({first.grouping}), angles in degrees", BLOCK_HEADER, first.block_rows())
        worst = first.rows()[:WORST_PAIRS]
        print_table(f"Pairs of classes farthest from the angle of {first.target} (degrees)", PAIR_HEADER, worst)
        if result.optimum is not None:
            optimum = result.optimum
            print(f"The optimum is certified within a relative {optimum.relative_gap:.1e}; rank {optimum.rank}.")
        notes = [*result.notes, *(note for comparison in result.comparisons for note in comparison.notes)]
        for note in dict.fromkeys(notes):
            print(note)


def _listed_matrix(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else plain(value)


def _listed(text: str) -> tuple[str, ...] | None:
    """Words separated by commas; None for none."""
    return tuple(word.strip() for word in text.split(",") if word.strip()) or None


COMMAND = Compare
