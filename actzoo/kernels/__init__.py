"""Ways to compute a weighted sum of activations: pure functions, no nn.Module."""

from actzoo.kernels.choice import KernelPlan, check_kernel, plan
from actzoo.kernels.dispatch import alone, weighted_sum
from actzoo.kernels.entries import KERNEL_NAMES, KERNELS
from actzoo.kernels.keep import Keep, check_keep, keeping_plan, used
from actzoo.kernels.kernel import Kernel
from actzoo.kernels.measured import measurements
from actzoo.kernels.pooled import may_pool, pooled, pooled_plan
from actzoo.kernels.watched import is_plain

__all__ = [
    "KERNELS",
    "KERNEL_NAMES",
    "Keep",
    "Kernel",
    "KernelPlan",
    "alone",
    "check_keep",
    "check_kernel",
    "is_plain",
    "keeping_plan",
    "may_pool",
    "measurements",
    "plan",
    "pooled",
    "pooled_plan",
    "used",
    "weighted_sum",
]
