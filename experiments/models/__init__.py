"""Backbones and the classifier that joins one with a linear head."""

from experiments.models.classifier import Classifier, build_classifier

__all__ = ["Classifier", "build_classifier"]
