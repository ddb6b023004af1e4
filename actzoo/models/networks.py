"""Built-in networks, each built around any activation."""

from __future__ import annotations

from torch import nn

from actzoo.errors import DataError
from actzoo.plugins.hooks import hookimpl
from actzoo.values import ActivationFactory, Network

Shape = tuple[int, int, int]


def paper_cnn(activation: ActivationFactory, shape: Shape, classes: int) -> nn.Module:
    """The network of Bansal 2022: two convolutional layers, then two fully connected ones.

    That sentence is all the paper gives. Ours are the 3x3 kernels with padding 1, the
    widths 32, 64 and 128, and the 2x2 max-pooling after each of the first two activations.

    Args:
        activation: Makes the activation layers A_1, A_2, A_3.
        shape: (C, H, W) of one image; H and W at least 4.
        classes: The number of logits.

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
        nn.Linear(after_3, classes),
    )


def mlp(
    activation: ActivationFactory, shape: Shape, classes: int, *, depth: int, width: int
) -> nn.Module:
    """A multilayer perceptron: `depth` hidden layers of `width` units.

    A deep one (`mlp(depth=12)`) shows vanishing gradients.

    Args:
        activation: Makes the activation layers A_1 ... A_depth.
        shape: (C, H, W) of one image, flattened.
        classes: The number of logits.
        depth: Hidden layers, at least 1.
        width: Units in each, at least 1.

    Raises:
        DataError: depth or width is not a positive whole number.
    """
    for name, value in (("depth", depth), ("width", width)):
        if not isinstance(value, int) or value < 1:
            raise DataError(f"mlp: {name}={value!r}; expected a whole number of 1 or more")
    layers: list[nn.Module] = [nn.Flatten()]
    size = shape[0] * shape[1] * shape[2]
    for _ in range(depth):
        layer, after = activation(width)
        layers += [nn.Linear(size, width), layer]
        size = after
    return nn.Sequential(*layers, nn.Linear(size, classes))


@hookimpl
def actzoo_models() -> tuple[Network, ...]:
    """The built-in networks."""
    return (
        Network(
            name="paper_cnn",
            build=paper_cnn,
            description="2 convolutional + 2 fully connected layers, 3 activation layers",
        ),
        Network(
            name="mlp",
            build=mlp,
            options={"depth": 2, "width": 128},
            description="fully connected, as deep and wide as its options say",
        ),
    )
