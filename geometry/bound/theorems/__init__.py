"""Theorems A to D (ours): both sides of each bound, exact where all population quantities are known."""

from geometry.bound.theorems.label_shift import LabelShiftBound, label_shift_bound
from geometry.bound.theorems.margin_form import MarginForm, margin_form
from geometry.bound.theorems.posterior_form import PosteriorForm, hull_distance, posterior_form
from geometry.bound.theorems.prototype_form import PrototypeForm, prototype_form

__all__ = [
    "LabelShiftBound",
    "MarginForm",
    "PosteriorForm",
    "PrototypeForm",
    "hull_distance",
    "label_shift_bound",
    "margin_form",
    "posterior_form",
    "prototype_form",
]
