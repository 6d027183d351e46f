"""The plan of a sweep: every run of the grid with its whole configuration, named by the digest of it."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from experiments.algorithms.registry import ALGORITHMS, recorded_options, resolve_options
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data.datasets import LAYOUTS, open_dataset
from experiments.data.digits import DOMAINS as DIGITS
from experiments.data.long_tailed import require_sources, targets
from experiments.data.names import LONG_TAILED, TEST, same_name
from experiments.data.randomness import named_generator
from experiments.data.settings.registry import SETTINGS
from experiments.data_config import DataConfig, is_table
from experiments.origin import config_digest
from experiments.probes.registry import require_probes
from experiments.sweep.chosen import read_chosen
from experiments.sweep.spec import SEARCHED_IN_TRAINING, Source, Spec, Variant
from experiments.table.records import Place, setting_label
from experiments.task import require_used
from geometry.atomic import read_json, readable_directory
from geometry.errors import DataError, UsageError

NAME_LENGTH = 16  # hexadecimal digits of a run's directory


@dataclass(frozen=True)
class Job:
    """One run of the grid.

    Attributes:
        dataset: name of the data set.
        setting: imbalance setting, its options included.
        held_out: target domain.
        algorithm: its name.
        variant: what the spec calls the algorithm with these options.
        draw: number of the hyper-parameter draw; 0 is the defaults.
        seed: of everything.
        config: the run.
        digest: SHA-256 of the resolved configuration.
        keep: what stays in the run's directory beside its numbers.
        probes: measurements on the trained model that stay there too.
    """

    dataset: str
    setting: str
    held_out: str
    algorithm: str
    variant: str
    draw: int
    seed: int
    config: RunConfig
    digest: str
    keep: tuple[str, ...]
    probes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the run's directory."""
        return self.digest[:NAME_LENGTH]

    def labels(self) -> dict[str, Any]:
        """What tells the job from the others of its sweep, as plain values."""
        optim = self.config.optim
        names = ("dataset", "setting", "held_out", "algorithm", "variant", "draw", "seed")
        return {name: getattr(self, name) for name in names} | {
            "options": recorded_options(optim.algorithm, optim.options),
            "train": {name: getattr(optim, name) for name in SEARCHED_IN_TRAINING},
        }


def plan(spec: Spec) -> list[Job]:
    """Every job of a spec; those on the same split follow each other.

    Two variants may come to the same configuration: they are then two jobs with one digest, and one run.

    Raises:
        UsageError: an unknown algorithm, option, probe, setting or domain; an augmentation of features; training or
            options that are not those of the search to choose from.
        DataError: the domains of a data set are to be looked up and it is not there; a search to choose from that is
            not finished or has no such row.
    """
    for variant in spec.variants:
        resolve_options(variant.algorithm, variant.options)
    require_probes(spec.probes)
    chosen = None if spec.chosen_from is None else read_chosen(spec.chosen_from)
    jobs, drawn = [], {}
    for source in spec.sources:
        domains = held_out_domains(source)
        for setting, domain, seed in itertools.product(source.settings, domains, spec.seeds):
            label = _setting_label({**source.data, **setting})
            data = DataConfig(**{**source.data, **setting}, test_domain=domain, seed=seed)
            at = {"dataset": data.dataset, "setting": label, "held_out": domain, "seed": seed}
            for variant in spec.variants:
                key = (variant.name, *(at[axis] for axis in spec.draws_differ_by))
                if key not in drawn:
                    drawn[key] = draws(spec, variant, at)
                optims = drawn[key]
                if chosen is not None:
                    optims = [chosen.training(optims[0], Place(data.dataset, label, domain, variant.name))]
                for number, optim in enumerate(optims):
                    config = RunConfig(data, ModelConfig(**spec.model), optim, source.features)
                    require_used(config)
                    config.model.require_weights()
                    labels = {**at, "algorithm": variant.algorithm, "variant": variant.name, "draw": number}
                    kept = {"keep": spec.keep, "probes": spec.probes}
                    jobs.append(Job(**labels, config=config, digest=config_digest(config), **kept))
    return jobs


def draws(spec: Spec, variant: Variant, at: Mapping[str, Any]) -> list[OptimConfig]:
    """The training of every hyper-parameter draw of a variant, by number.

    Number 0 is the defaults. The others are seeded by the spec's draw seed, the variant, the axes in
    ``draws_differ_by``, the number and the parameter, so that a new range moves no other parameter's values. A variant
    without ranges has number 0 alone.

    Raises:
        UsageError: a range of an unknown parameter, or a drawn value that the algorithm refuses.
    """
    base = OptimConfig(**{**spec.train, **variant.train}, algorithm=variant.algorithm, options=dict(variant.options))
    found, ranges = [base], search_ranges(spec, variant)
    for number in range(1, spec.draws if ranges else 1):
        key = [f"{axis}={at[axis]}" for axis in spec.draws_differ_by]
        drawn = {
            name: given.draw(named_generator(spec.draw_seed, "draw", variant.name, *key, number, name))
            for name, given in ranges.items()
        }
        training = {name: value for name, value in drawn.items() if name in SEARCHED_IN_TRAINING}
        options = {name: value for name, value in drawn.items() if name not in training}
        resolve_options(variant.algorithm, {**variant.options, **options})
        found.append(replace(base, **training, options={**variant.options, **options}))
    return found


