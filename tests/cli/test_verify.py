"""`edgecomp verify` names the operator at which a program leaves its model."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tflite
from onnx import numpy_helper

from edgecomp.divergence import RELATIVE, relative_errors
from edgecomp.importers.tflite.reader import read_file
from edgecomp_runtime.artifact import open_artifact, write_artifact

Edgecomp = Callable[..., Any]
RESNET = "pretrainedResnet_quant"


def change(model: Path, initializer: str, by: float, output: Path) -> Path:
    """Write `model` with one element of an initializer changed."""
    proto = onnx.load(model)
    tensor = next(t for t in proto.graph.initializer if t.name == initializer)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[3] += np.asarray(by, array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, initializer))
    onnx.save(proto, output)
    return output


def change_tflite(model: Path, operator: int, output: Path, which: slice = slice(5, 6)) -> str:
    """Write `model` with weights of an operator changed; the name of what that operator makes."""
    data = bytearray(model.read_bytes())
    file = tflite.Model.GetRootAsModel(data, 0)
    graph = file.Subgraphs(0)
    changed = graph.Operators(operator)
    weights = file.Buffers(graph.Tensors(changed.Inputs(1)).Buffer()).DataAsNumpy()
    weights[which] ^= 0x40
    output.write_bytes(data)
    return str(graph.Tensors(changed.Outputs(0)).Name().decode())


@pytest.mark.parametrize(
    ("name", "weights", "by", "node", "op"),
    [
        ("digits", "block2_depthwise.weight_folded", 0.5, "block2_depthwise", "Conv+Relu"),
        ("digits_int8", "block1_pointwise.weight_folded_quantized", 40, "block1_pointwise", "Conv"),
    ],
)
@pytest.mark.parametrize("device", ["host", "nucleo_l4r5zi"])
def test_a_changed_weight_is_found_in_its_layer(
    edgecomp: Edgecomp,
    demo: Path,
    here: Path,
    name: str,
    weights: str,
    by: float,
    node: str,
    op: str,
    device: str,
) -> None:
    changed = change(demo / f"{name}.onnx", weights, by, here / f"{name}.onnx")
    assert edgecomp("compile", changed, "--device", device, "-o", "changed.edge").code == 0
    against = ("--against", demo / f"{name}.onnx", "--data", demo / "test.npz", "--samples", 5)
    answer = edgecomp("verify", "changed.edge", *against, "--json")
    assert answer.code == 1
    found = answer.parsed["first_divergence"]
    assert (found["name"], found["op"]) == (node, op)
    assert found["ours"] != found["reference"]
    assert (found["steps"] or 2) > 1
    assert (found["relative_error"] or 1) > 1e-4
    assert not answer.parsed["within"]
    (sentence,) = answer.sentences
    assert f"the first operator that differs is {node} ({op})" in sentence


def test_roundings_that_add_up_are_no_divergence(edgecomp: Edgecomp, demo: Path) -> None:
    against = ("--against", demo / "digits_int8.onnx", "--data", demo / "test.npz")
    answer = edgecomp("verify", demo / "digits-host.edge", *against, "--json").json
    assert answer["outputs"][0]["max_steps"] > 1, "else this test tells nothing"
    assert answer["within"]
    assert answer["first_divergence"] is None
    assert "every operator by itself is within one step: roundings add up" in answer["note"]


def test_nothing_is_asked_of_a_program_that_passes_changed(edgecomp: Edgecomp, demo: Path) -> None:
    against = ("--against", demo / "digits.onnx", "--data", demo / "test.npz", "--samples", 5)
    answer = edgecomp("verify", demo / "digits-host.edge", *against, "--json").json
    assert (answer["exact"], answer["within"], answer["bound"]) == (False, True, None)
    assert "compiled after the passes quantize" in answer["note"][0]


def test_machine_code_that_is_not_its_own_c_is_told(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    weights = "block2_depthwise.weight_folded"
    changed = change(demo / "digits.onnx", weights, 0.5, here / "digits.onnx")
    for model, output in ((changed, "changed.edge"), (demo / "digits.onnx", "same.edge")):
        assert edgecomp("compile", model, "--device", "host", "-o", output).code == 0
    same, other = open_artifact("same.edge"), open_artifact("changed.edge")
    files = {name: same.read(name) for name in same.manifest.files}
    files[same.manifest.program] = other.read(other.manifest.program)
    write_artifact("mixed.edge", same.manifest, files)
    against = ("--against", demo / "digits.onnx", "--data", demo / "test.npz", "--samples", 3)
    answer = edgecomp("verify", "mixed.edge", *against)
    assert answer.code == 1
    (sentence,) = answer.sentences
    assert "its machine code gives other values than its C compiled here" in sentence


def test_boards_take_many_samples_at_once(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    model = demo / "digits_int8.onnx"
    assert edgecomp("compile", model, "--device", "corstone_300", "-o", "board.edge").code == 0
    against = ("--against", model, "--data", demo / "test.npz", "--samples", 40)
    board = edgecomp("verify", "board.edge", *against, "--json").json
    host = edgecomp("verify", demo / "digits-host.edge", *against, "--json").json
    assert board["outputs"] == host["outputs"]


def test_small_values_are_not_held_to_more_digits_than_there_are() -> None:
    ours, wanted = np.float32([2.5e-8, 0]), np.float32([0, 0])
    assert relative_errors(ours, wanted).max() <= RELATIVE
    assert relative_errors(np.float32([np.inf]), np.float32([1])).max() == np.inf
    assert relative_errors(np.float32([np.nan, -np.inf]), np.float32([np.nan, -np.inf])).max() == 0
    assert relative_errors(np.float32([100.1, 0.1]), np.float32([100, 0])).max() > RELATIVE


@pytest.fixture
def samples(shared: Path, here: Path) -> Path:
    """Two golden inputs of the TFLite model."""
    golden = np.load(shared / "models" / "golden" / f"{RESNET}.npz")
    np.savez("samples.npz", input_0=golden["input_0"][:2])
    return here / "samples.npz"


def test_a_tflite_model_is_met_to_the_bit(
    edgecomp: Edgecomp, shared: Path, samples: Path, here: Path
) -> None:
    model = shared / "models" / f"{RESNET}.tflite"
    assert edgecomp("compile", model, "--device", "host", "-o", "same.edge").code == 0
    command = ("verify", "same.edge", "--against", model, "--data", samples, "--json")
    answer = edgecomp(*command).json
    assert (answer["exact"], answer["within"]) == (True, True)
    assert answer["reference"] == "tflite-runtime"


@pytest.mark.parametrize("operator", [2, 6, 14])
def test_an_operator_of_a_tflite_model_is_named(
    edgecomp: Edgecomp, shared: Path, samples: Path, here: Path, operator: int
) -> None:
    """Operator 3 of the file adds in place: its operand must not be judged by the sum."""
    model = shared / "models" / f"{RESNET}.tflite"
    name = change_tflite(model, operator, here / f"{RESNET}.tflite")
    device = ("--device", "host", "-o", "changed.edge")
    assert edgecomp("compile", here / f"{RESNET}.tflite", *device).code == 0
    command = ("verify", "changed.edge", "--against", model, "--data", samples, "--json")
    answer = edgecomp(*command)
    assert answer.code == 1
    assert answer.parsed["first_divergence"]["name"] == name
    assert answer.parsed["first_divergence"]["steps"] >= 1


def test_a_stream_is_followed_with_its_state(edgecomp: Edgecomp, here: Path) -> None:
    spec = importlib.util.find_spec("pymicro_wakeword")
    assert spec is not None
    assert spec.origin is not None
    model = next(Path(spec.origin).parent.rglob("hey_mycroft.tflite"))
    convolutions = [
        index
        for index, operator in enumerate(read_file(model)[0].operators)
        if operator.name == "CONV_2D"
    ]
    layer = change_tflite(model, convolutions[1], here / "wrong.tflite", slice(0, 400))
    (entry,) = read_file(model)[0].inputs
    shape = read_file(model)[0].tensors[entry].shape
    frames = np.random.default_rng(0).normal(-20, 30, (150, *shape)).clip(-128, 127)
    np.savez(here / "frames.npz", frames.astype(np.int8))
    edgecomp("compile", "wrong.tflite", "--device", "host", "-o", "wrong.edge")
    arguments = ("verify", "wrong.edge", "--against", str(model), "--data", "frames.npz")

    fresh = edgecomp(*arguments, "--json").json
    stream = edgecomp(*arguments, "--json", "--state", "carry").parsed

    assert any("--state carry" in note for note in fresh["note"])
    assert stream["first_divergence"]["name"] == layer
    assert stream["note"] == []


def test_without_tflite_runtime_one_sentence_says_what_to_install(
    edgecomp: Edgecomp,
    shared: Path,
    samples: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = shared / "models" / f"{RESNET}.tflite"
    assert edgecomp("compile", model, "--device", "host", "-o", "same.edge").code == 0
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    answer = edgecomp("verify", "same.edge", "--against", model, "--data", samples)
    assert answer.code == 1
    (sentence,) = answer.sentences
    assert sentence.endswith("install edgecomp[tflite]")
