"""The small network of the embedded default: it names the stripes of the data set `planted`."""

import torch
from jaxtyping import Float
from torch import nn

CLASSES = 9
WIDTHS = (16, 32, 48, 64)


class PlantedNet(nn.Module):
    """Four convolutions, a global mean and a linear layer: 64 x 64 RGB crops in, 9 logits out.

    The receptive field of 33 pixels holds a period of stripes from 2 cycles/image on; the mean over positions
    makes the answer independent of where the object lies. `experiments/planted_checkpoint.py` trains it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(3, WIDTHS[0], kernel=5, stride=2),
            *_block(WIDTHS[0], WIDTHS[1], kernel=3, stride=2),
            *_block(WIDTHS[1], WIDTHS[2], kernel=3, stride=2),
            *_block(WIDTHS[2], WIDTHS[3], kernel=3, stride=1),
        )
        self.classify = nn.Linear(WIDTHS[3], CLASSES)

    def forward(self, batch: Float[torch.Tensor, "n 3 h w"]) -> Float[torch.Tensor, "n 9"]:
        """Logits of a normalised batch."""
        logits: torch.Tensor = self.classify(self.features(batch).mean(dim=(2, 3)))
        return logits


def _block(inputs: int, outputs: int, *, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
