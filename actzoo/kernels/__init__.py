"""Ways to compute a weighted sum of activations: pure functions, no nn.Module."""

from actzoo.kernels.choice import KERNELS, Kernel, Plan, plan
from actzoo.kernels.dispatch import alone, weighted_sum

__all__ = ["KERNELS", "Kernel", "Plan", "alone", "plan", "weighted_sum"]
