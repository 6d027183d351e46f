"""The forest plot of which term predicts generalization."""

import pytest

from figures import forest, style

DOMAINS = ("art", "photo", "sketch")


def entry(term, outcome, estimate, **changes):
    values = {
        "term": term,
        "outcome": outcome,
        "needs": "sources",
        "trivial": "",
        "within": {"estimate": estimate, "low": None if estimate is None else estimate - 0.2, "high": 0.95},
        "pooled": {"estimate": 0.3, "low": 0.1, "high": 0.5},
        "domains": dict.fromkeys(DOMAINS, estimate),
        "p_holm": 0.5,
        "same_as": "",
        "note": "" if estimate is not None else "constant over the runs",
    }
    return values | changes


def result(*entries):
    return {
        "associations": entries,
        "runs": 48,
        "held_out": DOMAINS,
        "clusters": "held-out domain",
        "level": 0.95,
    }


STUDY = result(
    *(
        made
        for outcome in ("target error", "balanced target error")
        for made in (
            entry("mean margin", outcome, -0.4),
            entry("balanced risk, sources", outcome, 0.8, p_holm=0.01),
            entry("proxy A-distance", outcome, None, pooled={"estimate": None, "low": None, "high": None}),
            entry("the same risk", outcome, 0.8, same_as="balanced risk, sources"),
            entry("risk, target", outcome, 0.9, needs="target labels", trivial="it is the outcome"),
        )
    )
)


def test_a_row_a_term_strongest_first_and_oracles_apart(fits, marked):
    figure = forest.figure(STUDY)
    fits(figure, style.DOUBLE)
    error, balanced = figure.axes
    assert (error.get_title(), balanced.get_title()) == ("target error", "balanced target error")
    assert [label.get_text() for label in error.get_yticklabels()] == [
        "No target labels needed",
        "balanced risk, sources",
        "mean margin",
        "Oracles: need target labels",
        "risk, target †",
    ]
    places = {float(mark.get_ydata()[0]): float(mark.get_xdata()[0]) for mark in marked(error, "within")}
    assert places == {1.0: 0.8, 2.0: -0.4, 4.0: 0.9}


def test_only_what_is_significant_is_filled_and_what_has_no_row_is_counted(marked):
    figure = forest.figure(STUDY)
    axes = figure.axes[0]
    filled = [mark.get_markerfacecolor() != "white" for mark in marked(axes, "within")]
    assert filled == [True, False, False]
    assert "1 constant over the runs, 1 that rank the runs as another does" in figure.get_supxlabel()
    assert len(marked(axes, "pooled")) == 3
    assert len(marked(axes, "domain")[0].get_xdata()) == 3


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one association"):
        forest.figure(result())
