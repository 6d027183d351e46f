"""``tailgeom free``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.arguments import OptionalPath
from geometry.errors import UsageError

if TYPE_CHECKING:
    from experiments.free.experiment import FreeOptimum

VERDICTS = {
    "simplex": "The simplex is reached: equal angles, samples at their class means.",
    "angles only": "Class means reach the simplex's angles, but samples stay away from their class means.",
    "objective": "The simplex is not what this loss wants: its loss is higher than the one reached.",
    "tie": "The simplex has the same loss as other geometries: this loss does not choose.",
    "search": "The simplex has a lower loss than any start reached: take more starts.",
    "no room": "The dimension has no room for the simplex.",
}


@dataclass(frozen=True)
class Free:
    """Optimise free class vectors under any training loss, and see what geometry it wants.

    There is no network and no data: every sample is a free unit vector (or a free logit vector in a ball, for losses on
    predictions; or a free feature before a free classifier, for cross-entropy and its kin), and the full-batch loss is
    descended from several random starts to stationarity. Where the convex program of `tailgeom optimum` applies, its
    certified least loss stands beside the one reached. Losses of the program, in exact expectation: infonce, lme, exp,
    hinge, quadratic, linear (SupCon's is lme with --set collisions=true). Losses of training: infonce-batch, supcon,
    bcl, ecl, fixclr, ndcl, ce, focal, balanced-softmax, ldam.

    Example::

        tailgeom free --loss bcl --counts 60,30,12,5,2 --tau 0.5
        tailgeom free --loss bcl --counts 60,30,12,5,2 --tau 0.5 --anchor-reduction class --json
        tailgeom free --loss ndcl --counts 16,8,4,2,1 --set radius=20 aggregate=mean --starts 10
        tailgeom free --loss lme --counts 60,3,3,3,3 --tau 1 --set collisions=true
        tailgeom free --loss ecl --counts 60,30,12,5,2 --set prototypes=linear compensation=1 duality=1
        tailgeom free --study --out experiments/results/free
        tailgeom free --forms --out experiments/results/free_ecl
        tailgeom free --forms --loss fixclr --out experiments/results/free_fixclr
        tailgeom free --loss fixclr --counts 6,6,6,6,6 --tau 0.5 --set other_domains_only=true domains=3

    Attributes:
        loss: a loss named above.
        counts: samples of each class, comma-separated.
        dim: dimension of the vectors; one more than the number of classes by default. Predictions have one entry a
            class.
        tau: temperature, in place of the loss's own default.
        anchor_reduction: average over anchors by sample or by class, in place of the loss's own default.
        set: other options of the loss, as name=value; an unknown one is answered with those there are (ndcl has space,
            radius, dissimilarity, aggregate, negatives, lam).
        starts: random starts; 5 by default, 3 for each experiment of a study.
        seed: of the starts.
        study: every loss of the project over temperatures, anchor reductions and imbalances; writes table.csv,
            table.md and the figure into --out, and goes on where it was interrupted.
        forms: likewise every form of ECL's loss (prototype shares, denominators, anchor averages, prototypes, with and
            without its other losses) over temperatures and imbalances; with --loss fixclr every form of FixCLR's
            repelling term, alone and beside cross-entropy, and its gradient beside that of other losses.
        jobs: processes of a study; -1 is one a core.
        json: print the result as JSON and nothing else.
        out: also write the result into this directory as JSON, CSV and LaTeX.
    """

    loss: str = ""
    counts: str = ""
    dim: int | None = None
    tau: float | None = None
    anchor_reduction: str = ""
    set: tuple[str, ...] = ()
    starts: int | None = None
    seed: int = 0
    study: bool = False
    forms: bool = False
    jobs: int = -1
    json: bool = False
    out: OptionalPath = None

    def run(self) -> int:
        """One experiment, or the study."""
        if self.seed < 0 or (self.starts is not None and self.starts < 1) or self.jobs == 0:
            raise UsageError("Expected --seed of 0 or more, --starts of 1 or more, and --jobs other than 0.")
        return self._study() if self.study or self.forms else self._experiment()

    def _experiment(self) -> int:
        from experiments.cli.output import emit_json, progress_bar, save_result
        from geometry.atomic import plain

        if not self.loss or not self.counts:
            raise UsageError("Expected --loss NAME and --counts 60,30,12,5,2, or --study, or --forms.")
        found = self._solve(progress_bar)
        size = len(found.counts)
        header = ("class", "samples", "length", *(f"cos {k}" for k in range(size)))
        geometry = found.geometry
        rows = [(k, found.counts[k], geometry.lengths[k], *geometry.gram[k]) for k in range(size)]
        if self.out is not None:
            save_result(self.out, "free", plain(found), header, rows)
        if self.json:
            emit_json(found)
        else:
            _show(found, header, rows)
        return 0

    def _solve(self, progress_bar: Any) -> "FreeOptimum":
        import torch

        from experiments.free.experiment import free_optimum

        options: dict[str, Any] = dict(map(_option, self.set))
        if self.tau is not None:
            options["tau"] = float(self.tau)
        if self.anchor_reduction:
            options["anchor_reduction"] = self.anchor_reduction
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the matrices are small
        try:
            with progress_bar("descents") as update:
                return free_optimum(
                    self.loss,
                    _whole(self.counts),
                    dimension=self.dim,
                    starts=self.starts or 5,
                    seed=self.seed,
                    options=options,
                    progress=update,
                )
        finally:
            torch.set_num_threads(threads)

    def _study(self) -> int:
        import shutil
        import time

        from experiments.cli.output import emit_json, progress_bar, say
        from experiments.cli.words import command_line, flags
        from experiments.free import forms, repelling_forms, study, table
        from figures import equilibrium_forms, repel_only, style
        from figures import free as spreads

        if self.study and self.forms:
            raise UsageError("Expected one of --study and --forms, got both.")
        if self.out is None:
            raise UsageError("Expected --out DIR with a study, such as experiments/results/free.")
        word = "--study" if self.study else "--forms"
        repelling = self.forms and self.loss == "fixclr"
        if self.forms and self.loss not in ("", "ecl", "fixclr"):
            raise UsageError(f"Expected --loss ecl or fixclr beside --forms, got {self.loss!r}.")
        chosen = (self.counts, self.set, self.anchor_reduction, self.dim is not None, self.tau is not None)
        if (self.study and self.loss) or any(chosen):
            raise UsageError(f"The study chooses losses, counts and options itself; leave these out beside {word}.")
        begun, kept = time.perf_counter(), Path(self.out) / "cells"
        every = repelling_forms if repelling else forms
        grid, starts = (study.cells(), study.STARTS) if self.study else (every.forms(), every.STARTS)
        with progress_bar("experiments") as update:
            rows = study.run_study(
                kept, grid, seed=self.seed, starts=self.starts or starts, jobs=self.jobs, progress=update
            )
        command = command_line("free", *flags(self, leave_out=("json", "jobs")))
        origin = {"command": command, "seed": self.seed, "seconds": time.perf_counter() - begun}
        if self.study:
            table.write_table(Path(self.out), rows, **origin)
            said, drawn, name = table.findings(rows), spreads.figure(rows), "free"
        elif repelling:
            beside = repelling_forms.write_forms(Path(self.out), rows, **origin)
            said, name = repelling_forms.findings(rows), "figure"
            drawn = repel_only.figure(repelling_forms.drawn(rows), [row for row in beside if row["space"] == "vectors"])
        else:
            forms.write_forms(Path(self.out), rows, **origin)
            said, name = forms.findings(rows), "figure"
            drawn = equilibrium_forms.figure([row for row in rows if row["variant"] == forms.WHOLE])
        style.save(drawn, Path(self.out) / name)
        shutil.rmtree(kept, ignore_errors=True)
        if self.json:
            emit_json({"rows": rows, "findings": said})
            return 0
        say(f"Wrote table.csv, table.md and the figure into {self.out}.")
        print("\n".join(said))
        return 0


def _show(found: "FreeOptimum", header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from experiments.cli.output import cell, print_table

    geometry = found.geometry
    of = {"vectors": "class means", "predictions": "centred class mean predictions", "features": "centred class means"}
    print_table(f"Cosines between {of[found.representation]} under {found.loss}", header, rows)
    print(
        f"loss {found.value:.10g}, stationarity {found.stationarity:.1e}; {found.agreeing} of {len(found.values)} "
        f"starts reach it; {_defined(geometry.rank)} dimensions, {_defined(geometry.distinct)} distinct class vectors"
    )
    simplex = -1.0 / (len(found.counts) - 1)
    print(
        f"cosines: mean {geometry.cosine_mean:.6f} (simplex {simplex:.6f}), standard deviation "
        f"{geometry.cosine_std:.2g}; samples at most {geometry.spread:.2g} from their class mean"
    )
    print("Gram error to " + ", ".join(f"{name} {cell(error) or 'undefined'}" for name, error in found.errors.items()))
    if found.program is not None:
        program = found.program
        print(f"{program.name}: least loss {program.value:.10g}, relative gap {program.gap:.1e}")
    if found.boundary == found.boundary:  # not NaN
        print(f"{100 * found.boundary:.0f}% of the logits lie at the bound {found.options['radius']:g}")
    print(f"{VERDICTS[found.verdict]} Loss at the simplex: {cell(found.simplex_value) or 'undefined'}.")


def _defined(number: int | None) -> str:
    return "undefined" if number is None else str(number)


def _whole(text: str) -> tuple[int, ...]:
    """Counts from ``--counts``.

    Raises:
        UsageError: not whole numbers of at least 1, two or more.
    """
    try:
        numbers = tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise UsageError(f"Expected --counts of whole numbers, such as 60,30,12,5,2; got {text!r}.") from error
    if len(numbers) < 2 or min(numbers) < 1:
        raise UsageError(f"Expected --counts of two classes or more with a sample or more each; got {text!r}.")
    return numbers


def _option(word: str) -> tuple[str, Any]:
    """``name=value`` with a number, true or false, or a word.

    Raises:
        UsageError: no such form.
    """
    name, sign, value = word.partition("=")
    if not (name and sign and value):
        raise UsageError(f"Expected name=value after --set, got {word!r}.")
    if value in ("true", "false"):
        return name, value == "true"
    try:
        return name, float(value)
    except ValueError:
        return name, value


COMMAND = Free
