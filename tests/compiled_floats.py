"""Float graphs as a shared library made by the host's C compiler, beside onnxruntime."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import helper, numpy_helper

from edgecomp.lowering.codegen import generate_c
from edgecomp.lowering.float_groups import group_float_nodes
from edgecomp.lowering.float_schedule import schedule_float
from edgecomp.lowering.relax import LoweredGroup, lower_group
from edgecomp.lowering.relax_calls import FloatCall

CSRC = Path(__file__).parents[1] / "edgecomp" / "lowering" / "csrc"

Arrays = dict[str, npt.NDArray[Any]]
Node = tuple[str, list[str], dict[str, Any]]


def make_model(nodes: Sequence[Node], inputs: Arrays, constants: Arrays) -> onnx.ModelProto:
    """A model of `nodes`; node i writes "y<i>" (or what its "outputs" attribute names)."""
    protos = []
    for i, (op_type, operands, attributes) in enumerate(nodes):
        outputs = attributes.get("outputs", [f"y{i}"])
        plain = {key: value for key, value in attributes.items() if key != "outputs"}
        protos.append(helper.make_node(op_type, operands, outputs, name=f"n{i}", **plain))
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in inputs.items()
    ]
    results = [helper.make_empty_tensor_value_info(name) for name in protos[-1].output]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(protos, "g", infos, results, weights)
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def lower(model: onnx.ModelProto) -> list[LoweredGroup]:
    graph = ir.serde.deserialize_model(model).graph
    return [lower_group(group) for group in group_float_nodes(list(graph))]


class Library:
    """The calls of lowered groups as one shared library."""

    def __init__(self, folder: Path, calls: Sequence[FloatCall]) -> None:
        sources = [generate_c(schedule_float(c.func), len(c.outputs)) for c in calls]
        text = '#include "edgecomp_kernel.h"\n#include "edgecomp_math.h"\n#undef EC_KERNEL\n'
        text += "#define EC_KERNEL\n"
        text += "\n".join(source.define(f"k{i}") for i, source in enumerate(sources))
        (folder / "k.c").write_text(text)
        command = [sys.executable, "-m", "ziglang", "cc", "-O1", "-ffp-contract=off", "-shared"]
        command += ["-fPIC", "-nostdlib", "-ffreestanding", f"-I{CSRC}", "-fno-sanitize=all"]
        command += [str(folder / "k.c"), "-o", str(folder / "k.so")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        self.library = ctypes.CDLL(str(folder / "k.so"))
        self.calls = calls
        self.workspaces = [source.workspaces for source in sources]

    def run(self, values: Arrays) -> None:
        """Execute every call; `values` gets what they write, and has room for it."""
        for i, call in enumerate(self.calls):
            scratch = [np.full(w.shape, 97, w.dtype) for w in self.workspaces[i]]
            operands = [values[name] for name in (*call.inputs, *call.outputs)] + scratch
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in operands]
            getattr(self.library, f"k{i}")(*pointers)


def onnxruntime_outputs(model: onnx.ModelProto, inputs: Arrays) -> list[npt.NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))


def check(folder: Path, nodes: Sequence[Node], inputs: Arrays, constants: Arrays) -> None:
    """The lowered model and onnxruntime agree to 1e-4 of the largest value."""
    model = make_model(nodes, inputs, constants)
    wanted = onnxruntime_outputs(model, inputs)
    for output, want in zip(model.graph.output, wanted, strict=True):
        kind = helper.np_dtype_to_tensor_dtype(want.dtype)
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, want.shape))
    groups = lower(model)
    names = [output.name for output in model.graph.output]
    values: Arrays = dict(inputs)
    for group in groups:
        values |= group.constants
        values |= {t.name: np.empty(t.shape, t.dtype) for t in group.tensors.values()}
    types = {v.name: v.type.tensor_type for v in [*model.graph.value_info, *model.graph.output]}
    for name, kind in types.items():
        shape = [dim.dim_value for dim in kind.shape.dim]
        values.setdefault(name, np.empty(shape, helper.tensor_dtype_to_np_dtype(kind.elem_type)))
    Library(folder, [call for group in groups for call in group.calls]).run(values)
    for name, want in zip(names, wanted, strict=True):
        assert values[name].shape == want.shape
        if want.dtype.kind == "f":
            scale = np.abs(want[np.isfinite(want)]).max(initial=1e-6)
            np.testing.assert_allclose(values[name], want, rtol=1e-4, atol=1e-4 * scale)
        else:
            np.testing.assert_array_equal(values[name], want)


def floats(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def integers(*values: int) -> npt.NDArray[Any]:
    return np.array(values, np.int64)
