"""Forms of repelling as rows, and gradients against closeness to the simplex."""

import pytest

from figures import repel_only, style


def form(variant, loss, imbalance, spread, std, anchors="sample"):
    return {
        "variant": variant,
        "loss": loss,
        "anchors": anchors,
        "imbalance": imbalance,
        "cosine_std": std,
        "spread": spread,
    }


def one(loss, tau, closeness, cosine):
    ends = {f"{name}_{end}": cosine for name in ("cosine", "own_class") for end in ("low", "high")}
    return {"loss": loss, "tau": tau, "closeness": closeness, "cosine": cosine, "own_class": cosine} | ends


FORMS = [
    form("alone", "samples", "1", 0.0, 0.0),
    form("alone", "samples", "30", 1e-9, 0.5),
    form("alone", "samples", "1", 0.0, 0.0, "class"),
    form("alone, 3 domains", "samples, other domains", "10", 1.0, None),
]
RELATION = [
    one(loss, tau, closeness, 0.3)
    for loss in repel_only.LOSSES
    for tau in (1.0, 0.1)
    for closeness in (0.9, 0.0)  # any order
]


def test_rows_and_curves(fits, marked):
    figure = repel_only.figure(FORMS, RELATION)
    fits(figure, style.DOUBLE)
    angles, spreads, *below = figure.axes
    assert [label.get_text() for label in angles.get_yticklabels()] == [
        "samples, anchors by sample",
        "samples, anchors by class",
        "samples, other domains",
    ]
    assert [text.get_text() for text in marked(angles, "group")] == ["alone", "alone, 3 domains"]
    assert [float(mark.get_xdata()[0]) for mark in marked(angles, "experiment")] == [0.0, 0.5, 0.0]
    assert [text.get_text() for text in marked(angles, "gone")] == ["class means vanish"]
    assert [float(mark.get_xdata()[0]) for mark in marked(spreads, "experiment")] == [0.0, 1e-9, 0.0, 1.0]
    assert [axes.get_title() for axes in below] == ["τ = 1", "τ = 0.1", "", ""]
    assert [len(marked(axes, "gradient")) for axes in below] == [4, 4, 5, 5]  # repel-only against itself is 1
    assert list(marked(below[0], "gradient")[0].get_xdata()) == [0.0, 0.9]


@pytest.mark.parametrize(
    ("rows", "relation", "said"),
    [
        ([], RELATION, "none"),
        (FORMS, [], "none"),
        ([form("alone", "samples", "7", 0, 0)], RELATION, "7"),
        (FORMS, [one("CE", 1.0, 0.0, 0.0)], "CE"),
    ],
)
def test_refusals(rows, relation, said):
    with pytest.raises(ValueError, match=said):
        repel_only.figure(rows, relation)
