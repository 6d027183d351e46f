"""BatchNorm that stays as the pretrained weights have it."""

from typing import Self

from torch.nn.modules.batchnorm import _BatchNorm

from experiments.models.image_backbone import ImageBackbone


class FrozenNorm(ImageBackbone):
    """A backbone whose BatchNorm stays in evaluation mode while training (DomainBed's protocol).

    Its statistics are then those of the pretrained weights, and features do not depend on what else is in a batch.
    """

    def train(self, mode: bool = True) -> Self:
        """Training mode for everything but BatchNorm."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self
