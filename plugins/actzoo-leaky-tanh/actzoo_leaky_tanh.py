"""tanh with a learnt leak: one formula is a whole plugin."""

from actzoo import Activation, hookimpl


@hookimpl
def actzoo_activations():
    return (
        Activation(
            name="leaky_tanh",
            formula="tanh(x) + a*x",
            parameters={"a": 0.1},
            learnable={"a": "layer"},
            reference="LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp: a twisting term",
        ),
    )
