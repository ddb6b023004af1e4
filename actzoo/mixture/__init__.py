"""Learnable mixtures of activations: how weights become proportions, and the layer."""

from actzoo.mixture.initial import Init
from actzoo.mixture.mixture import Mixture
from actzoo.rules import RATIO, SOFTMAX, Rule

__all__ = ["RATIO", "SOFTMAX", "Init", "Mixture", "Rule"]
