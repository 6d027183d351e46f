"""What a drawn figure shows, read back from its artists."""

import numpy as np

DOMAINS = ("optdigits", "mnist", "printed", "textured")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(artists):
    """``(n, 2)`` data of single-point lines."""
    return np.array([np.ravel(artist.get_xydata()) for artist in artists], dtype=float).reshape(-1, 2)
