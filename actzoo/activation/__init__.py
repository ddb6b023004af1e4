"""Activation functions as values: declaration, claims, derivative, layer, facts."""

from actzoo.activation.claims import Claims
from actzoo.activation.declaration import Activation
from actzoo.activation.functions import Value
from actzoo.activation.module import ActivationModule

__all__ = ["Activation", "ActivationModule", "Claims", "Value"]
