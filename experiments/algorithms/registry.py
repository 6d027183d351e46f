"""Algorithms by family and name, with options read from ``name=value`` words."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from experiments.algorithms.balanced_softmax import BalancedSoftmax
from experiments.algorithms.base import Algorithm, TrainingSet
from experiments.algorithms.bcl import BCL
from experiments.algorithms.boda import BoDA
from experiments.algorithms.causirl import CausIRL
from experiments.algorithms.cdann import CDANN
from experiments.algorithms.coral import Coral
from experiments.algorithms.dann import DANN
from experiments.algorithms.ecl import ECL
from experiments.algorithms.eqrm import EQRM
from experiments.algorithms.erm import ERM
from experiments.algorithms.fish import Fish
from experiments.algorithms.fishr import Fishr
from experiments.algorithms.fixmatch import FixMatch
from experiments.algorithms.focal import Focal
from experiments.algorithms.freematch import FreeMatch
from experiments.algorithms.ginidg import GINIDG
from experiments.algorithms.groupdro import GroupDRO
from experiments.algorithms.infonce import InfoNCE
from experiments.algorithms.irm import IRM
from experiments.algorithms.kcl import KCL
from experiments.algorithms.ldam import LDAM
from experiments.algorithms.logistic import Logistic
from experiments.algorithms.mixup import Mixup
from experiments.algorithms.mldg import MLDG
from experiments.algorithms.mmd import MMD
from experiments.algorithms.ndcl import NDCL
from experiments.algorithms.option_types import converted, in_words, is_recorded
from experiments.algorithms.paco import PaCo
from experiments.algorithms.pgrad import PGrad
from experiments.algorithms.proco import ProCo
from experiments.algorithms.rdm import RDM
from experiments.algorithms.reweight import Reweight
from experiments.algorithms.rsc import RSC
from experiments.algorithms.sagnet import SagNet
from experiments.algorithms.samaltdg import SAMALTDG
from experiments.algorithms.search import Value
from experiments.algorithms.selfreg import SelfReg
from experiments.algorithms.supcon import SupCon
from experiments.algorithms.tcri import TCRI
from experiments.algorithms.transfer import Transfer
from experiments.algorithms.trm import TRM
from experiments.algorithms.vrex import VREx
from experiments.models import Classifier
from geometry.errors import UsageError

FAMILIES: dict[str, dict[str, type[Algorithm]]] = {
    "baseline": {"erm": ERM, "logistic": Logistic},
    "class balance": {"reweight": Reweight, "focal": Focal, "balanced_softmax": BalancedSoftmax, "ldam": LDAM},
    "contrast": {
        "ndcl": NDCL,
        "infonce": InfoNCE,
        "supcon": SupCon,
        "bcl": BCL,
        "ecl": ECL,
        "kcl": KCL,
        "paco": PaCo,
        "proco": ProCo,
        "selfreg": SelfReg,
    },
    "domain alignment": {
        "coral": Coral,
        "mmd": MMD,
        "causirl": CausIRL,
        "dann": DANN,
        "cdann": CDANN,
        "tcri": TCRI,
        "boda": BoDA,
    },
    "domain risks": {
        "irm": IRM,
        "vrex": VREx,
        "groupdro": GroupDRO,
        "eqrm": EQRM,
        "rdm": RDM,
        "fishr": Fishr,
        "trm": TRM,
        "transfer": Transfer,
    },
    "update rule": {"fish": Fish, "mldg": MLDG, "pgrad": PGrad, "samaltdg": SAMALTDG},
    "changed samples": {"mixup": Mixup, "ginidg": GINIDG, "rsc": RSC, "sagnet": SagNet},
    "unlabelled data": {"fixmatch": FixMatch, "freematch": FreeMatch},
}
ALGORITHMS: dict[str, type[Algorithm]] = {
    name: algorithm for family in FAMILIES.values() for name, algorithm in family.items()
}


def algorithm_named(name: str) -> type[Algorithm]:
    """An algorithm by its name.

    Raises:
        UsageError: there is none.
    """
    if name not in ALGORITHMS:
        raise UsageError(f"Unknown algorithm {name!r}; known: {', '.join(sorted(ALGORITHMS))}.")
    return ALGORITHMS[name]


def resolve_options(name: str, given: Mapping[str, Value]) -> dict[str, Any]:
    """The full options of an algorithm: published defaults with the given ones in their place.

    Raises:
        UsageError: unknown algorithm, unknown option, or a value of the wrong type.
    """
    options = algorithm_named(name).Options
    known = {field.name: field.type for field in fields(options)}
    values = {}
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"Unknown option {key!r} of {name}; known: {', '.join(known) or 'none'}.")
        try:
            values[key] = converted(value, known[key])
        except ValueError as error:
            raise UsageError(f"Expected {in_words(known[key])} for option {key!r} of {name}, got {value!r}.") from error
    return asdict(options(**values))


def recorded_options(name: str, given: Mapping[str, Value]) -> dict[str, Any]:
    """The full options but for later ones at their defaults: what a run is known by.

    A run of a version that had no such option is the same run, with the same digest.

    Raises:
        UsageError: unknown algorithm or option.
    """
    values = resolve_options(name, given)
    options = fields(algorithm_named(name).Options)
    return {option.name: values[option.name] for option in options if is_recorded(option, values[option.name])}


def build_algorithm(name: str, model: Classifier, training_set: TrainingSet, options: Mapping[str, Any]) -> Algorithm:
    """An algorithm around a model.

    Raises:
        UsageError: unknown algorithm or option.
    """
    algorithm = algorithm_named(name)
    return algorithm(model, training_set, algorithm.Options(**resolve_options(name, options)))
