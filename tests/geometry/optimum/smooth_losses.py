"""The differentiable losses of the program, with the settings under test."""

from geometry.optimum import Exponential, InfoNCE, Linear, LogMeanExp, Quadratic

SMOOTH = [
    InfoNCE(),
    InfoNCE(3.0, negatives=1),
    InfoNCE(0.5, negatives=4),
    InfoNCE("plain", negatives=7),
    InfoNCE(negatives=10**6),
    LogMeanExp(),
    LogMeanExp(negatives=1),
    LogMeanExp(negatives=5),
    Exponential(negatives=3),
    Quadratic(),
    Linear(),
]
