"""Spread of cosines against imbalance, a line a form."""

import pytest

from figures import equilibrium_forms, style


def experiment(loss, anchors, imbalance, spread, verdict="objective", tau=0.5, most=None):
    return {
        "loss": loss,
        "anchors": anchors,
        "tau": tau,
        "imbalance": imbalance,
        "cosine_std": spread,
        "least_start_std": spread,
        "most_start_std": most if most is not None else spread,
        "verdict": verdict,
    }


ROWS = [
    experiment(form, anchors, imbalance, spread, "simplex" if anchors == "class" else "objective", tau, most)
    for form in ("BCL", "ECL + LC + CC-GE, linear prototypes")
    for tau in (1.0, 0.1)
    for anchors, spread, most in (("sample", 0.25, 0.5), ("class", 3e-9, 2e-9))
    for imbalance in ("100", "10", "1")
]


def test_a_mark_an_experiment(fits, marked):
    figure = equilibrium_forms.figure(ROWS)
    fits(figure, style.DOUBLE)
    assert len(figure.axes) == 4
    assert [axes.get_title() for axes in figure.axes] == ["τ = 1", "τ = 0.1", "", ""]
    by_sample, by_class = marked(figure.axes[0], "experiment"), marked(figure.axes[2], "experiment")
    assert [float(mark.get_ydata()[0]) for mark in by_sample] == [0.25] * 6
    assert [float(mark.get_ydata()[0]) for mark in by_class] == [3e-9] * 6
    assert {mark.get_markerfacecolor() for mark in by_sample} == {"white"}
    assert "white" not in {mark.get_markerfacecolor() for mark in by_class}
    across = [float(mark.get_xdata()[0]) for mark in by_sample]
    assert across[:3] == sorted(across[:3])  # imbalances as numbers, whatever the rows' order
    assert len(set(across)) == 6  # forms side by side


def test_undefined_spreads_are_left_out_and_one_experiment_fits(fits, marked):
    rows = [experiment("A", "sample", "10", 0.2), experiment("A", "sample", "100", None)]
    figure = equilibrium_forms.figure(rows)
    fits(figure, style.DOUBLE)
    assert len(marked(figure.axes[0], "experiment")) == 1


def test_a_spread_that_no_start_defines_has_no_bar(fits, marked):
    rows = [experiment("A", "sample", "10", 0.2) | {"least_start_std": None, "most_start_std": None}]
    figure = equilibrium_forms.figure(rows)
    fits(figure, style.DOUBLE)
    assert [float(mark.get_ydata()[0]) for mark in marked(figure.axes[0], "experiment")] == [0.2]


def test_refusals():
    with pytest.raises(ValueError, match="none"):
        equilibrium_forms.figure([])
    with pytest.raises(ValueError, match="'sample' or 'class'"):
        equilibrium_forms.figure([experiment("A", "both", "1", 0.1)])
