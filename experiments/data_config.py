"""Which images a run is made from, how imbalanced, and how they are split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.arguments import OptionalPath
from experiments.data.names import LAWS, TEST, long_tailed
from experiments.named_values import Value, named_values
from geometry.errors import UsageError

EMBEDDED = "digits"
DEFAULT_SETTING, DEFAULT_TEST_DOMAIN = "TotalHeavyTail", "textured"
SHORT_FORMS = ("imbalance_factor", "imbalance")
SPLIT_FIELDS = ("setting", "setting_options", "test_domain", "validation", "shots", "seed", "labels")


def folder_name(root: Path | None) -> str:
    """What a tree of one's own is called where it is not named: like its folder; nothing without a folder."""
    return "" if root is None else root.resolve().name


def is_table(setting: str) -> bool:
    """Whether a setting names a file of counts.

    >>> is_table("tables/ginidg.csv"), is_table("Duality")
    (True, False)
    """
    return setting.lower().endswith((".csv", ".yaml", ".yml"))


def require_known(flag: str, given: str, known: Sequence[str]) -> None:
    """Refuse a word that is none of the known ones.

    Raises:
        UsageError: it is none of them.
    """
    if given not in known:
        raise UsageError(f"Unknown {flag} {given!r}; known: {', '.join(known)}.")


@dataclass(frozen=True)
class DataConfig:
    """Which images, how imbalanced, and which domain is held out.

    Attributes:
        dataset: digits (embedded; the default without --data), PACS, VLCS, OfficeHome, TerraIncognita, DomainNet, or
            any name for a tree of yours; with one long-tailed training split and a test split: digits-LT (embedded),
            CIFAR10-LT, CIFAR100-LT, ImageNet-LT, ISIC2019, or any name for a tree of yours (default: the name of the
            folder after --data).
        data: root folder of root/<domain>/<class>/<image>, root/{train,test}/<class>/<image> or root/<class>/<image>
            (then a test split is taken off first); not needed for digits and digits-LT.
        setting: how many training images each (domain, class) gets: TotalHeavyTail (the default), Duality, Cross,
            exponential, balanced or natural, LongTail or Step (see --imbalance-factor); or a table of counts, as a .csv
            or .yaml file. With --features that carry a split of their own, giving a setting or a test domain splits
            them anew.
        setting_options: the setting's own parameters, as name=value (for example c=2, ratio=50, shuffle=true).
        test_domain: the held-out domain; no image of it is trained on (textured for digits, test for long-tailed sets).
        validation: images per source domain and class kept for balanced validation; 0 takes the data set's protocol
            (15 for digits and PACS, none for long-tailed sets, whose last checkpoint is then the selected one, else 5).
        shots: boundaries of many and few, in training images per class and source; the published ones without it, or
            thirds of the counts where nothing is published.
        image_size: pixels a side; 0 takes the data set's own (28 for digits, 224 for photographs).
        allow_missing: accept domains that lack a class.
        skip_broken: leave out files that are no images instead of stopping; they are counted and listed.
        seed: of splits, imbalance, initialisation, batches and mixing.
        imbalance_factor: largest over smallest training class by the recipe of CIFAR-LT (Cao et al. 2019); short for
            --setting LongTail (or Step) --setting-options ratio=FACTOR.
        imbalance: exponential (LongTail) or step (Step); with --imbalance-factor.
        labels: training images per source domain and class that keep their label, for semi-supervised algorithms; the
            others are the part `unlabelled`. 0 labels them all.
    """

    dataset: str = ""
    data: OptionalPath = None
    setting: str = ""
    setting_options: tuple[str, ...] = ()
    test_domain: str = ""
    validation: int = 0
    shots: tuple[float, float] | None = None
    image_size: int = 0
    allow_missing: bool = False
    skip_broken: bool = False
    seed: int = 0
    imbalance_factor: float = 0.0
    imbalance: str = "exponential"
    labels: int = 0

    def __post_init__(self) -> None:
        self._spell_out_imbalance()
        if self.validation < 0:
            raise UsageError(f"Expected 0 (the protocol's) or more validation images, got {self.validation}.")
        if self.image_size and not 8 <= self.image_size <= 2048:
            raise UsageError(f"Expected an image size of 0 (automatic) or 8 to 2048 pixels, got {self.image_size}.")
        if self.seed < 0:
            raise UsageError(f"Expected a seed of 0 or more, got {self.seed}.")
        if self.labels < 0:
            raise UsageError(f"Expected --labels of 0 (all) or more, got {self.labels}.")
        if self.data is not None:  # the run is found again from any folder
            object.__setattr__(self, "data", self.data.absolute())
        if is_table(self.setting):
            object.__setattr__(self, "setting", str(Path(self.setting).absolute()))
        # One spelling for one value: c=2.0 and c=2 are the same run.
        words = [f"{name}={value}" for name, value in sorted(self.setting_parameters.items())]
        object.__setattr__(self, "setting_options", tuple(words))
        if self.shots is not None:
            object.__setattr__(self, "shots", tuple(map(float, self.shots)))

    @property
    def setting_parameters(self) -> dict[str, Value]:
        """The setting's parameters by name."""
        return named_values(self.setting_options, "--setting-options")

    @property
    def dataset_name(self) -> str:
        """The data set that was named, or the folder that was given, or the embedded one.

        >>> DataConfig().dataset_name, DataConfig(data=Path("photos/birds")).dataset_name
        ('digits', 'birds')
        """
        return self.dataset or folder_name(self.data) or EMBEDDED

    @property
    def chosen(self) -> bool:
        """Whether a setting, its options, a held-out domain or a number of labels was asked for."""
        return bool(self.setting or self.test_domain or self.setting_options or self.labels)

    def filled(self) -> "DataConfig":
        """The same with data set, setting and held-out domain in the place of what was left open."""
        dataset = self.dataset_name
        known = long_tailed(dataset)
        usual = TEST if known else DEFAULT_TEST_DOMAIN if dataset == EMBEDDED else ""
        setting = self.setting or (known.setting if known else DEFAULT_SETTING)
        options = self.setting_options or (known.options if known and known.setting == setting else ())
        domain = self.test_domain or usual
        return replace(self, dataset=dataset, setting=setting, setting_options=options, test_domain=domain)

    def _spell_out_imbalance(self) -> None:
        """Put the setting in the place of its short form, so that one imbalance has one spelling."""
        require_known("--imbalance", self.imbalance, tuple(LAWS))
        if not self.imbalance_factor and self.imbalance != "exponential":
            raise UsageError(f"Expected --imbalance-factor beside --imbalance {self.imbalance}.")
        if self.imbalance_factor:
            if self.setting or "ratio" in self.setting_parameters:
                raise UsageError("Expected --imbalance-factor or --setting with its ratio, got both.")
            object.__setattr__(self, "setting", LAWS[self.imbalance])
            object.__setattr__(self, "setting_options", (*self.setting_options, f"ratio={self.imbalance_factor:.17g}"))
        object.__setattr__(self, "imbalance_factor", 0.0)
        object.__setattr__(self, "imbalance", "exponential")


def data_config(saved: Mapping[str, Any]) -> DataConfig:
    """A :class:`DataConfig` from the plain values that were saved of one."""
    shots = saved.get("shots")
    changed = {
        "data": None if saved.get("data") is None else Path(saved["data"]),
        "setting_options": tuple(saved.get("setting_options", ())),
        "shots": None if shots is None else tuple(shots),
    }
    return DataConfig(**{**saved, **changed})
