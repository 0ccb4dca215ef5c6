"""A differentiable executor: an ONNX graph run by PyTorch, on batches.

The graph computes one sample. Where all its operators keep samples along the first axis apart, it
is given a batch there; otherwise `torch.vmap` runs it on all samples at once. So a batch of any
size means exactly what so many single runs mean, whatever the graph does with its leading
dimension, and no operator has to know where the batch is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from onnx_ir.passes import common

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.graph.values import constant_of
from edgecomp.model import Model
from edgecomp.training.batching import computes_batches
from edgecomp.training.operators import OPERATORS
from edgecomp.training.operators.arguments import TORCH_TYPES
from edgecomp.training.parameters import KeepZeros, learned_constants, write_constants
from edgecomp.training.scales import Scales
from edgecomp.training.weights import Weights

Array = npt.NDArray[Any]
Tensors = Mapping[str, Any]
"""PyTorch tensors by the name of the value in the graph."""


class Network:
    """A model whose learned constants are PyTorch parameters.

    Args:
        model: an imported model; it is not changed.
        frozen: name patterns (* ? [...]) of nodes whose constants stay as they are.
        keep_zeros: which exact zeros stay zero; see `parameters.learned_constants`.
        learn_scales: whether the scales of quantized values are learned too.

    Attributes:
        model: as given.
        parameters: what an optimizer changes, by name of the initializer; scales by theirs, as
            logarithms of their growth.

    Raises:
        EdgecompError: the graph has operators that are not known, with a reason for each.
    """

    def __init__(
        self,
        model: Model,
        frozen: Sequence[str] = (),
        keep_zeros: KeepZeros = "auto",
        learn_scales: bool = False,
    ) -> None:
        self.model = model
        inlined = model.graph.clone()
        common.InlinePass()(inlined)
        self._graph = inlined.graph
        raise_if_any(list(_unknown(self._graph)))
        self._constants = {
            str(value.name): torch_tensor(content)
            for value in _constants(self._graph)
            if (content := constant_of(value)) is not None
        }
        self._constants |= {
            state.input: torch.from_numpy(np.array(state.initial)) for state in model.states
        }
        learned = learned_constants(model.graph.graph, frozen, keep_zeros)
        self._scales = Scales(model.graph.graph, learn_scales)
        self._weights = Weights(learned)
        self.parameters: dict[str, Any] = self._weights.parameters | self._scales.parameters

    @property
    def masks(self) -> Tensors:
        """For each parameter that keeps its zeros, 1 where it is not zero and 0 where it is."""
        return self._weights.masks

    def run(
        self,
        inputs: Tensors,
        wanted: Sequence[str] | None = None,
        gates: Tensors | None = None,
    ) -> dict[str, Any]:
        """Values of the graph for a batch.

        Args:
            inputs: for each of the model's inputs [samples, *its shape].
            wanted: names of values of the graph; by default its outputs.
            gates: factors by name of the value they multiply, [samples, *shape that broadcasts].

        Returns:
            For each of them [samples, *its shape], integers of quantized values as float32.

        Raises:
            EdgecompError: PyTorch cannot compute a node.
        """
        names = [spec.name for spec in self.model.outputs] if wanted is None else list(wanted)
        steps = self._steps(names)
        scales = self._scales.values()
        shared = self._constants | scales | self._weights.values(scales)

        def one(sample: Tensors, factors: Tensors) -> tuple[Any, ...]:
            return _run_nodes(steps, {**shared, **sample}, names, factors)

        if gates:
            results = torch.vmap(one)(dict(inputs), dict(gates))
        elif not self.model.states and computes_batches(steps, self._graph.inputs, names):
            samples = {name: _channels_last(batch.flatten(0, 1)) for name, batch in inputs.items()}
            results = tuple(value.unsqueeze(1) for value in one(samples, {}))
        else:
            results = torch.vmap(lambda sample: one(sample, {}))(dict(inputs))
        return dict(zip(names, results, strict=True))

    def written_back(self) -> ir.Model:
        """A clone of the model's graph that holds the parameters as they are now.

        Constants of integers are rounded to their type. What did not change keeps its bits.
        """
        scales = self._scales.contents()
        weights = self._weights.contents(self._scales.values())
        return write_constants(self.model.graph, {**weights, **scales})

    def _steps(self, wanted: Sequence[str]) -> list[ir.Node]:
        """The nodes that `wanted` needs, in order.

        Raises:
            EdgecompError: a name is no value of the graph.
        """
        known = {str(v.name): v for v in self._graph.inputs}
        known |= {str(v.name): v for node in self._graph for v in node.outputs}
        known |= {str(name): value for name, value in self._graph.initializers.items()}
        raise_if_any([Reason("the graph has no such value", n) for n in wanted if n not in known])
        needed, pending = set(), [known[name] for name in wanted]
        while pending:
            node = pending.pop().producer()
            if node is not None and node not in needed:
                needed.add(node)
                pending.extend(value for value in node.inputs if value is not None)
        return [node for node in self._graph if node in needed and node.op_type != "Constant"]


def batch_tensors(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Arrays of samples, as `Network.run` takes them."""
    return {name: torch_tensor(array) for name, array in arrays.items()}


