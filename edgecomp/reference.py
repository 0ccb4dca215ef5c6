"""What a model means: its outputs, and any value in between, as onnxruntime computes them.

Every operator runs as the ONNX standard spells it: QuantizeLinear and DequantizeLinear are not
fused into integer kernels, whose saturation depends on the processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.model import Model
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]


class Executor:
    """Runs a graph, one sample a call, and hands out values between its nodes too.

    Args:
        graph: the model; it is not changed.
        extra_outputs: names of values to return beside the graph's outputs; inputs and constants
            may be among them.
        threads: threads within an operator; 1 gives the same bits on every run.

    Attributes:
        outputs: the names `run` returns, the graph's outputs first.

    Raises:
        EdgecompError: a name is no value of the graph, or onnxruntime cannot run the graph.
    """

    def __init__(
        self, graph: ir.Model, extra_outputs: Sequence[str] = (), threads: int = 1
    ) -> None:
        values = _values_by_name(graph.graph)
        raise_if_any(
            [
                Reason("the graph has no such value", name, "name a value of the graph")
                for name in extra_outputs
                if name not in values
            ]
        )
        own = [str(value.name) for value in graph.graph.outputs]
        extra = [name for name in dict.fromkeys(extra_outputs) if name not in own]
        self.outputs: tuple[str, ...] = (*own, *extra)
        inputs = {value.name for value in graph.graph.inputs}
        self._inputs = tuple(name for name in extra if name in inputs)
        constants = graph.graph.initializers
        self._constants: dict[str, Array] = {
            name: np.asarray(tensor.numpy())
            for name in extra
            if name in constants and (tensor := constants[name].const_value) is not None
        }
        computed = [n for n in extra if n not in inputs and n not in self._constants]
        proto = ir.to_proto(graph)
        proto.graph.output.extend(ir.to_proto(values[name]) for name in computed)
        self._computed = [*own, *computed]
        self._session = _session(proto, threads)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The values named by `outputs` for one sample.

        Args:
            inputs: an array of the model's shape and element type for each graph input.

        Raises:
            EdgecompError: onnxruntime refused the inputs.
        """
        try:
            computed = self._session.run(self._computed, dict(inputs))
        except Exception as error:  # onnxruntime has no exception type of its own in common
            raise EdgecompError(
                f"onnxruntime could not run the model: {_first_line(error)}"
            ) from error
        found: dict[str, Array] = dict(zip(self._computed, computed, strict=True))
        found.update({name: inputs[name] for name in self._inputs}, **self._constants)
        return {name: found[name] for name in self.outputs}


def first_outputs(
    model: Model, data: CalibrationData, limit: int | None = None
) -> npt.NDArray[np.float64]:
    """The first output on each sample of `data`, at most `limit` of them: [samples, elements].

    Raises:
        EdgecompError: the data does not fit the model.
    """
    name = model.outputs[0].name
    executor = Executor(model.graph, [name])
    rows = [executor.run(feed)[name].ravel() for feed in data.samples(model.inputs, limit)]
    return np.asarray(np.stack(rows), np.float64)


def run_reference(
    model: Model, samples: Sequence[Array], threads: int = 1
) -> tuple[npt.NDArray[Any], ...]:
    """The outputs of `model` for all samples.

    Args:
        model: the model.
        samples: one array for each input, in the model's order; shape [count, *input shape].
        threads: threads within an operator.

    Returns:
        One array for each output, in the model's order; shape [count, *output shape].

    Raises:
        EdgecompError: a shape or type does not fit, or onnxruntime cannot run the model.
    """
    rows = list(stream_reference(model, samples, threads))
    return tuple(
        np.stack([row[index] for row in rows])
        if rows
        else np.zeros((0, *spec.shape), dtype=spec.dtype)
        for index, spec in enumerate(model.outputs)
    )


def stream_reference(
    model: Model, samples: Sequence[Array], threads: int = 1
) -> Iterator[tuple[Array, ...]]:
    """Like `run_reference`, one sample at a time: memory does not grow with their number.

    A streaming model begins anew with every sample.
    """
    _check_samples(model.inputs, samples)
    executor = Executor(model.graph, threads=threads)
    for index in range(len(samples[0]) if samples else 1):
        feed = {state.input: state.initial for state in model.states}
        feed |= {
            spec.name: np.ascontiguousarray(array[index], dtype=spec.dtype)
            for spec, array in zip(model.inputs, samples, strict=True)
        }
        row = executor.run(feed)
        yield tuple(row[spec.name] for spec in model.outputs)


def _check_samples(specs: Sequence[TensorSpec], samples: Sequence[Array]) -> None:
    if len(specs) != len(samples):
        raise EdgecompError(f"the model has {len(specs)} inputs, but {len(samples)} were given")
    reasons = []
    for spec, array in zip(specs, samples, strict=True):
        if array.shape[1:] != spec.shape:
            reasons.append(
                Reason(
                    f"samples of shape {list(array.shape[1:])} do not fit the input's "
                    f"{list(spec.shape)}",
                    spec.name,
                )
            )
        if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            reasons.append(
                Reason(
                    f"samples of type {array.dtype} do not fit the input's {spec.dtype}",
                    spec.name,
                    f"store the array as {spec.dtype}",
                )
            )
        if len(array) != len(samples[0]):
            reasons.append(
                Reason(
                    f"{len(array)} samples, but the first input has {len(samples[0])}", spec.name
                )
            )
    raise_if_any(reasons)


def _values_by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    values = [*graph.inputs, *graph.initializers.values()]
    values += [output for node in graph for output in node.outputs]
    return {value.name: value for value in values if value.name}


def _session(proto: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no exception type of its own in common
        raise EdgecompError(f"onnxruntime does not take the model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
