"""The blocks of the networks: each ends in a pointwise convolution (or the first, dense one), batch norm and ReLU."""

from jaxtyping import Float
from torch import Tensor, nn

from bandscope.nn.layers import DerivativeConv2d
from bandscope.nn.plan import Row


class FixedBlock(nn.Module):
    """Fixed depthwise operator, batch norm, pointwise convolution, batch norm, ReLU.

    Nothing non-linear stands between operator and pointwise convolution, which chooses among the features.
    """

    def __init__(self, operator: DerivativeConv2d, outputs: int) -> None:
        super().__init__()
        self.operator = operator
        self.bn1 = nn.BatchNorm2d(operator.out_channels)
        self.pointwise = nn.Conv2d(operator.out_channels, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d y x"]:
        """Features of the next layer."""
        out: Tensor = self.act(self.bn2(self.pointwise(self.bn1(self.operator(features)))))
        return out


class LearnedBlock(nn.Module):
    """MobileNetV1's block: learned depthwise convolution, batch norm, ReLU, pointwise one, batch norm, ReLU."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(row.inputs, row.inputs, 3, row.stride, 1, groups=row.inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(row.inputs)
        self.pointwise = nn.Conv2d(row.inputs, row.outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(row.outputs)
        self.act = nn.ReLU(inplace=True)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d y x"]:
        """Features of the next layer."""
        middle = self.act(self.bn1(self.depthwise(features)))
        out: Tensor = self.act(self.bn2(self.pointwise(middle)))
        return out


class DenseBlock(nn.Module):
    """MobileNetV1's first layer: dense 3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.conv = nn.Conv2d(row.inputs, row.outputs, 3, row.stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(row.outputs)
        self.act = nn.ReLU(inplace=True)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d y x"]:
        """Features of the next layer."""
        out: Tensor = self.act(self.bn(self.conv(images)))
        return out