def _channels_last(batch: Any) -> Any:
    """`batch`, images with the channels of a pixel side by side, which convolutions like best."""
    images = batch.ndim == 4
    return batch.contiguous(memory_format=torch.channels_last) if images else batch


def torch_tensor(content: Array) -> Any:
    """A constant as PyTorch holds it: integers of 4 bits in bytes, unsigned ones in wider types."""
    kept = TORCH_TYPES[ir.DataType.from_numpy(content.dtype)]
    if not kept.is_floating_point and kept is not torch.bool:
        content = content.astype(str(kept).removeprefix("torch."))
    return torch.from_numpy(np.array(content, order="C"))


def _constants(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.initializers.values()
    yield from (value for n in graph if n.op_type == "Constant" for value in n.outputs)


def _unknown(graph: ir.Graph) -> Iterator[Reason]:
    for node in graph:
        if node.op_type == "Constant" and node.domain == "":
            continue
        if node.domain != "" or node.op_type not in OPERATORS:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            yield Reason(
                f"the operator {operator} cannot be trained through",
                str(node.name),
                "train the model before it is exported, or without this part",
            )
    for value in _constants(graph):
        if value.dtype not in TORCH_TYPES:
            yield Reason(f"PyTorch has no constants of type {value.dtype}", str(value.name))


def _run_nodes(
    nodes: Sequence[ir.Node], values: dict[str, Any], wanted: Sequence[str], gates: Tensors
) -> tuple[Any, ...]:
    """Compute `nodes` in order; `values` are dropped once nothing more reads them."""
    for name in gates.keys() & values.keys():
        values[name] = values[name] * gates[name]
    last = {str(v.name): place for place, n in enumerate(nodes) for v in n.inputs if v is not None}
    for place, node in enumerate(nodes):
        inputs = [None if value is None else values[str(value.name)] for value in node.inputs]
        try:
            found = OPERATORS[node.op_type](node, *inputs)
        except (RuntimeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise EdgecompError(
                Reason(f"PyTorch cannot compute this {node.op_type} ({reason})", str(node.name))
            ) from error
        results = found if isinstance(found, tuple) else (found,)
        _check_outputs(node, len(results))
        for value, result in zip(node.outputs, results, strict=False):
            name = str(value.name)
            values[name] = result * gates[name] if name in gates else result
        for name in {str(value.name) for value in node.inputs if value is not None}:
            if last[name] == place and name not in wanted:
                values.pop(name, None)
    return tuple(values[name] for name in wanted)


def _check_outputs(node: ir.Node, computed: int) -> None:
    for value in node.outputs[computed:]:
        if value.uses() or value.is_graph_output():
            what = f"this output of {node.op_type} cannot be computed in training"
            raise EdgecompError(Reason(what, str(value.name)))
