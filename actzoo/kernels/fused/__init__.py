"""The weighted sum in one pass over memory: derived from each declaration, compiled by Inductor.

Pure functions on real CPU and CUDA tensors, called without autograd. `forward` and `backward`
compute, `refusal` says beforehand why they would not, and `trace` shows what is compiled.
"""

from actzoo.kernels.fused.calls import backward, forward
from actzoo.kernels.fused.compiled import compiled_programs
from actzoo.kernels.fused.fitness import refusal
from actzoo.kernels.fused.program import Program
from actzoo.kernels.fused.trace import trace

__all__ = ["Program", "backward", "compiled_programs", "forward", "refusal", "trace"]
