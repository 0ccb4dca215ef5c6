"""Every case on every kind of core: the same bits as on this machine, and what onnxruntime says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import Options, compile_model
from edgecomp.reference import run_reference
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.elf import read_elf
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

# One device for each core there is code for.
EMULATED = (
    "raspberrypi_2b",
    "raspberrypi_3b",
    "raspberrypi_4b",
    "raspberrypi_5",
    "rp2040_pico",
    "qemu_mps2_an385",
    "nucleo_l4r5zi",
    "nucleo_h743zi",
    "rp2350_pico2",
    "corstone_300",
)
SAMPLES = 4


@dataclass(frozen=True)
class Case:
    """A small network: its nodes, and the shapes of its input and its weights."""

    nodes: Sequence[onnx.NodeProto]
    input: tuple[int, ...]
    weights: Mapping[str, tuple[int, ...] | Array]
    output: tuple[int, ...]


def _image_case() -> Case:
    """Convolutions of every kind, a residual addition, pools, a dense layer, softmax."""
    node = helper.make_node
    return Case(
        [
            node("Conv", ["x", "w0", "b0"], ["c0"], "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Relu", ["c0"], ["r0"], "stem_relu"),
            node("Conv", ["r0", "w1"], ["c1"], "depthwise", pads=[1, 0, 1, 2], group=6),
            node("Clip", ["c1", "zero", "six"], ["r1"], "depthwise_clip"),
            node("Conv", ["r1", "w2", "b2"], ["c2"], "pointwise"),
            node("Add", ["c2", "r0"], ["a0"], "residual"),
            node("Relu", ["a0"], ["r2"], "residual_relu"),
            node("MaxPool", ["r2"], ["p0"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
            node("AveragePool", ["p0"], ["p1"], "average", kernel_shape=[3, 2], pads=[1, 0, 1, 0]),
            node("Conv", ["p1", "w3"], ["c3"], "grouped", group=2, dilations=[2, 1]),
            node("Flatten", ["c3"], ["f0"], "flatten"),
            node("Gemm", ["f0", "w4", "b4"], ["g0"], "dense", transB=1),
            node("Softmax", ["g0"], ["y"], "softmax", axis=-1),
        ],
        (1, 3, 13, 12),
        {
            "w0": (6, 3, 3, 3),
            "b0": (6,),
            "w1": (6, 1, 3, 3),
            "w2": (6, 6, 1, 1),
            "b2": (6,),
            "zero": np.float32(0),
            "six": np.float32(6),
            "w3": (4, 3, 2, 1),
            "w4": (5, 8),
            "b4": (5,),
        },
        (1, 5),
    )


def _gates_case() -> Case:
    """Activation functions, products, a concatenation, a mean: what gated networks are made of."""
    node = helper.make_node
    return Case(
        [
            node("Conv", ["x", "w0"], ["c0"], "conv", pads=[1, 1, 1, 1]),
            node("HardSwish", ["c0"], ["h0"], "hard_swish"),
            node("GlobalAveragePool", ["h0"], ["m0"], "squeeze"),
            node("Sigmoid", ["m0"], ["s0"], "gate"),
            node("Mul", ["h0", "s0"], ["e0"], "excite"),
            node("Tanh", ["c0"], ["t0"], "tanh"),
            node("Concat", ["e0", "t0"], ["k0"], "concat", axis=1),
            node("LeakyRelu", ["k0"], ["l0"], "leaky", alpha=0.1),
            node("ReduceMean", ["l0", "axes"], ["r0"], "mean", keepdims=0),
            node("MatMul", ["r0", "w1"], ["d0"], "matmul"),
            node("Sub", ["d0", "w2"], ["y"], "shift"),
        ],
        (1, 4, 5, 7),
        {
            "w0": (8, 4, 3, 3),
            "axes": np.array([2, 3], np.int64),
            "w1": (16, 6),
            "w2": (1, 6),
        },
        (1, 6),
    )


def _sequence_case() -> Case:
    """A 1-d network."""
    node = helper.make_node
    return Case(
        [
            node("Conv", ["x", "w0", "b0"], ["c0"], "conv", pads=[2, 2], strides=[2]),
            node("Relu", ["c0"], ["r0"], "relu"),
            node("MaxPool", ["r0"], ["p0"], "pool", kernel_shape=[2], strides=[2]),
            node("Transpose", ["p0"], ["t0"], "transpose", perm=[0, 2, 1]),
            node("MatMul", ["t0", "w1"], ["d0"], "rows"),
            node("Reshape", ["d0", "shape"], ["y"], "reshape"),
        ],
        (1, 5, 24),
        {"w0": (7, 5, 5), "b0": (7,), "w1": (7, 3), "shape": np.array([1, -1], np.int64)},
        (1, 18),
    )


CASES: Mapping[str, Callable[[], Case]] = {
    "image": _image_case,
    "gates": _gates_case,
    "sequence": _sequence_case,
}


def _save(case: Case, path: Path) -> None:
    rng = np.random.default_rng(7)

    def content(given: tuple[int, ...] | Array) -> Array:
        if not isinstance(given, tuple):
            return np.asarray(given)
        fan_in = max(int(np.prod(given[1:])), 1)
        return (rng.standard_normal(given) / np.sqrt(fan_in)).astype(np.float32)

    graph = helper.make_graph(
        case.nodes,
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.input)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, case.output)],
        [numpy_helper.from_array(content(w), name) for name, w in case.weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


@dataclass(frozen=True)
class Prepared:
    """A case as a model, float or quantized, with samples and what onnxruntime makes of them."""

    model: Model
    samples: Array
    expected: Array


@pytest.fixture(scope="module", params=list(CASES))
def case_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["float", "int8"])
def prepared(
    request: pytest.FixtureRequest, case_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    folder = tmp_path_factory.mktemp("case")
    case = CASES[case_name]()
    _save(case, folder / f"{case_name}.onnx")
    model = load(folder / f"{case_name}.onnx")
    rng = np.random.default_rng(11)
    samples = rng.uniform(-2, 3, (16, *case.input)).astype(np.float32)
    if request.param == "int8":
        np.savez(folder / "data.npz", x=samples)
        model = compress(model, [Quantize()], CalibrationData(folder / "data.npz"))
    samples = samples[:SAMPLES]
    return Prepared(model, samples, run_reference(model, [samples])[0])


def _run(prepared: Prepared, device: str, path: Path, **options: Any) -> Array:
    compile_model(prepared.model, load_device(device), path, options=Options(**options))
    with Session(open_artifact(path)) as session:
        return np.stack([session.run({"x": sample})["y"] for sample in prepared.samples])


@pytest.fixture(scope="module")
def on_host(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Array:
    return _run(prepared, "host", tmp_path_factory.mktemp("host") / "host.edge")


def test_host_agrees_with_onnxruntime(prepared: Prepared, on_host: Array, tmp_path: Path) -> None:
    """Float to rounding; integers to one step of onnxruntime for each of the operators in a row."""
    if not prepared.model.history:
        np.testing.assert_allclose(on_host, prepared.expected, rtol=1e-4, atol=1e-5)
        return
    manifest = compile_model(prepared.model, load_device("host"), tmp_path / "again.edge")
    assert {op.where for op in manifest.ops} == {"integer"}
    step = manifest.outputs[0].scale
    assert step is not None
    assert np.abs(on_host - prepared.expected).max() <= 3 * step


@pytest.mark.parametrize("device", EMULATED)
def test_every_core_gives_the_same_bits(
    prepared: Prepared, on_host: Array, device: str, tmp_path: Path
) -> None:
    result = _run(prepared, device, tmp_path / "device.edge")
    np.testing.assert_array_equal(result.view(np.uint8), on_host.view(np.uint8))


@pytest.mark.parametrize("device", ["host", "raspberrypi_4b", "raspberrypi_2b", "nucleo_l4r5zi"])
def test_the_program_needs_nothing_else(prepared: Prepared, device: str, tmp_path: Path) -> None:
    manifest = compile_model(prepared.model, load_device(device), tmp_path / "device.edge")
    elf = read_elf(open_artifact(tmp_path / "device.edge").read(manifest.program))
    assert elf.undefined == ()
    assert elf.needed == ()
    assert not [symbol.name for symbol in elf.symbols if "tvm" in symbol.name.lower()]


def test_input_order_and_float_edges_do_not_change_the_values(
    prepared: Prepared, on_host: Array, tmp_path: Path
) -> None:
    inside = _run(prepared, "host", tmp_path / "inside.edge", integer_io=False)
    np.testing.assert_array_equal(inside, on_host)
    if prepared.samples.ndim != 5:
        return
    nhwc = Prepared(prepared.model, prepared.samples.transpose(0, 1, 3, 4, 2), prepared.expected)
    turned = _run(nhwc, "host", tmp_path / "nhwc.edge", input_layout="nhwc")
    np.testing.assert_array_equal(turned, on_host)


def test_the_same_model_gives_the_same_bytes(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("one.edge", "two.edge"):
        compile_model(prepared.model, load_device("nucleo_l4r5zi"), tmp_path / name)
    assert (tmp_path / "one.edge").read_bytes() == (tmp_path / "two.edge").read_bytes()


@pytest.mark.parametrize("device", ["raspberrypi_4b", "rp2040_pico", "nucleo_l4r5zi"])
def test_the_stack_promised_is_enough(prepared: Prepared, device: str, tmp_path: Path) -> None:
    manifest = compile_model(prepared.model, load_device(device), tmp_path / "device.edge")
    with Session(open_artifact(tmp_path / "device.edge")) as session:
        inputs, _ = session.prepare({"x": prepared.samples[0]})
        counts = session.engine.count(inputs)
    assert 0 < counts.stack_bytes <= manifest.memory.stack_bytes
    assert counts.instructions >= sum(counts.per_op) > 0
