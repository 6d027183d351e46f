"""``tailgeom import-domainbed``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.arguments import OptionalPath
from experiments.data_config import DataConfig
from geometry.errors import UsageError


@dataclass(frozen=True)
class ImportDomainbed:
    r"""Turn a DomainBed checkpoint (model.pkl) into an artifact, the input of every analysis.

    Checkpoints of DomainBed and of what is built on it (MDLT, the NDCL release): a ResNet with one linear layer on
    it. The images are needed, for an artifact holds the features of a data set; data set and held-out domain are the
    checkpoint's own unless they are given. The images are split by tailgeom, so those it calls training images need
    not be the ones that the checkpoint saw.

    A pickle can run any program when it is read. Only tensors, plain values and numpy's scalars are read; a file with
    anything else is refused unless --trust-pickle is given.

    Example::

        tailgeom import-domainbed model.pkl --data ROOT --setting TotalHeavyTail --out runs/theirs/artifact
        tailgeom import-domainbed model.pkl --data ROOT --dataset PACS --test-domain sketch --validation 15 \
            --out runs/theirs/artifact

    Attributes:
        checkpoint: model.pkl.
        out: where the artifact goes.
        trust_pickle: unpickle whatever the file holds; only for files of your own.
        device: auto, cpu or cuda.
    """

    checkpoint: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL.PKL")] = None
    out: OptionalPath = None
    trust_pickle: bool = False
    device: str = "auto"
    data: DataConfig = DataConfig()

    def run(self) -> int:
        """Read, extract with progress, and print where the artifact is."""
        from experiments.cli.output import progress_bar, say
        from experiments.domainbed import extract_checkpoint
        from experiments.extraction import require_own_artifact
        from geometry.artifact import FILES
        from geometry.atomic import require_replaceable

        if self.checkpoint is None or self.out is None:
            raise UsageError(
                "Expected a checkpoint and a place: tailgeom import-domainbed model.pkl --data ROOT --out DIR."
            )
        if self.data.data is None:
            raise UsageError("Expected the images behind the checkpoint: --data ROOT (root/<domain>/<class>/<image>).")
        require_replaceable(self.out, FILES)
        require_own_artifact(self.out, {"domainbed": None})
        with progress_bar("extracting") as update:
            artifact = extract_checkpoint(
                self.checkpoint, self.data, trust_pickle=self.trust_pickle, device=self.device, progress=update
            )
        artifact.save(self.out)
        n, d = artifact.features.shape
        say(f"{self.out}: {n} samples, {d} features, {artifact.num_classes} classes, {artifact.num_domains} domains")
        say(f"held out: {artifact.held_out}; splits are tailgeom's own, not those the checkpoint was trained on")
        return 0


COMMAND = ImportDomainbed
