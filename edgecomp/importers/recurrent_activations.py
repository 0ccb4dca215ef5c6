"""The activations of LSTM, GRU and RNN, named by strings, as operators.

ONNX operator specification, LSTM-14: parameters are handed out in the order of the names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir

from edgecomp.graph.build import Replacement

_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}

_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "leakyrelu": {"alpha": 0.01},
    "thresholdedrelu": {"alpha": 1.0},
    "hardsigmoid": {"alpha": 0.2, "beta": 0.5},
    "elu": {"alpha": 1.0},
    "affine": {"alpha": 1.0, "beta": 0.0},
    "scaledtanh": {"alpha": 1.0, "beta": 1.0},
}
"""Parameters of activations and the defaults of the operators of the same name."""

_PLAIN: Mapping[str, str] = {
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softsign": "Softsign",
    "softplus": "Softplus",
    "leakyrelu": "LeakyRelu",
    "thresholdedrelu": "ThresholdedRelu",
    "hardsigmoid": "HardSigmoid",
    "elu": "Elu",
}
"""Activations that are an operator of their own, by their lower-case names."""

Activation = Callable[[ir.Value], ir.Value]


def activations_of(new: Replacement, node: ir.Node, index: int) -> list[Activation]:
    """The activations of direction `index`, their parameters handed out in order."""
    defaults = _DEFAULTS[node.op_type]
    names = list(node.attributes.get_strings("activations", ())) or list(defaults) * 2
    values = {
        key: list(node.attributes.get_floats(f"activation_{key}", ())) for key in ("alpha", "beta")
    }
    found = []
    for name in names:
        options = {
            key: values[key].pop(0) if values[key] else default
            for key, default in _PARAMETERS.get(name.lower(), {}).items()
        }
        found.append(_activation(new, name.lower(), options))
    return found[index * len(defaults) : (index + 1) * len(defaults)]


def _activation(new: Replacement, name: str, options: Mapping[str, Any]) -> Activation:
    if name in _PLAIN:
        return lambda value: new.add(_PLAIN[name], value, **options)

    def scaled(value: ir.Value) -> ir.Value:
        alpha, beta = (new.constant(options[key], "float32") for key in ("alpha", "beta"))
        if name == "affine":
            return new.add("Add", new.add("Mul", value, alpha), beta)
        return new.add("Mul", new.add("Tanh", new.add("Mul", value, beta)), alpha)

    return scaled
