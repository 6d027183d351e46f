"""The ``tailgeom`` command: one file a subcommand, imported only when it is asked for."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

COMMANDS = {
    "demo": "Run the whole chain on four embedded digit domains and write one report.",
    "data": "Count the images of a data set and show how a setting splits them.",
    "algorithms": "List the training algorithms, or one's options with defaults and search ranges.",
    "train": "Train an algorithm on an imbalanced multi-domain data set.",
    "sweep": "Run a grid of data sets, settings, algorithms, hyper-parameter draws and seeds.",
    "table": "Turn sweeps and runs into the tables of a paper, with paired tests.",
    "import-domainbed": "Turn a DomainBed checkpoint (model.pkl) into an artifact.",
    "extract": "Write a run's (or a frozen backbone's) features, logits and labels as an artifact.",
    "measure": "Measure neural collapse and minority collapse in an artifact.",
    "optimum": "Solve for the optimal geometry of class means, with a certificate.",
    "threshold": "Find the imbalance ratio at which minority classes collapse, or why they never do.",
    "phase": "Map minority collapse over imbalance, temperature, negatives or majority classes.",
    "free": "Optimise free class vectors under any training loss, and see what geometry it wants.",
    "draw": "Draw the theory: optimal geometries over imbalance, the sphere, thresholds.",
    "compare": "Compare learned class means with the optimal geometry for their proportions.",
    "bound": "Estimate the terms of a generalization bound from an artifact.",
    "check": "Check whether the theory's assumptions hold in an artifact, with verdicts.",
    "report": "Analyse one or more runs and write figures and one self-contained report.",
}

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code (0 ok, 1 a check failed, 2 usage, 3 data missing or broken)."""
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        # Whoever read the output has left; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}; finished work is kept.", 3)
    except KeyboardInterrupt:
        return _fail("Interrupted; finished work is kept, and training goes on from its last checkpoint.", INTERRUPTED)


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview(), flush=True)
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"tailgeom {version('tailgeom')}", flush=True)
        return 0
    if words[0] not in COMMANDS:
        return _fail(f"Unknown command {words[0]!r}; known: {', '.join(COMMANDS)}.", 2)
    return _run(words[0], words[1:])


def overview() -> str:
    """The text of ``tailgeom --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: tailgeom COMMAND [options]",
            "",
            "Theory and geometry of representations learned from imbalanced data.",
            "",
            "commands:",
            *lines,
            "",
            "Every command explains itself:  tailgeom COMMAND --help",
            "Every analysis takes --json (the result on standard output) and --out DIR (JSON, CSV and LaTeX files).",
            "Exit codes: 0 ok, 1 a check failed, 2 usage, 3 data missing or broken.",
        ]
    )


def _run(name: str, words: Sequence[str]) -> int:
    import contextlib
    import io
    from typing import get_args

    import tyro

    from geometry.errors import TailgeomError

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    module = import_module(f"experiments.cli.{name.replace('-', '_')}")
    command: Any = module.COMMAND
    members = {} if isinstance(command, type) else {member.__name__.lower(): member for member in get_args(command)}
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parsed = tyro.cli(
                _with_descriptions(members) if members else command,
                prog=f"tailgeom {name}",
                args=list(words),
                description=_description(module if members else command),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except TailgeomError as error:
        return _fail(str(error), error.exit_code)
    except SystemExit as stop:
        if not stop.code:
            return 0
        asked = [name, *(word for word in words[:1] if word in members)]
        return _fail(f"{_one_sentence(complaint.getvalue())}; see tailgeom {' '.join(asked)} --help.", 2)
    try:
        _require_out(parsed)
        code = int(parsed.run() or 0)
        sys.stdout.flush()
        return code
    except TailgeomError as error:
        return _fail(str(error), error.exit_code)


def _require_out(parsed: Any) -> None:
    """Refuse an --out that can be no directory before anything is computed for it."""
    from pathlib import Path

    from geometry.atomic import require_directory

    out = getattr(parsed, "out", None)
    if isinstance(out, Path):
        require_directory(out)


def _with_descriptions(members: Mapping[str, Any]) -> Any:
    """The subcommands of a command, each with its own words; tyro would print their docstrings as they are."""
    from functools import reduce
    from operator import or_
    from typing import Annotated

    import tyro

    described = [
        Annotated[member, tyro.conf.subcommand(name, description=_description(member), prefix_name=False)]
        for name, member in members.items()
    ]
    return reduce(or_, described)


def _description(documented: Any) -> str:
    """A docstring as help prints it: without its attributes, which are the options, and without markup."""
    import inspect
    import re

    text, _, _ = inspect.cleandoc(documented.__doc__ or "").partition("\nAttributes:")
    return re.sub(r"::\n+", ":\n", text)


def _one_sentence(box: str) -> str:
    """What a box of tyro's says between its title and the next rule."""
    import re

    lines = [line for found in box.splitlines() if (line := found.strip("╭╮╰╯│ "))][1:]
    rules = [position for position, line in enumerate(lines) if not line.strip("─-")]
    start = 1 if rules[:1] == [0] else 0
    end = next((position for position in rules if position > start), len(lines))
    said = " ".join(lines[start:end]) or "Cannot read the options"
    # What an options class itself complained of is a sentence already; of a union tyro tells its own types.
    said = re.sub(r"^Error parsing [\w.-]+: (?=Expected|Unknown)", "", said)
    union = re.match(r"Error parsing (--\S+): no type matching (\S.*?) could be instantiated from \[(.*?)\]", said)
    if union:
        kinds = [_in_words(kind) for kind in union[2].replace("{", "").replace("}", "").split("|") if kind != "None"]
        given = union[3].replace("'", "").replace(",", "") or "nothing"
        said = f"Expected {' or '.join(kinds)} after {union[1]}, got {given}"
    number = re.match(
        r"Error parsing (--\S+): (?:invalid literal for (int)|could not convert \S+ to float).*?: (.*)", said
    )
    if number:
        said = f"Expected {_in_words('INT' if number[2] else 'FLOAT')} after {number[1]}, got {number[3]}"
    return said.rstrip(".")


def _in_words(kind: str) -> str:
    """What tyro calls ``FLOAT FLOAT``, for a reader."""
    known = {"INT": "a whole number", "FLOAT": "a number", "FLOAT FLOAT": "two numbers"}
    return known.get(kind, kind)


def _fail(message: str, code: int) -> int:
    print(f"tailgeom: {message}", file=sys.stderr)
    return code
