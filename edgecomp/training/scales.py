"""The scales of quantized values as PyTorch parameters, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.qdq import Quantization, is_dequantize, is_quantize, quantization_of
from edgecomp.graph.quantizable import Role, rule_of
from edgecomp.graph.values import constant_of

Array = npt.NDArray[Any]
_Content = tuple[bytes, bytes, str]


class Scales:
    """The scales of a graph's QuantizeLinear and DequantizeLinear nodes.

    A learned scale is its start times exp(parameter): steps are relative, and it stays positive
    (Jain et al. 2020, arXiv 1903.08066). Scales that start equal, zero points included, stay
    equal. Those of the model's inputs and outputs, and those that the meaning of an operator
    fixes, are not learned. The scale of a bias is always that of the data times that of the
    weights.

    Args:
        graph: of an imported model.
        learn: whether they are learned; without, there is nothing here.

    Attributes:
        parameters: scalars or [channels], by name of the first initializer that holds the scale.

    Raises:
        EdgecompError: several biases share one scale.
    """

    def __init__(self, graph: ir.Graph, learn: bool) -> None:
        self.parameters: dict[str, Any] = {}
        self._starts: dict[str, Any] = {}
        self._owner: dict[str, str] = {}
        self._biases: dict[str, tuple[str, str]] = {}
        if learn:
            self._collect(graph)

    def _collect(self, graph: ir.Graph) -> None:
        owners: dict[_Content, str] = {}
        fixed = set(_fixed(graph))
        for node in graph:
            quantization, scale = quantization_of(node), _scale_of(node)
            if quantization is None or scale is None or not scale.is_initializer():
                continue
            name = str(scale.name)
            self._starts[name] = torch.from_numpy(np.array(constant_of(scale), np.float32))
            if quantization.dtype == "int32":
                operands = _operands_of_bias(node)
                if operands is not None and self._biases.setdefault(name, operands) != operands:
                    what = "several biases share this scale, so that scales cannot be learned"
                    raise EdgecompError(Reason(what, name, "give scales=false"))
            elif _content(quantization) not in fixed:
                self._owner[name] = owners.setdefault(_content(quantization), name)
        for name in owners.values():
            self.parameters[name] = torch.nn.Parameter(torch.zeros(self._starts[name].shape))

    def values(self) -> dict[str, Any]:
        """Every scale that may have changed, by name of its initializer, with gradients."""
        now = {name: self._starts[name] * torch.exp(p) for name, p in self.parameters.items()}
        found = {name: now[owner] for name, owner in self._owner.items()}
        for name, operands in self._biases.items():
            data, weights = (found.get(each, self._starts[each]) for each in operands)
            product = (data.reshape(()) * weights.reshape(-1)).detach()
            start = self._starts[name]
            found[name] = product.expand(start.numel()).reshape(start.shape)
        return found

    def contents(self) -> dict[str, Array]:
        """The same as arrays of float32."""
        return {name: value.detach().numpy() for name, value in self.values().items()}


def _scale_of(node: ir.Node) -> ir.Value | None:
    """The scale a QuantizeLinear or DequantizeLinear reads; None for other nodes."""
    return node.inputs[1] if is_quantize(node) or is_dequantize(node) else None


def _content(quantization: Quantization) -> _Content:
    return (quantization.scale.tobytes(), quantization.zero_point.tobytes(), quantization.dtype)


def _fixed(graph: ir.Graph) -> Iterator[_Content]:
    """Quantizations that are the caller's (of inputs and outputs) or an operator's (Softmax)."""
    own = {value.producer() for value in graph.outputs}
    for node in graph:
        quantization = quantization_of(node)
        source = node.inputs[0] if node.inputs else None
        if quantization is None or source is None:
            continue
        producer = source.producer()
        rule = None if producer is None else rule_of(producer)
        by_meaning = rule is not None and rule.output is not None
        if source.is_graph_input() or by_meaning or node in own:
            yield _content(quantization)


def _operands_of_bias(node: ir.Node) -> tuple[str, str] | None:
    """Names of the scales of data and weights of the node whose bias `node` dequantizes."""
    for use in node.outputs[0].uses():
        rule = rule_of(use.node)
        if rule is None or rule.role is not Role.WEIGHTED or use.idx != 2:
            continue
        producers = [value.producer() for value in use.node.inputs[:2] if value is not None]
        scales = [_scale_of(producer) for producer in producers if producer is not None]
        names = [str(scale.name) for scale in scales if scale is not None]
        if len(names) == 2:
            return names[0], names[1]
    return None
