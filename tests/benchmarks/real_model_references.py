"""What the original files mean: onnxruntime, and both kernel sets of tflite-runtime.

Each kind of file is run in two ways that should agree. How far they are apart says what the model's
own arithmetic leaves open, which no third program can be held to.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import tflite
from tflite_runtime.interpreter import Interpreter, OpResolverType

from edgecomp.importers.tflite.file import Operator, Subgraph
from edgecomp.importers.tflite.reader import read_file
from edgecomp.tflite_reference import exposed

Array = npt.NDArray[Any]
Frames = Sequence[Sequence[Array]]
"""Inputs of inferences, one after the other, in the order of the model's inputs."""
Outputs = list[list[Array]]
"""Outputs of the same inferences."""

OPERATORS_FIELD = 10
"""Place of `operators` in the vtable of a SubGraph: the fourth field, behind two sizes of 2."""
TRANSPOSE_BIAS = "CUSTOM Convolution2DTransposeBias"


@dataclass(frozen=True)
class Reference:
    """One way to run a file.

    Attributes:
        name: what computes.
        run: from the file, the inputs bound to values, the names of the other inputs and of the
            outputs, and the frames to what comes out.
    """

    name: str
    run: Callable[[Path, Mapping[str, Any], Sequence[str], Sequence[str], Frames], Outputs]


def _onnx(level: Any) -> Callable[..., Outputs]:
    def run(
        path: Path,
        bound: Mapping[str, Any],
        inputs: Sequence[str],
        outputs: Sequence[str],
        frames: Frames,
    ) -> Outputs:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        fixed = {name: np.asarray(value, np.int64) for name, value in bound.items()}
        return [
            list(session.run(list(outputs), {**dict(zip(inputs, frame, strict=True)), **fixed}))
            for frame in frames
        ]

    return run


def _tflite(kernels: Any) -> Callable[..., Outputs]:
    def run(
        path: Path,
        bound: Mapping[str, Any],
        inputs: Sequence[str],
        outputs: Sequence[str],
        frames: Frames,
    ) -> Outputs:
        graph, content = read_file(path)[0], path.read_bytes()
        custom = next((op for op in graph.operators if op.name == TRANSPOSE_BIAS), None)
        if custom is None:
            return _interpreted(content, kernels, frames)
        images = _interpreted(_ended_before(content, graph, custom), kernels, frames)
        return [[_finished(graph, custom, image)] for (image,) in images]

    return run


def _interpreted(content: bytes, kernels: Any, frames: Frames) -> Outputs:
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=kernels
    )
    interpreter.allocate_tensors()
    results = []
    for frame in frames:
        for detail, array in zip(interpreter.get_input_details(), frame, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        details = interpreter.get_output_details()
        results.append([interpreter.get_tensor(detail["index"]) for detail in details])
    return results


def _ended_before(content: bytes, graph: Subgraph, operator: Operator) -> bytes:
    """The file without `operator` and all after it; what `operator` reads first is its output."""
    image = operator.inputs[0]
    assert image is not None, "the operator reads an image"
    data = bytearray(exposed(content, [image]))
    table = tflite.Model.GetRootAsModel(bytes(data), 0).Subgraphs(0)._tab
    field = table.Pos + table.Offset(OPERATORS_FIELD)
    vector = field + struct.unpack_from("<I", data, field)[0]
    struct.pack_into("<I", data, vector, graph.operators.index(operator))
    # `exposed` put the new vector of outputs last: their count and the image are its end
    return bytes(data[: -4 * (len(graph.outputs) + 2)]) + struct.pack("<2i", 1, image)


def _finished(graph: Subgraph, operator: Operator, image: Array) -> Array:
    """MediaPipe's transposed convolution and the logistic function after it, in double precision.

    Its windows do not overlap: each pixel of the image makes a block of the result.
    """
    rest = graph.operators[graph.operators.index(operator) + 1 :]
    weights, bias = (_constant(graph, place) for place in operator.inputs[1:3])
    count, height, width = weights.shape[:3]
    assert [each.name for each in rest] == ["LOGISTIC"], "what follows is known"
    assert struct.unpack_from("<3i", operator.custom)[1:] == (width, height), "no overlap"
    blocks = np.einsum("nyxc,ohwc->nyhxwo", image, weights, dtype=np.float64)
    size = (image.shape[0], image.shape[1] * height, image.shape[2] * width, count)
    made: Array = 1 / (1 + np.exp(-(blocks.reshape(size) + bias)))
    return made


def _constant(graph: Subgraph, index: int | None) -> Array:
    """A tensor of the file that is constant, or 16-bit floats of it made 32-bit."""
    assert index is not None, "the operand is given"
    content = graph.tensors[index].data
    if content is None:
        maker = next(op for op in graph.operators if index in op.outputs)
        assert maker.name == "DEQUANTIZE", "weights are constants, or dequantized"
        return _constant(graph, maker.inputs[0])
    return np.asarray(content, np.float64)


REFERENCES: Mapping[str, tuple[Reference, ...]] = {
    ".onnx": (
        Reference("onnxruntime", _onnx(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)),
        Reference(
            "onnxruntime, unoptimized", _onnx(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        ),
    ),
    ".tflite": (
        Reference("TFLite reference", _tflite(OpResolverType.BUILTIN_REF)),
        Reference("TFLite optimized", _tflite(OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)),
    ),
}
"""The two ways to run a file, by suffix; errors are differences from the first."""
