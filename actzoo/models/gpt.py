"""A small transformer that predicts the next token."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from actzoo import ActivationFactory, DataError, Model, channels_after, hookimpl


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each position takes from those before it; x has the shape (N, T, width)."""
        n, t, width = x.shape
        parts = self.project(x).view(n, t, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(y.transpose(1, 2).reshape(n, t, width))
        return out


class FeedForward(nn.Module):
    """Two linear layers with the activation between them.

    There are 4 hidden channels for each channel of the input. A gated activation, which halves
    them, gets 16/3, so that it has as many weights.
    """

    def __init__(self, activation: ActivationFactory, width: int) -> None:
        super().__init__()
        hidden = 4 * width
        kept = channels_after(activation, hidden) / hidden
        if kept != 1:  # width·h + kept·h·width = 8 width²; even, so that it can be halved
            hidden = 2 * round(4 * width / (1 + kept))
        self.up = nn.Linear(width, hidden)
        self.act, after = activation(hidden)
        self.down = nn.Linear(after, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x of shape (N, T, width)."""
        flat = self.up(x).flatten(0, 1)  # activations have their channels in dimension 1
        out: Tensor = self.down(self.act(flat)).view(x.shape)
        return out


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each after a layer norm and added to its input."""

    def __init__(self, activation: ActivationFactory, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(activation, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x of shape (N, T, width)."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out


class GPT(nn.Module):
    """Embeddings of tokens and positions, blocks, a layer norm, and logits."""

    def __init__(
        self, blocks: list[nn.Module], tokens: int, context: int, width: int, outputs: int
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(tokens, width)
        self.position = nn.Embedding(context, width)
        for embedding in (self.token, self.position):
            nn.init.normal_(embedding.weight, std=0.02)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (N, T, outputs) for tokens of shape (N, T)."""
        context = self.position.num_embeddings
        pieces = x.reshape(-1, min(context, x.shape[1]))
        h = self.token(pieces) + self.position.weight[: pieces.shape[1]]
        logits: Tensor = self.head(self.norm(self.blocks(h)))
        return logits.view(*x.shape, -1)


def gpt(
    activation: ActivationFactory,
    shape: tuple[int, ...],
    outputs: int,
    *,
    layers: int,
    width: int,
    heads: int,
    context: int,
) -> nn.Module:
    """Return a transformer with a layer norm before each part, as in Radford et al. 2019.

    Args:
        activation: Makes the activation layer of each block's feed-forward part.
        shape: (T,), the number of tokens of one example.
        outputs: The number of different tokens.
        layers: Blocks.
        width: Channels of a token, a multiple of heads.
        heads: Heads of the attention.
        context: How many tokens it sees at once, a divisor of T; 0 for all T. An example is
            divided into pieces of so many tokens, none of which sees another.

    Raises:
        DataError: An option is no positive whole number, or does not divide what it divides.
    """
    given = {"layers": layers, "width": width, "heads": heads, "context": context}
    for name, value in given.items():
        least = 0 if name == "context" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise DataError(f"gpt: {name}={value!r}; expected a whole number of {least} or more")
    if width % heads:
        raise DataError(f"gpt: width={width}; expected a multiple of heads={heads}")
    (length,) = shape
    if context and length % context:
        raise DataError(
            f"gpt: context={context}; expected 0, or a divisor of {length}, the tokens of an "
            f"example"
        )
    blocks: list[nn.Module] = [TransformerBlock(activation, width, heads) for _ in range(layers)]
    return GPT(blocks, outputs, context or length, width, outputs)


GPT_MODEL = Model(
    name="gpt",
    make=gpt,
    options={"layers": 2, "width": 64, "heads": 4, "context": 0},
    description="transformer that predicts the next token (Radford et al. 2019)",
    inputs=("tokens",),
)


@hookimpl
def actzoo_models() -> tuple[Model, ...]:
    """Return the transformer."""
    return (GPT_MODEL,)
