"""The network of Bansal 2022."""

from __future__ import annotations

from torch import nn

from actzoo import ActivationFactory, DataError, Model, hookimpl


def paper_cnn(
    activation: ActivationFactory, shape: tuple[int, int, int], outputs: int
) -> nn.Module:
    """Return the network of Bansal 2022: two convolutional layers, then two fully connected ones.

    That sentence is all the paper gives. Ours are the 3x3 kernels with padding 1, the
    widths 32, 64 and 128, and the 2x2 max-pooling after each of the first two activations.

    Args:
        activation: Makes the activation layers A_1, A_2, A_3.
        shape: (C, H, W) of one image; H and W at least 4.
        outputs: The number of logits.

    Raises:
        DataError: The images are smaller than 4x4.
    """
    channels, height, width = shape
    if height < 4 or width < 4:
        raise DataError(f"paper_cnn pools twice: it needs images of 4x4 or more, not {shape}")
    (a1, after_1), (a2, after_2), (a3, after_3) = map(activation, (32, 64, 128))
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        a1,
        nn.MaxPool2d(2),
        nn.Conv2d(after_1, 64, 3, padding=1),
        a2,
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(after_2 * (height // 4) * (width // 4), 128),
        a3,
        nn.Linear(after_3, outputs),
    )


PAPER_CNN = Model(
    name="paper_cnn",
    make=paper_cnn,
    description="2 convolutional + 2 fully connected layers, 3 activation layers",
    inputs=("images",),
)


@hookimpl
def actzoo_models() -> tuple[Model, ...]:
    """Return the network of the paper."""
    return (PAPER_CNN,)
