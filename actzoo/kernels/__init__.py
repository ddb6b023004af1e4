"""Ways to compute a weighted sum of activations: pure functions, no nn.Module."""

from actzoo.kernels.choice import KERNELS, Kernel, Plan, plan
from actzoo.kernels.dispatch import alone, weighted_sum
from actzoo.kernels.pooled import pooled, pooled_plan
from actzoo.kernels.watched import is_plain

__all__ = [
    "KERNELS",
    "Kernel",
    "Plan",
    "alone",
    "is_plain",
    "plan",
    "pooled",
    "pooled_plan",
    "weighted_sum",
]
