"""Argument types shared by the subcommands."""

from pathlib import Path
from typing import Annotated

import tyro

OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
ArtifactPath = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ARTIFACT]")]
RunPath = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")]
