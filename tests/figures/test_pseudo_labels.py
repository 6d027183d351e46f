"""The figure of pseudo-labels shows a class's own numbers, in the order of the training counts."""

import numpy as np
import pytest

from figures import pseudo_labels, style
from geometry.atomic import plain
from geometry.pseudo_labels import measure_pseudo_labels

CLASSES = ("cat", "dog", "ox", "yak")
COUNTS = (5, 40, 12, 2)
SHOTS = ("medium", "many", "medium", "few")


def report(threshold=0.75):
    """Cats are half right and never kept, all dogs right and kept, oxen are called dogs, and there is no yak."""
    rows = {
        "cat": [[0.6, 0.3, 0.1, 0.0], [0.3, 0.6, 0.1, 0.0]],
        "dog": [[0.1, 0.9, 0.0, 0.0]] * 6,
        "ox": [[0.0, 0.8, 0.2, 0.0]] * 2,
    }
    labels = [CLASSES.index(name) for name, found in rows.items() for _ in found]
    masks = {group: np.array([shot == group for shot in SHOTS]) for group in ("many", "medium", "few")}
    found = measure_pseudo_labels(np.concatenate(list(rows.values())), labels, CLASSES, masks, threshold=threshold)
    return plain(found)


def drawn(axes, gid):
    """Positions and heights of the marks of one kind, from left to right."""
    return sorted(
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if line.get_gid() == gid
    )


def test_classes_stand_in_the_order_of_their_counts_with_their_own_numbers():
    figure = pseudo_labels.figure({"fixmatch": report()}, class_names=CLASSES, counts=COUNTS, shots=SHOTS)
    accuracy, kept, kept_accuracy, shares = figure.axes
    assert [tick.get_text() for tick in shares.get_xticklabels()] == ["dog", "ox", "cat", "yak"]
    assert drawn(accuracy, "accuracy") == [(0, 1.0), (1, 0.0), (2, 0.5)]
    assert drawn(kept, "kept") == [(0, 1.0), (1, 1.0), (2, 0.0)]
    assert drawn(kept_accuracy, "kept_accuracy") == [(0, 1.0), (1, 0.0)]
    assert drawn(shares, "true") == [(0, 0.6), (1, 0.2), (2, 0.2), (3, 0.0)]
    assert drawn(shares, "named") == [(0, 0.9), (1, 0.0), (2, 0.1), (3, 0.0)]
    assert drawn(shares, "named and kept") == [(0, 1.0), (1, 0.0), (2, 0.0), (3, 0.0)]


def test_what_cannot_be_said_is_marked_and_group_means_are_lines():
    figure = pseudo_labels.figure({"fixmatch": report()}, class_names=CLASSES, counts=COUNTS, shots=SHOTS)
    absent = [[text.get_position()[0] for text in axes.texts if text.get_gid() == "absent"] for axes in figure.axes[:3]]
    assert absent == [[3], [3], [2, 3]]
    assert drawn(figure.axes[0], "mean") == [(-0.4, 1.0), (0.6, 0.25)]


def test_nothing_kept_draws_no_kept_share(tmp_path):
    figure = pseudo_labels.figure({"a": report(1.0), "b": report()}, class_names=CLASSES, counts=COUNTS, shots=SHOTS)
    first, second = figure.axes[6], figure.axes[7]
    assert drawn(first, "named and kept") == []
    assert len(drawn(second, "named and kept")) == 4
    assert all(path.stat().st_size for path in style.save(figure, tmp_path / "pseudo_labels"))


def test_without_counts_and_groups_the_samples_order_the_classes():
    figure = pseudo_labels.figure({"fixmatch": report()}, class_names=CLASSES)
    assert [tick.get_text() for tick in figure.axes[3].get_xticklabels()] == ["dog", "cat", "ox", "yak"]
    assert drawn(figure.axes[0], "mean") == []


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="4 classes"):
        pseudo_labels.figure({"fixmatch": report()}, class_names=CLASSES, counts=(1, 2))
    with pytest.raises(ValueError, match="Expected models"):
        pseudo_labels.figure({}, class_names=CLASSES)
