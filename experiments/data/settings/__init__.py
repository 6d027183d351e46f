"""Imbalance settings: named generators of training counts per source domain and class, one idea a module."""

from experiments.data.settings.registry import SETTINGS, make_counts

__all__ = ["SETTINGS", "make_counts"]
