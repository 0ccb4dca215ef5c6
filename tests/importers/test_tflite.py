"""Whole TFLite models: golden outputs, names, layouts, and what happens to operators together."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import pytest
import tflite
from onnx.reference import ReferenceEvaluator

from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.importers.tflite.file import Operator, Subgraph, Tensor
from edgecomp.importers.tflite.load import to_onnx
from edgecomp.importers.tflite.operators import BUILTINS
from edgecomp.importers.tflite.schema import OPERATORS
from edgecomp.importers.tflite.sparse import densified
from edgecomp.model import Model
from edgecomp.pipeline import Options, compile_model
from edgecomp.reference import run_reference
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

INTEGER = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8")
FLOAT = ("pretrainedResnet", "vww_96_float", "ad01_fp32")
DYNAMIC_RANGE = "kws_ref_model_float32"
# (device, samples): emulators run one, being slower
DEVICES = (("host", 8), ("raspberrypi_4b", 2), ("nucleo_l4r5zi", 1), ("qemu_mps3_an547", 1))


@pytest.fixture
def golden(shared: Path) -> Callable[[str], tuple[Path, Array, Array]]:
    """A model's file, its inputs [8, ...], and what the reference kernels make of them."""

    def find(name: str) -> tuple[Path, Array, Array]:
        arrays = np.load(shared / "models" / "golden" / f"{name}.npz")
        path = shared / "models" / f"{name}.tflite"
        return path, arrays["input_0"], arrays["output_0_ref"]

    return find


def _compiled(model: Model, device: str, samples: Array, folder: Path) -> tuple[Manifest, Array]:
    manifest = compile_model(model, load_device(device), folder / "model.edge")
    shape = manifest.inputs[0].shape
    with Session(open_artifact(folder / "model.edge")) as session:
        rows = [session.run([sample.reshape(shape)]) for sample in samples]
    return manifest, np.stack([row[manifest.outputs[0].name] for row in rows])


@pytest.mark.parametrize(("device", "count"), DEVICES, ids=[device for device, _ in DEVICES])
@pytest.mark.parametrize("name", INTEGER)
def test_integer_models_give_the_golden_bits(
    golden: Any, tmp_path: Path, name: str, device: str, count: int
) -> None:
    path, samples, wanted = golden(name)
    manifest, got = _compiled(load(path), device, samples[:count], tmp_path)
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got.reshape(wanted[:count].shape), wanted[:count])
    assert {op.where for op in manifest.ops} == {"integer"}
    assert not [op for op in manifest.ops if op.op in ("Transpose", "Identity")]


@pytest.mark.parametrize("name", [*FLOAT, DYNAMIC_RANGE])
def test_float_models_agree_with_the_golden_outputs(golden: Any, tmp_path: Path, name: str) -> None:
    path, samples, wanted = golden(name)
    _, got = _compiled(load(path), "host", samples[:3], tmp_path)
    np.testing.assert_allclose(got.reshape(wanted[:3].shape), wanted[:3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", INTEGER)
def test_the_graph_of_an_integer_model_means_the_same_to_a_step(golden: Any, name: str) -> None:
    path, samples, wanted = golden(name)
    model = load(path)
    compiled_input = samples[:2]
    scales = np.load(path.parent / "golden" / f"{name}.npz")
    real = (compiled_input.astype(np.float32) - scales["input_0_zero_point"]) * scales[
        "input_0_scale"
    ]
    (got,) = run_reference(model, [real.astype(np.float32).reshape(-1, *model.inputs[0].shape)])
    steps = got.reshape(wanted[:2].shape) / scales["output_0_scale"] + scales["output_0_zero_point"]
    # rounding differs by a step in each layer
    assert np.abs(steps - wanted[:2]).mean() < 1.5


def test_images_keep_the_order_and_names_of_the_file(golden: Any) -> None:
    path, _, _ = golden("vww_96_int8")
    model = load(path)
    (image,), (output,) = model.inputs, model.outputs
    assert (image.name, image.shape, image.layout) == ("input_1_int8", (1, 96, 96, 3), "nhwc")
    assert (output.name, output.shape) == ("Identity_int8", (1, 2))
    graph = model.graph.graph
    assert Counter(node.op_type for node in graph)["Transpose"] == 2
    assert all(node.name for node in graph)
    convolution = next(node for node in graph if node.op_type == "Conv")
    assert (convolution.name and "Conv" in convolution.name) or "functional" in convolution.name


def test_scales_are_the_files_own(golden: Any) -> None:
    path, _, _ = golden("kws_ref_model")
    manifest_scale = np.load(path.parent / "golden" / "kws_ref_model.npz")["input_0_scale"]
    quantizer = next(n for n in load(path).graph.graph if n.op_type == "QuantizeLinear")
    scale = quantizer.inputs[1]
    assert scale is not None
    assert scale.const_value is not None
    assert np.float32(scale.const_value.numpy()) == np.float32(manifest_scale)


def test_every_builtin_in_the_table_exists() -> None:
    known = set(OPERATORS.values())
    assert [name for name in BUILTINS if name not in known and not name.startswith("CUSTOM ")] == []


def test_an_unknown_operator_is_named_with_its_tensors(tflite_op: Any, tmp_path: Path) -> None:
    single_op, operand = tflite_op
    tensor = operand((2, 2), dtype="float32")
    path = tmp_path / "op.tflite"
    path.write_bytes(single_op("RFFT2D", (tensor,), tensor).model())
    with pytest.raises(EdgecompError, match="RFFT2D is not supported"):
        load(path)


@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "pretrainedResnet"])
def test_images_may_be_given_channels_first(golden: Any, tmp_path: Path, name: str) -> None:
    path, samples, wanted = golden(name)
    artifact = tmp_path / "model.edge"
    options = Options(input_layout="nchw")
    manifest = compile_model(load(path), load_device("host"), artifact, options=options)
    image = samples[0].reshape(1, 32, 32, 3).transpose(0, 3, 1, 2)
    assert (manifest.inputs[0].shape, manifest.inputs[0].layout) == (image.shape, "nchw")
    with Session(open_artifact(artifact)) as session:
        (got,) = session.run([image]).values()
    np.testing.assert_allclose(got.reshape(-1), wanted[0].reshape(-1), rtol=1e-4, atol=1e-6)


