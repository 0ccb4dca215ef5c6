"""The model between two passes: a standard ONNX graph and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from edgecomp_runtime.manifest import TensorSpec


@dataclass(frozen=True, eq=False)
class State:
    """What a streaming model keeps from one inference for the next.

    Attributes:
        input: the graph input that holds it before an inference; not in `Model.inputs`.
        output: the graph output that holds it after; not in `Model.outputs`.
        initial: what it starts from, of the input's shape and dtype.
    """

    input: str
    output: str
    initial: npt.NDArray[Any]


@dataclass(frozen=True)
class Model:
    """An imported model: ONNX at `OPSET`, static shapes, constants folded.

    Attributes:
        name: a short name, by default the stem of the user's file.
        graph: the ONNX model. A pass never changes it in place; it clones it first.
        inputs: the signature of every graph input, in the model's order.
        outputs: the signature of every graph output, in the model's order.
        history: the spec string of every pass applied, oldest first.
        source: the file the user named, or None for a model made in memory.
        states: of a streaming model.
    """

    name: str
    graph: ir.Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    history: tuple[str, ...] = ()
    source: Path | None = None
    states: tuple[State, ...] = ()

    def with_graph(self, graph: ir.Model, applied: str | None = None) -> Model:
        """The same model with another graph, `applied` (a pass's spec) added to the history."""
        history = self.history if applied is None else (*self.history, applied)
        return replace(self, graph=graph, history=history)
