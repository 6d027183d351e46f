"""``tailgeom threshold``."""

from dataclasses import dataclass
from typing import Any

from experiments.arguments import OptionalPath


@dataclass(frozen=True)
class Threshold:
    """Find the imbalance ratio at which minority classes collapse onto one vector, or why they never do.

    Majority classes are R times as frequent as minority classes. From R* on the geometry that the loss wants gives all
    minority classes one vector. With three or more majority classes contrastive losses mostly have no such R, unless
    the temperature is extreme: then the cosine between minorities tends to a limit below 1. Cross-entropy always has
    one; it is printed beside, for the layer-peeled model and for weight decay. Derived independently (ours).

    Example::

        tailgeom threshold --majority 1 --minority 9 --tau 0.5
        tailgeom threshold --majority 1 --minority 9 --tau 0.5 --negatives 16
        tailgeom threshold --majority 3 --minority 3 --loss supcon --tau 0.1 --json
        tailgeom threshold --majority 3 --minority 7 --loss hinge --margin 1.5
        tailgeom threshold --majority 5 --minority 5 --lambda-w 5e-4 --lambda-h 5e-4 --samples 50000

    Attributes:
        majority: number of majority classes, at least 1.
        minority: number of minority classes, at least 2.
        loss: infonce, lme (log-mean-exp, decoupled), supcon (lme with collisions: a full batch), exp, hinge, quadratic,
            linear or hardest (the hinge on the hardest negative).
        tau: temperature.
        negatives: number K of negatives, or inf for the limit of many; matters for infonce, lme, supcon and hardest.
        q: weight Q of the negatives in infonce, log(1 + (Q/K) sum exp t), or plain for Q = K.
        collisions: draw negatives from all classes, the anchor's own among them; else from the other classes.
        margin: margin of hinge and hardest, in units of t = (cosine - 1) / tau.
        e_h: layer-peeled model: mean squared norm allowed to features (5 and 1 are the setting of its authors' script).
        e_w: layer-peeled model: mean squared norm allowed to classifiers.
        lambda_w: cross-entropy with weight decay: decay of the classifiers.
        lambda_h: cross-entropy with weight decay: decay of the features.
        minority_samples: cross-entropy with weight decay: samples of each minority class, kept fixed as R grows; 100
            unless --samples is given.
        samples: cross-entropy with weight decay: samples in all, kept fixed in place of those of a minority class.
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
    margin: float = 1.0
    e_h: float = 5.0
    e_w: float = 1.0
    lambda_w: float = 5e-4
    lambda_h: float = 1e-5
    minority_samples: float | None = None
    samples: float | None = None
    json: bool = False
    out: OptionalPath = None

    def find(self) -> tuple[Any, Any, Any, Any]:
        """The contrastive threshold, its critical temperature, the layer-peeled model's and the ridge threshold."""
        from experiments.cli.optimum import negatives_number, negatives_weight
        from geometry.thresholds import critical_temperature, layer_peeled_threshold, ridge_threshold, threshold

        settings: dict[str, Any] = {
            "loss": self.loss,
            "q": negatives_weight(self.q),
            "negatives": negatives_number(self.negatives),
            "collisions": self.collisions,
            "margin": self.margin,
        }
        return (
            threshold(self.majority, self.minority, tau=self.tau, **settings),
            critical_temperature(self.majority, **settings),
            layer_peeled_threshold(self.majority, self.minority, self.e_h, self.e_w),
            ridge_threshold(
                self.majority,
                self.minority,
                lambda_w=self.lambda_w,
                lambda_h=self.lambda_h,
                minority_samples=self.minority_samples,
                samples=self.samples,
            ),
        )

    def run(self) -> int:
        """Find, print, save."""
        from experiments.cli.output import emit_json, print_table, save_result, working
        from geometry.atomic import plain

        with working("looking for the threshold"):
            found, critical, peeled, ridge = self.find()
        payload = plain(found) | {
            "critical_temperature": plain(critical),
            "layer_peeled": plain(peeled),
            "ridge": plain(ridge),
        }
        header = ("model", "majority", "minority", "setting", "R*", "limit cosine")
        peeled_ratio = peeled.r_star if peeled.log10_r_star < 300.0 else f"1e{peeled.log10_r_star:.0f}"
        decays = f"lambda_w {ridge.lambda_w:g}, lambda_h {ridge.lambda_h:g}"
        rows = [
            (f"contrastive, {found.loss}", f"tau {found.tau:g}", found.r_star, found.limit_cosine),
            ("cross-entropy, layer-peeled", f"e_h {peeled.e_h:g}, e_w {peeled.e_w:g}", peeled_ratio, 1.0),
            ("cross-entropy, weight decay", decays, ridge.r_star, 1.0),
        ]
        rows = [
            (model, self.majority, self.minority, setting, "never" if ratio is None else ratio, cosine)
            for model, setting, ratio, cosine in rows
        ]
        if self.out is not None:
            save_result(self.out, "threshold", payload, header, rows)
        if self.json:
            emit_json(payload)
            return 0
        print_table("Minority collapse", header, rows)
        print(f"Contrastive: {found.reason}.")
        classes = "one majority class" if self.majority == 1 else f"{self.majority} majority classes"
        print(f"Temperature: as R grows without bound, with {classes}, minorities collapse {critical.reason}.")
        print(f"Layer-peeled: {peeled.reason}.")
        print(f"Weight decay: {ridge.reason}.")
        return 0


COMMAND = Threshold
