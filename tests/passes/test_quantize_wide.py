"""int16 activations, everywhere or where they are worth it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest

from edgecomp.compress import compress, save_model, statistics
from edgecomp.device import Device, load_device
from edgecomp.errors import EdgecompError
from edgecomp.graph.qdq import is_quantize, quantization_of
from edgecomp.graph.quantizable import why_float
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.context import Context
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import compile_model
from edgecomp.quantization_noise import model_noise
from edgecomp.reference import first_outputs
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.data import from_program, to_program
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
Make = Callable[..., Any]

CURVES = """
net (float[1,3,8,8] x) => (float[1,4] y, float[1,8,1,1] z) {
    [conv] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    [swish] b = HardSwish (a)
    [point] c = Conv (b, w2, b2)
    [gate] d = Sigmoid (c)
    [scale] e = Mul (c, d)
    [double] f = Add (e, k)
    [join] g = Concat <axis = 1> (f, d)
    [mean] m = GlobalAveragePool (g)
    [cut] z = Slice (m, starts, ends, axes)
    [flat] h = Flatten (m)
    [dense] y = Gemm (h, w3, b3)
}
"""


@pytest.fixture
def curves(make_model: Make, floats: Make) -> Model:
    """With an operator int16 has not, two inputs of other scales, a constant operand."""
    constants = {
        "w1": floats(6, 3, 3, 3), "b1": floats(6), "w2": floats(8, 6, 1, 1), "b2": floats(8),
        "k": floats(1, 8, 1, 1), "w3": floats(16, 4), "b3": floats(4),
        "starts": np.array([0]), "ends": np.array([8]), "axes": np.array([1]),
    }  # fmt: skip
    model: Model = make_model(CURVES, constants)
    return model


def kinds(model: Model) -> list[str]:
    """The type each QuantizeLinear makes."""
    found = [quantization_of(node) for node in model.graph.graph if is_quantize(node)]
    return [each.dtype for each in found if each is not None]


def half_way(model: Model, data: Any, device: Device) -> tuple[float, float]:
    """Modelled instructions, and milliseconds, between those of int8 and of int16."""
    costs = [
        statistics(compress(model, [Quantize(activations=kind)], data), device).instructions or 0
        for kind in ("int8", "int16")
    ]
    middle = sum(costs) / 2
    assert costs[0] < middle < costs[1]
    return middle, 1e3 * middle * device.timing.cycles_per_instruction.value / device.clock_hz.value


def steps_apart(model: Model, device: str, data: Any, path: Path) -> float:
    """By how many steps the compiled model's first output differs from onnxruntime's at most."""
    exact = first_outputs(model, data, 6)
    compile_model(model, load_device(device), path)
    artifact = open_artifact(path)
    spec = artifact.manifest.outputs[0]
    assert spec.scale is not None
    found = []
    with Session(artifact) as session:
        for feed in data.samples(model.inputs, 6):
            given = {s.name: to_program(feed[s.name], s) for s in artifact.manifest.inputs}
            found.append(from_program(session.run(given)[spec.name], spec).ravel())
    assert all(op.op != "" for op in artifact.manifest.ops)
    return float(np.abs(np.stack(found) - exact).max() / spec.scale)


def test_activations_are_symmetric_and_weights_stay_int8(
    small_cnn: Model, make_data: Make, floats: Make
) -> None:
    data = make_data(x=floats(40, 3, 8, 8))
    wide = compress(small_cnn, [Quantize(activations="int16")], data)
    assert set(kinds(wide)) == {"int16"}
    for node in wide.graph.graph:
        grid = quantization_of(node)
        if grid is not None:
            assert not grid.zero_point.any()
    stored = [v.dtype for v in wide.graph.graph.initializers.values() if len(v.shape or ()) == 4]
    assert stored == [ir.DataType.INT8] * 2
    noise = [
        model_noise(small_cnn, compress(small_cnn, [Quantize(activations=kind)], data), data, 40)
        for kind in ("int8", "int16")
    ]
    assert noise[1].output_db > noise[0].output_db + 3


def test_what_int16_has_not_stays_float(curves: Model, make_data: Make, floats: Make) -> None:
    wide = compress(curves, [Quantize(activations="int16")], make_data(x=floats(30, 3, 8, 8)))
    reasons = {str(node.name): why_float(node) for node in wide.graph.graph}
    assert reasons["swish"] == "there is no integer HardSwish of int16"
    others = ("conv", "point", "gate", "scale", "double", "join", "mean", "cut", "dense")
    assert {reasons[name] for name in others} == {None}


@pytest.mark.parametrize("device", ["host", "qemu_mps2_an386"])
@pytest.mark.parametrize("kind", ["int16", "mixed"])
def test_the_program_is_the_model(
    curves: Model, make_data: Make, floats: Make, tmp_path: Path, device: str, kind: str
) -> None:
    data = make_data(x=floats(30, 3, 8, 8))
    limit = half_way(curves, data, load_device(device))[1] if kind == "mixed" else 0.0
    spec = parse_pass(f"quantize:activations={kind},ms={limit!r},samples=20")
    made = compress(curves, [spec], data, device=load_device(device))
    save_model(made, tmp_path / "wide.onnx")
    wide = load(tmp_path / "wide.onnx")
    onnxruntime.InferenceSession(tmp_path / "wide.onnx", providers=["CPUExecutionProvider"])
    assert "int16" in kinds(wide)
    assert steps_apart(wide, device, data, tmp_path / "wide.edge") <= 12


def test_types_meet_by_being_rounded_again(
    small_cnn: Model, make_data: Make, floats: Make, tmp_path: Path
) -> None:
    """Some values in int16, others in int8, every operator of one type."""
    data, device = make_data(x=floats(40, 3, 8, 8)), load_device("qemu_mps2_an386")
    instructions, limit = half_way(small_cnn, data, device)
    spec = parse_pass(f"quantize:activations=mixed,ms={limit!r}")
    mixed = compress(small_cnn, [spec], data, device=device)
    assert set(kinds(mixed)) == {"int8", "int16"}
    spent = statistics(mixed, device).instructions
    assert spent is not None
    assert spent <= instructions + 1
    assert steps_apart(mixed, "host", data, tmp_path / "m.edge") <= 40  # of int16


def test_limits_that_cannot_be_kept(small_cnn: Model, make_data: Make, floats: Make) -> None:
    data, device = make_data(x=floats(20, 3, 8, 8)), load_device("qemu_mps2_an386")

    def told(spec: str, context: Context) -> str:
        with pytest.raises(EdgecompError) as caught:
            parse_pass(spec).apply(small_cnn, context)
        return str(caught.value)

    time, size = "quantize:activations=mixed,ms=1e-6", "quantize:weights=mixed,bytes=100"
    assert "ms=1e-06 cannot be kept; the least possible is 1." in told(
        time, Context(data, device=device)
    )
    assert "the device is needed, whose time is modelled; give --device" in told(
        time, Context(data)
    )
    narrow = statistics(compress(small_cnn, [Quantize(weights="int4")], data)).bytes
    assert f"the least possible is {narrow:,} bytes" in told(size, Context(data))


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(EdgecompError) as caught:
        Quantize(bytes=100.0, ms=1.0)
    assert [str(reason) for reason in caught.value.reasons] == [
        "quantize: bytes is a limit of mixed weights; add weights=mixed",
        "quantize: ms is a limit of mixed activations; add activations=mixed",
    ]
    with pytest.raises(EdgecompError, match="cannot both be mixed"):
        Quantize(weights="mixed", activations="mixed")


@pytest.mark.parametrize("share", [True, False])
def test_bytes_are_kept(small_cnn: Model, make_data: Make, floats: Make, share: bool) -> None:
    data = make_data(x=floats(20, 3, 8, 8))
    eight, four = (
        statistics(compress(small_cnn, [Quantize(weights=kind)], data)).bytes
        for kind in ("int8", "int4")
    )
    most = 0.5 * (eight + four)
    spec = Quantize(weights="mixed", bytes=most / eight if share else most)
    found = statistics(compress(small_cnn, [spec], data)).bytes
    assert four <= found <= most
    assert statistics(compress(small_cnn, [Quantize(weights="mixed", bytes=1.0)], data)).bytes == (
        eight
    )
