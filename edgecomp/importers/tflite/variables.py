"""Variables of streaming models as values: read before a run, written after it.

TFLite keeps them behind resource handles (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE), filled once
by another graph (CALL_ONCE). Here what is read first becomes an input of the graph and what is
assigned last an output, so that the graph is a function like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.tflite.file import Array, Operator, Subgraph, Tensor

_CALLS = frozenset({"CALL", "CALL_ONCE", "IF", "WHILE"})
"""Operators that run another graph, which may assign variables, too."""


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable as tensors of the graph.

    Attributes:
        read: index of the tensor that holds it before a run, a graph input.
        written: index of the tensor that holds it after, a graph output.
        initial: what it starts from.
    """

    read: int
    written: int
    initial: Array


def without_variables(graphs: Sequence[Subgraph]) -> tuple[Subgraph, tuple[Variable, ...]]:
    """The first of `graphs` with its variables as inputs and outputs, after the model's own.

    Raises:
        EdgecompError: a variable is not filled by constants, or changes its type.
    """
    model = graphs[0]
    if not any(op.name == "VAR_HANDLE" for op in model.operators):
        return model, ()
    scan = _Scan(model, _initial_contents(model, graphs))
    for operator in model.operators:
        scan.visit(operator)
    variables = scan.variables()
    return scan.rewritten(variables), variables


@dataclass
class _Scan:
    """Walks the operators in their order and follows what each variable holds."""

    model: Subgraph
    initial: dict[str, Array]
    handles: dict[int, str] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    current: dict[str, int] = field(default_factory=dict)
    renamed: dict[int, int] = field(default_factory=dict)
    kept: list[Operator] = field(default_factory=list)

    def visit(self, operator: Operator) -> None:
        """Note what a variable operator does, or keep any other."""
        inputs = tuple(None if i is None else self.renamed.get(i, i) for i in operator.inputs)
        if operator.name == "VAR_HANDLE":
            self.handles[operator.outputs[0]] = _shared_name(operator)
        elif operator.name == "READ_VARIABLE":
            self._read(self._handle(inputs), operator.outputs[0])
        elif operator.name == "ASSIGN_VARIABLE":
            self._assign(self._handle(inputs), inputs[1] if len(inputs) > 1 else None)
        elif operator.name != "CALL_ONCE":
            self.kept.append(replace(operator, inputs=inputs))

    def _handle(self, inputs: tuple[int | None, ...]) -> str:
        name = self.handles.get(inputs[0]) if inputs and inputs[0] is not None else None
        if name is None:
            raise EdgecompError(
                Reason("a variable is used before it is made", fix="convert the model again")
            )
        return name

    def _read(self, variable: str, result: int) -> None:
        if variable in self.current:
            self.renamed[result] = self.current[variable]
        else:
            self.first[variable] = self.current[variable] = result

    def _assign(self, variable: str, value: int | None) -> None:
        if value is None:
            raise EdgecompError(
                Reason("a variable is assigned nothing", variable, "convert the model again")
            )
        self.current[variable] = value

    def variables(self) -> tuple[Variable, ...]:
        """Those that are read from one run to the next."""
        found = []
        for name, read in self.first.items():
            tensor, written = self.model.tensors[read], self.current[name]
            _require_same(tensor, self.model.tensors[written])
            initial = self.initial.get(name)
            if initial is None:
                initial = np.full(tensor.shape, _zero(tensor), tensor.dtype)
            if initial.shape != tensor.shape or initial.dtype.name != tensor.dtype:
                raise EdgecompError(
                    Reason("it is filled with another type", tensor.name, "convert the model again")
                )
            found.append(Variable(read, written, initial))
        return tuple(found)

    def rewritten(self, variables: Sequence[Variable]) -> Subgraph:
        """The graph with `variables` as inputs and outputs."""
        outputs = tuple(self.renamed.get(index, index) for index in self.model.outputs)
        return replace(
            self.model,
            inputs=(*self.model.inputs, *(v.read for v in variables)),
            outputs=(*outputs, *(v.written for v in variables)),
            operators=tuple(self.kept),
        )


def _initial_contents(model: Subgraph, graphs: Sequence[Subgraph]) -> dict[str, Array]:
    """What the graphs called once assign to each variable."""
    contents: dict[str, Array] = {}
    for operator in model.operators:
        if operator.name != "CALL_ONCE":
            continue
        index = int(operator.options.get("InitSubgraphIndex", 0))
        if not 0 < index < len(graphs):
            raise EdgecompError(
                Reason(f"CALL_ONCE names graph {index}, which is not there", fix="convert again")
            )
        handles: dict[int | None, str] = {}
        for inner in graphs[index].operators:
            if inner.name in _CALLS:
                raise EdgecompError(
                    Reason(
                        f"graph {index}, called once to fill variables, has {inner.name}",
                        fix="convert the model with constant initial states",
                    )
                )
            if inner.name == "VAR_HANDLE":
                handles[inner.outputs[0]] = _shared_name(inner)
            elif inner.name == "ASSIGN_VARIABLE" and inner.inputs[0] in handles:
                value = inner.inputs[1]
                data = None if value is None else graphs[index].tensors[value].data
                if data is None:
                    raise EdgecompError(
                        Reason(
                            "it is not filled with a constant",
                            handles[inner.inputs[0]],
                            "convert the model with constant initial states",
                        )
                    )
                contents[handles[inner.inputs[0]]] = data
    return contents


def _shared_name(operator: Operator) -> str:
    """Handles of one name are one variable."""
    names = (operator.options.get("Container", b""), operator.options.get("SharedName", b""))
    return "/".join(bytes(name or b"").decode(errors="replace") for name in names)


def _require_same(read: Tensor, written: Tensor) -> None:
    """A variable keeps integers: they must mean the same before and after."""
    same = read.shape == written.shape and read.dtype == written.dtype
    if same and read.scales is not None and written.scales is not None:
        same = np.array_equal(read.scales.scale, written.scales.scale) and np.array_equal(
            read.scales.zero_point, written.scales.zero_point
        )
    if not same:
        raise EdgecompError(
            Reason(
                f"the variable is read as {read.dtype}{list(read.shape)} and assigned "
                f"{written.dtype}{list(written.shape)} of other scales or sizes",
                written.name,
                "convert the model again",
            )
        )


def _zero(tensor: Tensor) -> int:
    """What stands for 0.0."""
    return 0 if tensor.scales is None else int(tensor.scales.zero_point[0])
