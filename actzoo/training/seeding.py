"""Random streams: each purpose draws from a generator of its own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import numpy as np
import torch


def stream_seed(seed: int, dataset: str, model: str, name: str) -> int:
    """Return a 63-bit seed from (seed, dataset, model, stream name), and never from the set.

    So all sets of one seed share initial network weights and batch order, which is what
    makes their results pairs.
    """
    text = "\x1f".join((str(seed), dataset, model, name)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int) -> torch.Generator:
    """Return a CPU generator; drawing on the CPU gives the same numbers for every device."""
    return torch.Generator("cpu").manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Yield the global generators of torch, NumPy and Python at this seed inside the block.

    Outside they are as if nothing had been drawn.

    Args:
        seed: The seed.
        device: A GPU whose generator is seeded beside the CPU's.
    """
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        random.seed(seed)
        stack.callback(np.random.set_state, np.random.get_state())
        np.random.seed(seed % 2**32)  # no more fits
        stack.callback(torch.default_generator.set_state, torch.default_generator.get_state())
        torch.default_generator.manual_seed(seed)
        if device is not None and device.type != "cpu":
            # Each of torch.cuda, torch.mps and torch.xpu has these.
            kind = torch.get_device_module(device)
            stack.callback(kind.set_rng_state, kind.get_rng_state(device), device)
            with kind.device(device) if hasattr(kind, "device") else nullcontext():
                kind.manual_seed(seed)
        yield
