"""Other runtimes on the same model and the same machine, timed as programs are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

import numpy as np
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.tflite_reference import tensor_spec
from edgecomp_runtime.data import to_program
from edgecomp_runtime.examples import example_inputs

THREADS = 1
"""A compiled program uses one thread; so do the others."""


@dataclass
class Rival:
    """A runtime that takes turns with programs.

    Attributes:
        name: of the runtime.
        version: of the runtime.
        infer: one inference, on inputs it has already.
        seconds: what its inferences took, warmup included.
    """

    name: str
    version: str
    infer: Callable[[], None]
    seconds: list[float] = field(default_factory=list)

    def timer(self, turn: int) -> float:
        """Seconds of one inference; see `edgecomp_runtime.compare.Timer`."""
        started = time.perf_counter_ns()
        self.infer()
        self.seconds.append((time.perf_counter_ns() - started) * 1e-9)
        return self.seconds[-1]


def rival_of(name: str, model: Model) -> Rival:
    """The runtime called `name`, ready to run `model` on a sample made up as `bench` does.

    Raises:
        EdgecompError: it is not installed or does not run the model.
    """
    return RIVALS[name](model)


def _onnxruntime(model: Model) -> Rival:
    """onnxruntime as it comes, on the imported graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 4
    proto = ir.to_proto(model.graph).SerializeToString()
    session = onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for spec, array in zip(model.inputs, example_inputs(model.inputs), strict=True):
        binding.bind_cpu_input(spec.name, array)
    for state in model.states:
        binding.bind_cpu_input(state.input, np.ascontiguousarray(state.initial))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    infer = partial(session.run_with_iobinding, binding)
    return Rival("onnxruntime", version("onnxruntime"), infer)


def _tflite(model: Model) -> Rival:
    """tflite-runtime as it comes, with XNNPACK, on the user's file."""
    if model.source is None or model.source.suffix.lower() != ".tflite":
        raise EdgecompError(
            Reason(
                "tflite-runtime runs .tflite files only",
                str(model.source or model.name),
                "choose --baseline onnxruntime",
            )
        )
    try:
        from tflite_runtime.interpreter import Interpreter
    except (ImportError, AttributeError) as error:
        raise EdgecompError(
            Reason("tflite-runtime is missing", "--baseline tflite", "install edgecomp[tflite]")
        ) from error
    try:
        interpreter = Interpreter(str(model.source), num_threads=THREADS)
        interpreter.allocate_tensors()
        details = interpreter.get_input_details()
        specs = [tensor_spec(detail) for detail in details]
        for detail, spec, array in zip(details, specs, example_inputs(specs), strict=True):
            interpreter.set_tensor(detail["index"], to_program(array, spec))
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        what = " ".join(str(error).split())
        raise EdgecompError(
            Reason(f"tflite-runtime does not run it ({what})", str(model.source))
        ) from error
    return Rival("tflite", version("tflite-runtime"), interpreter.invoke)


RIVALS: Mapping[str, Callable[[Model], Rival]] = {"onnxruntime": _onnxruntime, "tflite": _tflite}
"""What sets up each runtime of `--baseline`."""
