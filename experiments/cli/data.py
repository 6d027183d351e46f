"""What images a data set has, and how a setting splits them: `tailgeom data inspect`, `tailgeom data split`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from experiments.data_config import DataConfig
from geometry.errors import DataError


@dataclass(frozen=True)
class Inspect:
    """Count the images of every domain and class, and read every file to name the broken ones.

    Example::

        tailgeom data inspect
        tailgeom data inspect ROOT --dataset PACS --contact-sheet runs/pacs-contact-sheet
        tailgeom data inspect ROOT --dataset CIFAR100-LT

    Attributes:
        root: folder of ROOT/<domain>/<class>/<image>, or of a long-tailed set (default: the embedded digits).
        dataset: digits, digits-LT, PACS, VLCS, OfficeHome, TerraIncognita, DomainNet, CIFAR10-LT, CIFAR100-LT,
            ImageNet-LT, ISIC2019, or any name for a tree of yours (default: digits, or the name of the folder).
        allow_missing: accept domains that lack a class.
        contact_sheet: also draw a few images of every domain and class, as PATH.pdf and PATH.png.
        json: print the result as JSON and nothing else.
        out: also write the counts into this directory as JSON, CSV and LaTeX.
    """

    root: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ROOT]")] = None
    dataset: str = ""
    allow_missing: bool = False
    contact_sheet: OptionalPath = None
    json: bool = False
    out: OptionalPath = None

    def run(self) -> int:
        """List, read, count, print; exit code 3 when a file is broken."""
        from experiments.cli.output import emit_json, print_table, progress_bar, save_result
        from experiments.data.datasets import open_dataset
        from experiments.data.decode import decode
        from experiments.data.folders import passed_over
        from experiments.data.splits import WIDEST_TABLE

        name = DataConfig(dataset=self.dataset, data=self.root).dataset_name
        catalogue = open_dataset(name, self.root, allow_missing=self.allow_missing)
        with progress_bar("reading images") as update:
            found = decode(catalogue, size=1, skip_broken=True, progress=update)
        header = ("domain", *catalogue.classes, "total")
        rows = [(name, *sizes, sizes.sum()) for name, sizes in zip(catalogue.domains, catalogue.sizes, strict=True)]
        payload: dict[str, Any] = {
            "dataset": catalogue.name,
            "domains": catalogue.domains,
            "classes": catalogue.classes,
            "counts": catalogue.sizes,
            "broken": dict(zip(found.broken, found.reasons, strict=True)),
            "passed_over": passed_over(catalogue),
        }
        if self.out is not None:
            save_result(self.out, "data", payload, header, rows)
        if self.contact_sheet is not None:
            draw_contact_sheet(catalogue.select(found.kept), self.contact_sheet)
        if self.json:
            emit_json(payload)
        else:
            if len(catalogue.classes) > WIDEST_TABLE:
                header, rows = ("domain", "classes", "min", "median", "max", "total"), summarised(catalogue)
            print_table(f"{catalogue.name}: {len(catalogue)} images", header, rows)
            if said := payload["passed_over"].words():
                print(said)
        if found.broken:
            named = "; ".join(f"{file}: {why}" for file, why in list(payload["broken"].items())[:10])
            raise DataError(
                f"{len(found.broken)} of {len(catalogue)} files cannot be read ({named}); "
                "restore them, or train with --skip-broken."
            )
        return 0


@dataclass(frozen=True)
class Split:
    """Show how many images of every domain and class train, validate and test under a setting.

    Example::

        tailgeom data split --setting TotalHeavyTail --test-domain textured
        tailgeom data split --setting exponential --setting-options ratio=50 --test-domain mnist --out tables
        tailgeom data split --setting tables/counts.csv --test-domain mnist
        tailgeom data split --dataset digits-LT --imbalance-factor 50

    Attributes:
        json: print the counts and the split's identity as JSON and nothing else.
        out: also write the split into this directory: splits.csv, and the counts as counts.csv and counts.yaml, either
            of which can be a --setting.
    """

    data: DataConfig = DataConfig()
    json: bool = False
    out: OptionalPath = None

    def run(self) -> int:
        """Split, print, save."""
        from experiments.cli.output import emit_json
        from experiments.data.imbalance import imbalance_ratio
        from experiments.data.splits import PARTS, WIDEST_TABLE
        from experiments.task import open_split
        from geometry.shots import group_masks, shot_groups

        split, thresholds, broken = open_split(self.data)
        ratio = imbalance_ratio(split.table.counts)
        groups = shot_groups(split.table.counts, thresholds)
        if self.out is not None:
            split.save_csv(self.out / "splits.csv")
            split.table.to_csv(self.out / "counts.csv")
            split.table.to_yaml(self.out / "counts.yaml")
        if self.json:
            counts = {part: split.counts(part) for part in PARTS}
            emit_json(
                split.to_manifest()
                | {"counts": counts, "imbalance": ratio, "shots": thresholds, "shot_groups": groups, "broken": broken}
            )
            return 0
        print(split.format_table())
        made_with = ", ".join(f"{name} {value}" for name, value in split.table.parameters.items())
        print(f"setting {split.table.setting}, seed {split.seed}{f'; {made_with}' if made_with else ''}")
        print(
            f"imbalance ratio {ratio.pooled:.4g} pooled over the sources; shot groups: many from {thresholds.many:.4g} "
            f"training images a class and source on average, few up to {thresholds.few:.4g}"
        )
        for name, mask in group_masks(groups).items():
            named = [cls for cls, inside in zip(split.catalogue.classes, mask, strict=True) if inside]
            shown = f"{', '.join(named[:WIDEST_TABLE])}{', ...' if len(named) > WIDEST_TABLE else ''}"
            print(f"{name}, {len(named)} of {len(mask)} classes{': ' if named else ''}{shown}")
        if broken:
            print(f"{len(broken)} broken files left out: {', '.join(broken[:10])}")
        return 0


def summarised(catalogue: Any) -> list[tuple[Any, ...]]:
    """Every domain's name, number of classes, smallest, median and largest class, and images in all."""
    import numpy as np

    rows = []
    for name, sizes in zip(catalogue.domains, catalogue.sizes, strict=True):
        present = sizes[sizes > 0]
        rows.append((name, present.size, present.min(), f"{np.median(present):g}", present.max(), sizes.sum()))
    return rows


def draw_contact_sheet(catalogue: Any, path: Path, *, columns: int = 4) -> list[Path]:
    """Draw the first images of every domain and class."""
    import numpy as np

    from experiments.data.decode import decode
    from figures.contact_sheet import figure
    from figures.style import save

    size = 28 if catalogue.name == "digits" else 64
    sheet: dict[str, dict[str, Any]] = {}
    for m, domain in enumerate(catalogue.domains):
        sheet[domain] = {}
        for k, name in enumerate(catalogue.classes):
            index = catalogue.indices(m, k)
            chosen = index[np.linspace(0, len(index) - 1, min(columns, len(index))).astype(int)]
            pixels = decode(catalogue, chosen, size).images if len(chosen) else np.zeros((0, size, size, 3), np.uint8)
            sheet[domain][name] = pixels
    return save(figure(sheet, samples=columns), path)


COMMAND = Inspect | Split
