"""Random streams: each purpose draws from a generator of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream_seed(seed: int, dataset: str, model: str, name: str) -> int:
    """A 63-bit seed from (seed, dataset, model, stream name), and never from the set.

    So all sets of one seed share initial network weights and batch order, which is what
    makes their results pairs.
    """
    text = "\x1f".join((str(seed), dataset, model, name)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int) -> torch.Generator:
    """A CPU generator; drawing on the CPU gives the same numbers for every device."""
    return torch.Generator().manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Torch's global generators at this seed inside the block, untouched outside.

    Args:
        seed: The seed.
        device: A GPU whose generator is seeded beside the CPU's.
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for gpu in cuda:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
