"""The theory in pictures: `tailgeom draw grams`, `tailgeom draw sphere`, `tailgeom draw thresholds`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cli.draw_thresholds import Thresholds
from experiments.cli.drawing import DRAWINGS, LABELS, certificate, certified, finish, numbers
from geometry.errors import UsageError

SMOOTH = 60  # ratios at least, so that curves look like curves
FARTHEST = 1e7  # the largest R drawn unless asked for: beyond, angles between rare classes are known less well


@dataclass(frozen=True)
class _Optima:
    negatives: str = "inf"
    q: str = "1"
    collisions: bool = False
    margin: float = 1.0
    tail: str = "exponential"
    json: bool = False
    out: Path = DRAWINGS

    def settings(self, loss: str, tau: float) -> dict[str, Any]:
        """What `geometry.optimum.solve` takes."""
        from experiments.cli.optimum import negatives_number, negatives_weight

        return {
            "loss": loss,
            "tau": tau,
            "negatives": negatives_number(self.negatives),
            "q": negatives_weight(self.q),
            "collisions": self.collisions,
            "margin": self.margin,
        }

    def loss_label(self, loss: str, tau: float) -> str:
        """Loss and settings, as a figure says them."""
        many = "" if self.negatives.strip().lower() == "inf" else f", k = {self.negatives}"
        return f"{LABELS.get(loss, loss)}, τ = {tau:g}{many}"


@dataclass(frozen=True)
class Grams(_Optima):
    """Draw the optimal Gram matrices of a tail of classes over its imbalance ratio, a row a loss and temperature.

    Only certified optima are drawn; what could not be certified is hatched and counted.

    Example::

        tailgeom draw grams --classes 10 --ratios 1,10,100,1e4,1e5 --taus 1,0.1
        tailgeom draw grams --classes 6 --tail step:2 --loss infonce,supcon --taus 0.5

    Attributes:
        classes: number of classes.
        ratios: imbalance ratios R (largest over smallest proportion), comma-separated.
        taus: temperatures, comma-separated.
        loss: one or more losses, comma-separated: infonce, lme, supcon, exp, hinge, quadratic, linear.
        tail: exponential, power, or step:A for A majority classes.
        negatives: number K of negatives, or inf for the limit of many.
        q: weight Q of the negatives in infonce, or plain for Q = K.
        collisions: draw negatives from all classes, the anchor's own among them.
        margin: margin of the hinge.
        json: print what was drawn as JSON and nothing else.
        out: directory for grams.pdf, grams.png, and what was drawn as JSON, CSV and LaTeX.
    """

    classes: int = 10
    ratios: str = "1,10,100,1e4,1e5"
    taus: str = "1"
    loss: str = "infonce"

    def run(self) -> int:
        """Solve, draw, save."""
        from experiments.cli.output import progress_bar
        from figures import gram_strip
        from figures.style import save
        from geometry.long_tail import tail_proportions

        ratios, taus = numbers(self.ratios, "--ratios"), numbers(self.taus, "--taus")
        tails = tail_proportions(self.classes, ratios, self.tail)
        lines = [(loss.strip(), tau) for loss in self.loss.split(",") for tau in taus]
        rows: dict[str, list[dict[str, Any] | None]] = {}
        drawn: list[dict[str, Any]] = []
        with progress_bar("solving") as update:
            for loss, tau in lines:
                cells = rows.setdefault(self.loss_label(loss, tau), [])
                for ratio, proportions in zip(ratios, tails, strict=True):
                    cell = certified(proportions, self.settings(loss, tau))
                    cells.append(cell)
                    drawn.append({"loss": loss, "tau": tau, "ratio": ratio, "proportions": proportions, **(cell or {})})
                    update(len(drawn), len(lines) * len(ratios))
        caption, missing = certificate(cell for cells in rows.values() for cell in cells)
        figure = gram_strip.figure(rows, ratios=ratios, proportions=tails, caption=caption)
        files = save(figure, self.out / "grams")
        payload = {"tail": self.tail, "classes": self.classes, "uncertified": missing, "optima": drawn}
        header = ("loss", "tau", "ratio", "rank", "distinct", "relative_gap")
        finish(self, "grams", payload, header, [[entry.get(name) for name in header] for entry in drawn], files)
        return 0


@dataclass(frozen=True)
class Sphere(_Optima):
    """Draw the optimal means of three or four classes on the sphere, from balance through a tail to collapse.

    A strip of globes and an animation, with the cosine of every pair of classes against the imbalance ratio. Only
    certified optima are drawn; what could not be certified is left out and counted.

    Example::

        tailgeom draw sphere
        tailgeom draw sphere --classes 4 --tail exponential --tau 0.5 --still

    Attributes:
        classes: 3 (means on a great circle) or 4 (a tetrahedron at balance).
        loss: infonce, lme, supcon, exp, quadratic.
        tau: temperature.
        tail: exponential, power, or step:A for A majority classes.
        largest: the imbalance ratio at the end (default: four times that of the collapse, or 1000 without any).
        frames: pictures in the animation.
        still: leave out the animation.
        negatives: number K of negatives, or inf for the limit of many.
        q: weight Q of the negatives in infonce, or plain for Q = K.
        collisions: draw negatives from all classes, the anchor's own among them.
        margin: margin of the hinge.
        json: print what was drawn as JSON and nothing else.
        out: directory for sphere.pdf, sphere.png, sphere.gif, and what was drawn as JSON, CSV and LaTeX.
    """

    classes: int = 3
    loss: str = "infonce"
    tau: float = 1.0
    tail: str = "step:1"
    largest: float | None = None
    frames: int = 48
    still: bool = False

    def run(self) -> int:
        """Solve along the path, draw, save."""
        import numpy as np

        from experiments.cli.output import progress_bar, working
        from figures import sphere
        from figures.animation import save_gif
        from figures.style import save
        from geometry.long_tail import tail_proportions

        if self.classes not in (3, 4):
            raise UsageError(f"Expected --classes 3 or 4, for more do not fit on a sphere; got {self.classes}.")
        if not 2 <= self.frames <= 400:
            raise UsageError(f"Expected --frames from 2 to 400, got {self.frames}.")
        if self.largest is not None and not (math.isfinite(self.largest) and self.largest > 1.0):
            raise UsageError(f"Expected --largest to be a ratio above 1, got {self.largest:g}.")
        with working("looking for the collapse"):
            collapse = self.collapse()
        end = self.largest or (1e3 if collapse is None else min(4.0 * collapse, FARTHEST))
        inside = collapse if collapse is not None and collapse < end else None
        moving = np.geomspace(1.0, end, self.frames)
        still = np.geomspace(1.0, end, 5) if inside is None else np.array([*np.geomspace(1.0, inside, 4), end])
        ratios = np.unique(np.concatenate([moving, still, np.geomspace(1.0, end, SMOOTH)]))
        tails = tail_proportions(self.classes, ratios, self.tail)
        found = []
        with progress_bar("solving") as update:
            for done, proportions in enumerate(tails, start=1):
                found.append(certified(proportions, self.settings(self.loss, self.tau)))
                update(done, len(tails))
        caption, missing = certificate(found)
        kept = np.array([cell is not None for cell in found])
        cells = [cell for cell in found if cell is not None]
        grams = np.array([cell["gram"] for cell in cells])
        path = sphere.SpherePath(ratios[kept], tails[kept], grams, inside)
        shown, frames = (np.flatnonzero(np.isin(path.ratios, places)).tolist() for places in (still, moving))
        if not shown:
            raise UsageError("None of the ratios of the strip has a certified optimum; choose another --largest.")
        label = self.loss_label(self.loss, self.tau)
        files = save(sphere.strip(path, shown=shown, caption=f"{label}; {caption}"), self.out / "sphere")
        if not self.still and frames:
            pictures = []
            with progress_bar("drawing") as update:
                for picture in sphere.frames(path, frames, caption=label):
                    pictures.append(picture)
                    update(len(pictures), len(frames))
            files.append(save_gif(pictures, self.out / "sphere.gif"))
        optima = [
            {"ratio": path.ratios[i], "proportions": path.proportions[i], "vectors": path.vectors[i], **cell}
            for i, cell in enumerate(cells)
        ]
        payload = {"tail": self.tail, "classes": self.classes, **self.settings(self.loss, self.tau)}
        payload |= {"collapse": collapse, "uncertified": missing, "strip": path.ratios[shown], "optima": optima}
        above = np.triu_indices(self.classes, 1)
        named = [f"cos {sphere.NAMES[i]}{sphere.NAMES[j]}" for i, j in zip(*above, strict=True)]
        header = ("ratio", "rank", "distinct", "relative_gap", *named)
        rows = [[*(cell[name] for name in header[:4]), *cell["gram"][above]] for cell in optima]
        finish(self, "sphere", payload, header, rows, files)
        return 0

    def collapse(self) -> float | None:
        """The ratio at which classes come to share a vector: exact for a step, else by search; None for never."""
        from experiments.cli.output import say
        from geometry.long_tail import first_collapse, majority_classes
        from geometry.optimum import UncertifiedError
        from geometry.thresholds import threshold

        settings = self.settings(self.loss, self.tau)
        if self.tail.startswith("step"):
            majority = majority_classes(self.classes, self.tail)
            minority = self.classes - majority
            return threshold(majority, minority, **settings).r_star if minority > 1 else None
        try:
            return first_collapse(self.classes, self.tail, **settings)
        except UncertifiedError as error:
            say(f"The search for the collapse found none: {error}")
            return None


COMMAND = Grams | Sphere | Thresholds