def test_the_custom_transposed_convolution_is_the_builtin_one(tflite_op: Any) -> None:
    random = np.random.default_rng(0)
    image, weights, bias = (
        random.normal(size=shape).astype(np.float32) for shape in ((1, 3, 4, 5), (2, 3, 3, 5), (2,))
    )
    shape = np.array([1, 6, 8, 2], np.int32)
    single_op, operand = tflite_op
    operands = [operand(x.shape, dtype=str(x.dtype), data=x) for x in (shape, weights, bias)]
    operands.insert(2, operand(image.shape, dtype="float32"))
    result = operand((1, 6, 8, 2), dtype="float32")
    options = {"Padding": 0, "StrideH": 2, "StrideW": 2}
    wanted = single_op(
        "TRANSPOSE_CONV", tuple(operands), result, "TransposeConvOptions", options
    ).run(image)
    tensors = (
        Tensor("image", image.shape, "float32", None, None),
        Tensor("weights", weights.shape, "float32", None, weights),
        Tensor("bias", bias.shape, "float32", None, bias),
        Tensor("result", (1, 6, 8, 2), "float32", None, None),
    )
    custom = Operator(
        "CUSTOM Convolution2DTransposeBias", (0, 1, 2), (3,), {}, struct.pack("<3i", 1, 2, 2)
    )
    proto = to_onnx(Subgraph(tensors, (0,), (3,), (custom,)), "custom")
    (got,) = ReferenceEvaluator(proto).run(None, {"image": image})
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def _sparse(builder: Any) -> int:
    """A 4 x 4 matrix in blocks of 2 x 2, two of them stored, as the schema's example has it."""
    rows = builder.CreateNumpyVector(np.array([0, 1, 2], np.uint8))
    tflite.Uint8VectorStart(builder)
    tflite.Uint8VectorAddValues(builder, rows)
    segments = tflite.Uint8VectorEnd(builder)
    columns = builder.CreateNumpyVector(np.array([1, 0], np.uint8))
    tflite.Uint8VectorStart(builder)
    tflite.Uint8VectorAddValues(builder, columns)
    indices = tflite.Uint8VectorEnd(builder)
    levels = []
    for size in (2, None, 2, 2):
        tflite.DimensionMetadataStart(builder)
        if size is None:
            kind = tflite.SparseIndexVector.Uint8Vector
            tflite.DimensionMetadataAddFormat(builder, tflite.DimensionType.SPARSE_CSR)
            tflite.DimensionMetadataAddArraySegmentsType(builder, kind)
            tflite.DimensionMetadataAddArraySegments(builder, segments)
            tflite.DimensionMetadataAddArrayIndicesType(builder, kind)
            tflite.DimensionMetadataAddArrayIndices(builder, indices)
        else:
            tflite.DimensionMetadataAddDenseSize(builder, size)
        levels.append(tflite.DimensionMetadataEnd(builder))
    builder.StartVector(4, len(levels), 4)
    for level in reversed(levels):
        builder.PrependUOffsetTRelative(level)
    metadata = builder.EndVector()
    order = builder.CreateNumpyVector(np.arange(4, dtype=np.int32))
    blocks = builder.CreateNumpyVector(np.array([0, 1], np.int32))
    tflite.SparsityParametersStart(builder)
    tflite.SparsityParametersAddTraversalOrder(builder, order)
    tflite.SparsityParametersAddBlockMap(builder, blocks)
    tflite.SparsityParametersAddDimMetadata(builder, metadata)
    return int(tflite.SparsityParametersEnd(builder))


def test_sparse_blocks_become_dense() -> None:
    builder = flatbuffers.Builder(256)
    builder.Finish(_sparse(builder))
    table = tflite.SparsityParameters.GetRootAs(bytes(builder.Output()), 0)
    stored = np.arange(1, 9, dtype=np.float32)
    dense = densified(table, stored.view(np.uint8), (4, 4), "float32", "w", lambda count: None)
    wanted = [[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 0, 0], [7, 8, 0, 0]]
    np.testing.assert_array_equal(dense, wanted)


def test_sparse_content_outside_its_shape_is_refused() -> None:
    builder = flatbuffers.Builder(256)
    builder.Finish(_sparse(builder))
    table = tflite.SparsityParameters.GetRootAs(bytes(builder.Output()), 0)
    stored = np.zeros(8, np.float32).view(np.uint8)
    with pytest.raises(EdgecompError, match="does not fit its shape"):
        densified(table, stored, (4, 3), "float32", "w", lambda count: None)