def search_ranges(spec: Spec, variant: Variant) -> dict[str, Any]:
    """What a variant is searched over: the algorithm's own ranges, then the spec's, then the variant's in their place.

    An option that the variant sets itself is not searched, unless the variant gives a range for it too.

    Raises:
        UsageError: a range of an unknown parameter.
    """
    own = getattr(ALGORITHMS[variant.algorithm], "search", {})
    shared = {name: given for name, given in {**own, **spec.search}.items() if name not in variant.options}
    found = {name: given for name, given in {**shared, **variant.search}.items() if given is not None}
    known = resolve_options(variant.algorithm, variant.options)
    for name in found:
        if name in SEARCHED_IN_TRAINING and name in known:
            raise UsageError(
                f"The range of {name!r} in the search of {variant.name} could be that of an option of "
                f"{variant.algorithm} or of its training; leave it out, or make a variant for every value."
            )
        if name not in SEARCHED_IN_TRAINING and name not in known:
            raise UsageError(
                f"Unknown parameter {name!r} in the search of {variant.name}; known: "
                f"{', '.join([*known, *SEARCHED_IN_TRAINING])}."
            )
    return found


def held_out_domains(source: Source) -> tuple[str, ...]:
    """The target domains of a data set: those that the spec names, or all.

    Raises:
        UsageError: one that the data set does not have.
        DataError: all are asked for, and what would tell them is not there; there is one domain alone.
    """
    known, root = known_domains(source), source.data.get("data")
    # Domains that the spec names are looked up where the data are; a plan can be printed where they are not.
    looked_up = not source.held_out or (source.features is None and root is not None and Path(root).exists())
    if known is None and looked_up:
        known = open_dataset(
            source.data["dataset"], root, allow_missing=source.data.get("allow_missing", False)
        ).domains
    if known is not None and known != (TEST,):
        require_sources(source.data["dataset"], known)
    if not source.held_out:
        return targets(known or ())
    for name in source.held_out:
        if known is not None and name not in known:
            raise UsageError(f"Unknown domain {name!r} of {source.data['dataset']}; known: {', '.join(known)}.")
    return source.held_out


def known_domains(source: Source) -> tuple[str, ...] | None:
    """The domains of a data set where they can be told without its files."""
    if source.features is not None:
        manifest = readable_directory(source.features) / "manifest.json"
        if manifest.exists():
            return tuple(map(str, read_json(manifest).get("domains", ())))
    known = {"digits": DIGITS} | {name: layout.domains for name, layout in LAYOUTS.items()}
    known |= dict.fromkeys(LONG_TAILED, (TEST,))
    return next((domains for name, domains in known.items() if same_name(name, source.data["dataset"])), None)


def missing_data(spec: Spec) -> list[str]:
    """What the spec reads and is not there, one sentence each; empty when the sweep can run."""
    found = []
    for source in spec.sources:
        if source.features is not None:
            if not readable_directory(source.features).exists():
                found.append(f"Expected the features of {source.data['dataset']} at {source.features}, found nothing.")
            continue
        try:
            open_dataset(source.data["dataset"], source.data.get("data"), allow_missing=True)
        except (DataError, UsageError) as error:
            found.append(str(error))
    return found


def describe(spec: Spec) -> dict[str, Any]:
    """The spec as plain values, for sweep.json."""
    return asdict(spec)


def with_places(spec: Spec, features: Path | None, data: Path | None) -> Spec:
    """The spec with features or a data root of this machine in the place of its own.

    Raises:
        UsageError: it has several data sets, so that one place is not enough.
    """
    if features is None and data is None:
        return spec
    if len(spec.sources) > 1:
        raise UsageError("The spec has several data sets; write their places into it, not after --features or --data.")
    source = spec.sources[0]
    if features is not None:
        source = replace(source, features=features)
    if data is not None:
        source = replace(source, data={**source.data, "data": data}, features=features)
    return replace(spec, sources=(source,))


def _setting_label(setting: Mapping[str, Any]) -> str:
    """The label of a spec's setting, which must be known.

    >>> _setting_label({"setting": "balanced", "labels": 5})
    'balanced, 5 labels'
    """
    name = str(setting["setting"])
    if not is_table(name) and name not in SETTINGS:
        raise UsageError(f"Unknown setting {name!r}; known: {', '.join(SETTINGS)}, or a table of counts (.csv, .yaml).")
    if is_table(name) and not Path(name).exists():
        raise DataError(f"Expected a table of counts at {name}, found none.")
    return setting_label(name, setting.get("setting_options", ()), setting.get("labels", 0))
