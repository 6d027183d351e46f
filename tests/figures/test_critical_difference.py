"""What a critical-difference diagram shows."""

import pytest

from figures import critical_difference, style

RANKS = {"erm": 3.0, "ndcl": 1.2, "ldam": 2.4, "focal": 3.4}


def test_every_name_with_its_rank_and_every_bar(tmp_path):
    drawn = critical_difference.figure(RANKS, 1.0, blocks=12)
    words = [text.get_text() for text in drawn.axes[0].texts]
    assert all(any(name in word and f"{rank:.2f}" in word for word in words) for name, rank in RANKS.items())
    assert any("critical difference 1.00" in word and "N = 12" in word for word in words)
    bars = [line for line in drawn.axes[0].lines if line.get_linewidth() > 2]
    assert len(bars) == 1  # ldam, erm and focal lie within 1.0; ndcl alone does not
    assert bars[0].get_xdata()[0] == pytest.approx(2.4, abs=0.1)
    assert bars[0].get_xdata()[1] == pytest.approx(3.4, abs=0.1)
    assert [path.suffix for path in style.save(drawn, tmp_path / "cd")] == [".pdf", ".png"]


def test_no_text_leaves_the_figure_or_hides_another():
    ranks = {f"a long name of variant {i}": 1.0 + i for i in range(14)}
    drawn = critical_difference.figure(ranks, 3.0, blocks=16, label="average rank by balanced accuracy")
    drawn.draw_without_rendering()
    boxes = [text.get_window_extent() for text in drawn.axes[0].texts]
    width, height = drawn.bbox.width, drawn.bbox.height
    assert all(b.x0 >= 0 and b.x1 <= width and b.y0 >= 0 and b.y1 <= height for b in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_one_algorithm_has_no_rank():
    with pytest.raises(ValueError, match="two algorithms"):
        critical_difference.figure({"erm": 1.0}, 1.0, blocks=3)
