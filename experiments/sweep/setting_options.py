"""The options of a spec's imbalance settings, checked while the spec is read."""

from collections.abc import Sequence

from experiments.data.settings.registry import resolve_parameters
from experiments.data_config import is_table
from experiments.named_values import named_values
from geometry.errors import UsageError


def require_setting_options(setting: str, options: Sequence[str]) -> None:
    """Refuse what every job would.

    Raises:
        UsageError: an unknown setting, options that it has not, or that are no numbers or switches.
    """
    given = named_values(options, "setting_options")
    if given and is_table(setting):
        raise UsageError(f"The counts in {setting} have no parameters; leave out setting_options.")
    if not is_table(setting):
        resolve_parameters(setting, given)
    if words := [name for name, value in given.items() if isinstance(value, str)]:
        raise UsageError(f"Expected a number for {words[0]} in setting_options, got {given[words[0]]!r}.")
