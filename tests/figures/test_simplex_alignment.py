import numpy as np
import pytest

from figures import simplex_alignment, style


def details(exact=False):
    groups = ["many", "many", "few", "few"]
    cosines = np.full((4, 4), -1 / 3)
    cosines[2, 3] = cosines[3, 2] = 0.9
    cosines[0, 1] = cosines[1, 0] = np.nan

    def block(pairs, mean):
        bar = {"estimate": mean, "low": mean if exact else mean - 0.1, "high": mean if exact else mean + 0.1}
        return {"pairs": pairs, "cosine": bar, "deviation": bar}

    return {
        "cosines": [[None if np.isnan(c) else float(c) for c in row] for row in cosines],
        "groups": groups,
        "blocks": {"many-many": block(1, float("nan")), "many-few": block(4, -1 / 3), "few-few": block(1, 0.9)},
        "target": -1 / 3,
        "tolerance": 0.1,
        "deviation": {"unseen": {"estimate": 0.25, "low": 0.25 if exact else 0.2, "high": 0.25 if exact else 0.3}},
        "decides": "unseen",
    }


def test_every_defined_pair_is_drawn_in_its_block(fits, marked):
    figure = simplex_alignment.figure({"ERM": {"class means": details(), "classifier rows": details(exact=True)}})
    fits(figure, style.DOUBLE)
    means, rows = figure.axes
    heights = [np.sort(points.get_offsets()[:, 1]).tolist() for points in marked(means, "pairs")]
    assert heights == [[], pytest.approx([-1 / 3] * 4), [0.9]]
    assert [line.get_ydata()[0] for line in marked(means, "mean")] == pytest.approx([-1 / 3, 0.9])
    assert len(marked(means, "interval")) == 2
    assert not marked(rows, "interval")
    assert "mean deviation 0.25 [0.20, 0.30]" in means.texts[0].get_text()
    assert "[" not in rows.texts[0].get_text()


def test_absent_kinds_are_said_and_nothing_is_refused(fits):
    figure = simplex_alignment.figure({"a": {"class means": details()}, "b": {"classifier rows": details()}})
    fits(figure, style.DOUBLE)
    assert [axes.texts[0].get_text() == "no data" for axes in figure.axes] == [False, True, True, False]
    with pytest.raises(ValueError, match="at least one kind"):
        simplex_alignment.figure({"a": {}})
