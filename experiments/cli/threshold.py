"""``tailgeom threshold``."""

from dataclasses import dataclass

from experiments.arguments import OptionalPath


@dataclass(frozen=True)
class Threshold:
    """Find the imbalance ratio at which minority classes collapse onto one vector, or why they never do.

    Majority classes are R times as frequent as minority classes. From R* on the geometry that the loss wants gives all
    minority classes one vector. With three or more majority classes contrastive losses mostly have no such R: then the
    cosine between minorities tends to a limit below 1. Derived independently (ours).

    Example::

        tailgeom threshold --majority 1 --minority 9 --tau 0.5
        tailgeom threshold --majority 1 --minority 9 --tau 0.5 --negatives 16
        tailgeom threshold --majority 3 --minority 3 --loss supcon --tau 0.1 --json

    Attributes:
        majority: number of majority classes, at least 1.
        minority: number of minority classes, at least 2.
        loss: infonce, lme (log-mean-exp, decoupled), supcon (lme with collisions: a full batch), exp, quadratic or
            linear.
        tau: temperature.
        negatives: number K of negatives, or inf for the limit of many; matters for infonce, lme and supcon.
        q: weight Q of the negatives in infonce, log(1 + (Q/K) sum exp t), or plain for Q = K.
        collisions: draw negatives from all classes, the anchor's own among them; else from the other classes.
        json: print the result as JSON and nothing else.
        out: also write the result into this directory as JSON, CSV and LaTeX.
    """

    majority: int
    minority: int
    loss: str = "infonce"
    tau: float = 1.0
    negatives: str = "inf"
    q: str = "1"
    collisions: bool = False
    json: bool = False
    out: OptionalPath = None

    def run(self) -> int:
        """Find, print, save."""
        from experiments.cli.optimum import negatives_number, negatives_weight
        from experiments.cli.output import emit_json, print_table, save_result
        from geometry.atomic import plain
        from geometry.thresholds import threshold

        found = threshold(
            self.majority,
            self.minority,
            loss=self.loss,
            tau=self.tau,
            q=negatives_weight(self.q),
            negatives=negatives_number(self.negatives),
            collisions=self.collisions,
        )
        header = ("majority", "minority", "loss", "tau", "R*", "limit cosine")
        ratio = "never" if found.r_star is None else found.r_star
        rows = [(found.majority, found.minority, found.loss, found.tau, ratio, found.limit_cosine)]
        if self.out is not None:
            save_result(self.out, "threshold", plain(found), header, rows)
        if self.json:
            emit_json(found)
            return 0
        print_table("Minority collapse", header, rows)
        print(f"{found.reason[0].upper()}{found.reason[1:]}.")
        return 0


COMMAND = Threshold
