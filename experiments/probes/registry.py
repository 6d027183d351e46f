"""The probes by name: what extraction records beside features and logits."""

from collections.abc import Callable, Mapping, Sequence

from experiments.probes.anchor_gradients import anchor_gradients, anchor_gradients_all
from experiments.probes.boundary_distance import boundary_distance
from experiments.probes.context import Context, Recorded
from experiments.probes.hard_negatives import hard_negatives
from experiments.probes.parameter_gradients import parameter_gradients
from experiments.probes.prototypes import prototypes
from experiments.probes.trajectory import trajectory
from geometry.errors import UsageError

Probe = Callable[[Context], Recorded]

PROBES: Mapping[str, Probe] = {
    "anchor_gradients": anchor_gradients,
    "anchor_gradients_all": anchor_gradients_all,
    "boundary_distance": boundary_distance,
    "hard_negatives": hard_negatives,
    "parameter_gradients": parameter_gradients,
    "prototypes": prototypes,
    "trajectory": trajectory,
}
ALWAYS = ("anchor_gradients", "prototypes")  # seconds; the others are asked for by name


def record(names: Sequence[str], context: Context) -> Recorded:
    """What the probes that always run and the named ones measure, by the name of the array.

    Raises:
        UsageError: an unknown probe.
    """
    require_probes(names)
    recorded: Recorded = {}
    for name, probe in PROBES.items():
        if name in ALWAYS or name in names:
            recorded |= probe(context)
    return recorded


def require_probes(names: Sequence[str]) -> None:
    """Insist on known names.

    Raises:
        UsageError: an unknown probe.
    """
    unknown = [name for name in names if name not in PROBES]
    if unknown:
        raise UsageError(f"Unknown probe {unknown[0]!r}; known: {', '.join(PROBES)}.")
