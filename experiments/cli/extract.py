"""``tailgeom extract``."""

from dataclasses import dataclass, replace

from experiments.arguments import OptionalPath, RunPath
from experiments.config import UNTRAINED, ModelConfig, RunConfig
from experiments.data_config import DataConfig
from geometry.errors import UsageError


@dataclass(frozen=True)
class Extract:
    r"""Write features, logits, labels and the head as one artifact, the input of every analysis.

    With RUN: the run's selected checkpoint on its training, validation, source-test and target images, into
    RUN/artifact. Without: the features of a frozen backbone on a data set, on which
    `tailgeom train --features` trains heads. With --all they are those of every image: extracted once, and
    split by each training run as the images themselves would be.

    Example::

        tailgeom extract runs/demo/ndcl
        tailgeom extract --dataset PACS --data ROOT --all --backbone resnet50 --weights imagenet \
            --out runs/pacs/features

    Attributes:
        run_directory: a finished or running training run.
        out: where the artifact goes (default: RUN/artifact).
        checkpoint: selected (best balanced validation accuracy) or last.
        probes: measurements on the live model for `tailgeom check`, beyond anchor_gradients, which is always made;
            trajectory wants a run that was trained with --snapshots.
        probe_samples: how many samples boundary_distance measures at most, spread over domains and classes (default:
            500; a ResNet-50 takes seconds a sample on a CPU).
        all: every image of the data set and no split (instead of one setting's images).
        device: auto, cpu or cuda.
    """

    run_directory: RunPath = None
    out: OptionalPath = None
    checkpoint: str = "selected"
    probes: tuple[str, ...] = ()
    probe_samples: int | None = None
    all: bool = False
    device: str = "auto"
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig(backbone="resnet50", weights="imagenet")

    def run(self) -> int:
        """Extract, with progress, and print where the artifact is."""
        from experiments.cli.output import progress_bar, say
        from experiments.extraction import extract_frozen, extract_run, require_own_artifact
        from experiments.runs import RunDirectory
        from geometry.artifact import FILES
        from geometry.atomic import require_replaceable

        out = self.out or (self.run_directory / "artifact" if self.run_directory else None)
        if out is None:
            raise UsageError("Expected --out DIR for the features of a frozen backbone (or a RUN to extract).")
        if self.run_directory is not None and self.all:
            raise UsageError("Expected RUN or --all, got both: a run has its own split.")
        if self.run_directory is None and self.probes:
            raise UsageError("Expected RUN with --probes: they are measured on a run's trained model.")
        if self.probe_samples is not None and "boundary_distance" not in self.probes:
            raise UsageError("Expected --probes boundary_distance with --probe-samples: it is the number it measures.")
        if self.run_directory is not None and (self.data, self.model) != (DataConfig(), type(self)().model):
            raise UsageError("Expected RUN or a data set and a backbone, got both: a run has its own.")
        require_replaceable(out, FILES)
        model = self.model
        if model.backbone in UNTRAINED and model.weights == "imagenet":  # the default, which cannot be told from a wish
            say(f"{model.backbone} has no pretrained weights; the features are those of an untrained network.")
            model = replace(model, weights="none")
        model.require_weights()
        if self.run_directory is None:
            config = RunConfig(data=self.data, model=model)
            require_own_artifact(out, {"frozen": config.to_dict()}, whole=self.all)
        elif out.resolve() != (self.run_directory / "artifact").resolve():
            require_own_artifact(out, {"run": RunDirectory(self.run_directory).config()})
        with progress_bar("extracting") as update:
            if self.run_directory is not None:
                artifact = extract_run(
                    self.run_directory,
                    checkpoint=self.checkpoint,
                    probes=self.probes,
                    most_samples=self.probe_samples,
                    device=self.device,
                    progress=update,
                )
            else:
                artifact = extract_frozen(self.data, model, whole=self.all, device=self.device, progress=update)
        artifact.save(out)
        n, d = artifact.features.shape
        say(f"{out}: {n} samples, {d} features, {artifact.num_classes} classes, {artifact.num_domains} domains")
        return 0


COMMAND = Extract
