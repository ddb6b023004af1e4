"""The residual networks of He et al. 2016 for small images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from actzoo import ActivationFactory, DataError, Model, hookimpl

WIDTHS = (16, 32, 64)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm; its input is added before the last activation.

    Where the shape changes, the input is subsampled and padded with channels of zeros (option A
    of the paper), so that a shortcut has no parameters.
    """

    def __init__(
        self, activation: ActivationFactory, channels: int, width: int, stride: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.act1, between = activation(width)
        self.conv2 = nn.Conv2d(between, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.act2, self.channels_after = activation(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for images of shape (N, C, H, W)."""
        y = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        missing = y.shape[1] - x.shape[1]
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if missing:
            x = F.pad(x, (0, 0, 0, 0, missing // 2, missing - missing // 2))
        out: Tensor = self.act2(y + x)
        return out


def resnet(
    activation: ActivationFactory, shape: tuple[int, int, int], outputs: int, *, depth: int
) -> nn.Module:
    """Return the residual network of He et al. 2016, section 4.2: 6n + 2 layers with weights.

    The weights start as torch has them, not as in the paper.

    Args:
        activation: Makes the activation layers: one after the first convolution, two a block.
        shape: (C, H, W) of one image; H and W at least 4.
        outputs: The number of logits.
        depth: 6n + 2: 8, 14, 20, 26, 32 and so on; the paper has 20, 32, 44, 56 and 110.

    Raises:
        DataError: The depth is not 6n + 2, or the images are smaller than 4x4.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
        raise DataError(f"resnet: depth={depth!r}; expected 6n + 2, such as 8, 20 or 56")
    channels, height, width = shape
    if min(height, width) < 4:
        raise DataError(f"resnet halves images twice: it needs images of 4x4 or more, not {shape}")
    first = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
    layer, channels = activation(WIDTHS[0])
    layers: list[nn.Module] = [first, nn.BatchNorm2d(WIDTHS[0]), layer]
    for stage, width in enumerate(WIDTHS):
        for number in range((depth - 2) // 6):
            stride = 2 if stage and not number else 1
            block = ResidualBlock(activation, channels, width, stride)
            channels = block.channels_after
            layers.append(block)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
    return nn.Sequential(*layers, *head)


RESNET = Model(
    name="resnet",
    make=resnet,
    options={"depth": 8},
    description="residual network with batch norm, for small images (He et al. 2016)",
    inputs=("images",),
)


@hookimpl
def actzoo_models() -> tuple[Model, ...]:
    """Return the residual network."""
    return (RESNET,)
