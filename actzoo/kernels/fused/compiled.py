"""Programs compiled by Inductor: each once a process, whoever asks first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from actzoo.errors import KernelError
from actzoo.kernels.fused.fitness import refusal
from actzoo.kernels.fused.program import Program
from actzoo.kernels.fused.trace import trace

Kernel = Callable[..., Any]

_lock = threading.RLock()
_kernels: dict[Program, Kernel] = {}


def kernel(program: Program) -> Kernel:
    """The compiled program: a function of the tensors that its graph takes.

    Raises:
        KernelError: The program cannot be had here; the message says why, and what can.
    """
    found = _kernels.get(program)
    if found is None:
        with _lock:
            found = _kernels.get(program)
            if found is None:
                found = _kernels[program] = _compile(program)
    return found


def compiled_programs() -> int:
    """How many programs this process has compiled."""
    return len(_kernels)


def _compile(program: Program) -> Kernel:
    reason = refusal(program.activations, program.device)
    if reason:
        raise KernelError(reason)
    from torch._inductor import config, standalone_compile  # takes a second or two

    # One thread compiles, so that no pool of processes starts; at run time there are as many
    # as torch uses then.
    settings = {"compile_threads": 1, "cpp.dynamic_threads": True}
    try:
        with _on_neutral_ground(program.device), config.patch(settings):
            graph, inputs = trace(program)
            return standalone_compile(graph, [*inputs], dynamic_shapes="from_graph")
    except KernelError:
        raise
    except Exception as error:
        names = ", ".join(activation.name for activation in program.activations)
        first = str(error).strip().partition("\n")[0]
        raise KernelError(
            f"the fused kernel of {names} cannot be compiled for {program.device} "
            f"({type(error).__name__}: {first}); use kernel='reference'"
        ) from error


@contextmanager
def _on_neutral_ground(device: torch.device) -> Iterator[None]:
    """What the first caller has switched on is not compiled in, and nothing is printed."""
    # Where nvcc is found and no GPU, torch says so when it first compiles.
    logger = logging.getLogger("torch.utils.cpp_extension")
    before, logger.disabled = logger.disabled, True
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        logger.disabled = before


def run(program: Program, tensors: list[Tensor]) -> list[Tensor]:
    """What the program returns for these tensors."""
    call = kernel(program)
    if program.device.type == "cpu":
        torch.get_num_threads()  # tells OpenMP of torch's number of threads in a new thread
    return list(call(*tensors))
