"""Operators that treat each element by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F  # noqa: N812

from edgecomp.training.operators.arguments import TORCH_TYPES, Operator, along


def _plain(function: Callable[..., Any]) -> Operator:
    """An operator without attributes."""
    return lambda node, *inputs: function(*inputs)


def _fold(function: Callable[..., Any]) -> Operator:
    """An operator of any number of inputs."""
    return lambda node, *inputs: functools.reduce(function, inputs)


def _mean(node: ir.Node, *inputs: Any) -> Any:
    return functools.reduce(torch.add, inputs) / len(inputs)


def _div(node: ir.Node, a: Any, b: Any) -> Any:
    rounding = None if a.dtype.is_floating_point else "trunc"
    return torch.div(a, b, rounding_mode=rounding)


def _mod(node: ir.Node, a: Any, b: Any) -> Any:
    return torch.fmod(a, b) if node.attributes.get_int("fmod", 0) else torch.remainder(a, b)


def _pow(node: ir.Node, a: Any, b: Any) -> Any:
    return torch.pow(a, b).to(a.dtype)


def _cast(node: ir.Node, x: Any) -> Any:
    return x.to(TORCH_TYPES[ir.DataType(node.attributes.get_int("to", 1))])


def _clip(node: ir.Node, x: Any, low: Any = None, high: Any = None) -> Any:
    if low is not None:
        x = torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _leaky_relu(node: ir.Node, x: Any) -> Any:
    return F.leaky_relu(x, node.attributes.get_float("alpha", 0.01))


def _elu(node: ir.Node, x: Any) -> Any:
    return F.elu(x, node.attributes.get_float("alpha", 1.0))


def _celu(node: ir.Node, x: Any) -> Any:
    return F.celu(x, node.attributes.get_float("alpha", 1.0))


def _selu(node: ir.Node, x: Any) -> Any:
    alpha = node.attributes.get_float("alpha", 1.67326319217681884765625)
    gamma = node.attributes.get_float("gamma", 1.05070102214813232421875)
    return gamma * F.elu(x, alpha)


def _thresholded_relu(node: ir.Node, x: Any) -> Any:
    return torch.where(x > node.attributes.get_float("alpha", 1.0), x, torch.zeros_like(x))


def _hard_sigmoid(node: ir.Node, x: Any) -> Any:
    alpha = node.attributes.get_float("alpha", 0.2)
    return torch.clamp(alpha * x + node.attributes.get_float("beta", 0.5), 0.0, 1.0)


def _hard_swish(node: ir.Node, x: Any) -> Any:
    return x * torch.clamp(x / 6 + 0.5, 0.0, 1.0)


def _gelu(node: ir.Node, x: Any) -> Any:
    return F.gelu(x, approximate=node.attributes.get_string("approximate", "none"))


def _shrink(node: ir.Node, x: Any) -> Any:
    bias, limit = node.attributes.get_float("bias", 0.0), node.attributes.get_float("lambd", 0.5)
    nothing = torch.zeros_like(x)
    return torch.where(x > limit, x - bias, torch.where(x < -limit, x + bias, nothing))


def _prelu(node: ir.Node, x: Any, slope: Any) -> Any:
    return torch.where(x < 0, x * slope, x)


def _identity(node: ir.Node, x: Any, *ignored: Any) -> Any:
    return x


def _batch_normalization(
    node: ir.Node, x: Any, scale: Any, bias: Any, mean: Any, variance: Any
) -> Any:
    """BatchNormalization with the statistics that were learned."""
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    factor = scale / torch.sqrt(variance + epsilon)
    return x * along(factor, 1, x.ndim) + along(bias - mean * factor, 1, x.ndim)


ELEMENTWISE: Mapping[str, Operator] = {
    "Abs": _plain(torch.abs),
    "Acos": _plain(torch.acos),
    "Acosh": _plain(torch.acosh),
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "Asin": _plain(torch.asin),
    "Asinh": _plain(torch.asinh),
    "Atan": _plain(torch.atan),
    "Atanh": _plain(torch.atanh),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Ceil": _plain(torch.ceil),
    "Celu": _celu,
    "Clip": _clip,
    "Cos": _plain(torch.cos),
    "Cosh": _plain(torch.cosh),
    "Div": _div,
    "Dropout": _identity,
    "Elu": _elu,
    "Equal": _plain(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Floor": _plain(torch.floor),
    "Gelu": _gelu,
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _identity,
    "IsInf": _plain(torch.isinf),
    "IsNaN": _plain(torch.isnan),
    "LeakyRelu": _leaky_relu,
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Log": _plain(torch.log),
    "Max": _fold(torch.maximum),
    "Mean": _mean,
    "Min": _fold(torch.minimum),
    "Mish": _plain(F.mish),
    "Mod": _mod,
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "Or": _plain(torch.logical_or),
    "PRelu": _prelu,
    "Pow": _pow,
    "Reciprocal": _plain(torch.reciprocal),
    "Relu": _plain(torch.relu),
    "Round": _plain(torch.round),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": _plain(torch.sigmoid),
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Sinh": _plain(torch.sinh),
    "Softplus": _plain(F.softplus),
    "Softsign": _plain(F.softsign),
    "Sqrt": _plain(torch.sqrt),
    "Sub": _plain(torch.sub),
    "Sum": _fold(torch.add),
    "Tan": _plain(torch.tan),
    "Tanh": _plain(torch.tanh),
    "ThresholdedRelu": _thresholded_relu,
    "Where": _plain(torch.where),
    "Xor": _plain(torch.logical_xor),
}
