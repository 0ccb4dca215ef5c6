"""`edgecomp inspect`: models, quantized models and artifacts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Edgecomp = Callable[..., Any]
ARTIFACT_KEYS = {
    "device",
    "target",
    "flash_bytes",
    "weights_bytes",
    "code_bytes",
    "ram_bytes",
    "arena_bytes",
    "stack_bytes",
    "state_bytes",
    "macs",
    "ops",
}


def test_a_float_model_is_counted_and_says_what_could_be_integer(
    edgecomp: Edgecomp, demo: Path
) -> None:
    model = edgecomp("inspect", demo / "digits.onnx", "--json").json
    assert [tensor["shape"] for tensor in model["inputs"]] == [[1, 1, 8, 8]]
    assert [tensor["name"] for tensor in model["outputs"]] == ["scores"]
    assert model["macs"] == sum(op["macs"] for op in model["ops"]) == 129_856
    assert model["params"] == 6_938
    assert {op["name"] for op in model["ops"] if op["where"] != "float"} == {"flatten"}
    assert {op["why_float"] for op in model["ops"]} == {None}


def test_a_quantized_model_says_what_runs_as_integers(edgecomp: Edgecomp, demo: Path) -> None:
    model = edgecomp("inspect", demo / "digits_int8.onnx", "--json").json
    where = {op["name"]: op["where"] for op in model["ops"]}
    assert where["stem"] == where["block1_add"] == where["dense"] == "integer"
    assert where["stem_relu"] == "folded"
    assert model["passes"][0].startswith("quantize:")


def test_what_has_no_integer_meaning_says_why(
    edgecomp: Edgecomp, here: Path, save_node: Callable[..., Path]
) -> None:
    path = save_node(here / "round.onnx", "Round", [1, 4])
    (op,) = edgecomp("inspect", path, "--json").json["ops"]
    assert op["why_float"] == "there is no integer Round"
    assert "float: there is no integer Round" in edgecomp("inspect", path).out


def test_what_the_quantize_pass_leaves_in_float_says_so(
    edgecomp: Edgecomp, here: Path, save_node: Callable[..., Path]
) -> None:
    out = edgecomp("inspect", save_node(here / "abs.onnx", "Abs", [1, 4])).out
    assert "float: the quantize pass leaves Abs in float" in out


def test_a_float_operator_of_a_quantized_model_says_why(edgecomp: Edgecomp, here: Path) -> None:
    """Only `both` is quantized before and behind."""
    scales = [numpy_helper.from_array(np.float32(0.1), "scale")]
    scales.append(numpy_helper.from_array(np.int8(0), "zero"))
    pair = ["scale", "zero"]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="before"),
        helper.make_node("QuantizeLinear", ["a", *pair], ["b"], name="quantize"),
        helper.make_node("DequantizeLinear", ["b", *pair], ["c"], name="dequantize"),
        helper.make_node("Sigmoid", ["c"], ["d"], name="both"),
        helper.make_node("QuantizeLinear", ["d", *pair], ["e"], name="quantize_again"),
        helper.make_node("DequantizeLinear", ["e", *pair], ["f"], name="dequantize_again"),
        helper.make_node("Tanh", ["f"], ["g"], name="behind"),
        helper.make_node("Round", ["g"], ["y"], name="rounded"),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "pairs", values[:1], values[1:], scales)
    opset = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), "pairs.onnx")
    answer = edgecomp("inspect", "pairs.onnx", "--json").json
    ops = {op["name"]: (op["where"], op["why"]) for op in answer["ops"]}
    assert ops["both"] == ("integer", None)
    assert ops["before"] == ("float", "its input x is not quantized")
    assert ops["behind"] == ("float", "its output is not quantized, or read before it is")
    assert ops["rounded"] == ("float", "there is no integer Round")
    assert answer["where"]["float"] >= 3
    assert "its input x is not quantized" in edgecomp("inspect", "pairs.onnx").out


def test_a_refused_operator_says_why_and_the_others_are_still_told(
    edgecomp: Edgecomp, here: Path, save_node: Callable[..., Path]
) -> None:
    path = save_node(here / "det.onnx", "Det", [2, 3, 3])
    answer = edgecomp("inspect", path, "--device", "host", "--json").json
    (op,) = answer["ops"]
    assert op["where"] == "refused"
    assert "Det" in op["why"]
    assert answer["where"]["refused"] == 1
    assert (answer["weights_fit_flash"], answer["arena_bytes"]) == (None, None)
    assert len(answer["reasons"]) == 1
    assert "refused" in edgecomp("inspect", path).out


@pytest.mark.parametrize("device", ["nucleo_l4r5zi", "host"])
def test_the_estimate_is_what_compiling_finds(edgecomp: Edgecomp, demo: Path, device: str) -> None:
    estimate = edgecomp("inspect", demo / "digits_int8.onnx", "--device", device, "--json").json
    artifact = edgecomp("inspect", demo / f"digits-{device}.edge", "--json").json
    sizes = ("weights_bytes", "arena_bytes", "state_bytes", "device")
    assert [estimate[key] for key in sizes] == [artifact[key] for key in sizes]
    assert (estimate["weights_fit_flash"], estimate["arena_fits_ram"]) == (True, True)
    assert estimate["reasons"] == []


def test_a_model_too_big_for_a_device_says_what_takes_the_room(
    edgecomp: Edgecomp, here: Path, save_node: Callable[..., Path]
) -> None:
    weights = np.random.default_rng(0).standard_normal((1000, 1000)).astype(np.float32)
    path = save_node(here / "big.onnx", "MatMul", [1, 1000], weights)
    answer = edgecomp("inspect", path, "--device", "nucleo_l4r5zi", "--json").json
    assert (answer["weights_fit_flash"], answer["arena_fits_ram"]) == (False, True)
    (reason,) = answer["reasons"]
    assert "needs more than 4,000,000 bytes of flash" in reason
    assert "4,000,000  odd (MatMul)" in reason


def test_a_tflite_model_keeps_its_names_and_layout(edgecomp: Edgecomp, shared: Path) -> None:
    model = edgecomp("inspect", shared / "models" / "ad01_int8.tflite", "--json").json
    assert {op["where"] for op in model["ops"]} <= {"integer", "folded"}
    assert model["where"]["integer"] == 10


def test_the_device_a_model_is_meant_for_is_compared(edgecomp: Edgecomp, demo: Path) -> None:
    answer = edgecomp("inspect", demo / "digits.onnx", "--device", "rp2040_pico", "--json").json
    assert (answer["device"], answer["weights_fit_flash"]) == ("rp2040_pico", True)


def test_shapes_and_bindings_reach_the_model(
    edgecomp: Edgecomp, here: Path, save_node: Callable[..., Path]
) -> None:
    path = save_node(here / "open.onnx", "Relu", ["batch", "width"])
    model = edgecomp("inspect", path, "--shape", "x=1,5", "--json").json
    assert model["inputs"][0]["shape"] == [1, 5]


def test_an_artifact_has_the_keys_scripts_rely_on(edgecomp: Edgecomp, demo: Path) -> None:
    artifact = edgecomp("inspect", demo / "digits-nucleo_l4r5zi.edge", "--json").json
    assert set(artifact) >= ARTIFACT_KEYS
    assert (artifact["device"], artifact["target"]) == ("nucleo_l4r5zi", "cortex_m")
    assert artifact["flash_bytes"] == artifact["weights_bytes"] + artifact["code_bytes"]
    assert artifact["ram_bytes"] >= artifact["arena_bytes"] + artifact["stack_bytes"]
    assert all(set(op) >= {"name", "op", "kernel", "where", "macs"} for op in artifact["ops"])
    assert sum(op["macs"] for op in artifact["ops"]) == artifact["macs"]


def test_an_artifact_for_people_shows_operators_and_memory(edgecomp: Edgecomp, demo: Path) -> None:
    out = edgecomp("inspect", demo / "digits-nucleo_l4r5zi.edge").out
    assert "block2_depthwise" in out
    assert "alive from call to call" in out
    assert "\x1b" not in out, "no colours where no person looks"


def test_a_streaming_model_shows_what_it_takes_and_keeps(edgecomp: Edgecomp) -> None:
    spec = importlib.util.find_spec("pymicro_wakeword")
    assert spec is not None
    assert spec.origin is not None
    model = next(Path(spec.origin).parent.rglob("hey_mycroft.tflite"))

    text = " ".join(edgecomp("inspect", str(model)).out.split())

    assert "int8 1 x 3 x 40, scale 0.101961, zero point -128" in text
    assert "state 6 tensors" in text
    assert "kept between inferences" in text


def test_weights_in_fewer_bytes_say_how(edgecomp: Edgecomp, here: Path, demo: Path) -> None:
    passes = ("-p", "cluster:bits=4,per=channel", "-p", "quantize:samples=16")
    given = (
        "--data",
        demo / "train.npz",
        "--device",
        "nucleo_l4r5zi",
        "--optimize",
        "size",
        "--json",
    )
    compiled = edgecomp("compile", demo / "digits.onnx", *passes, *given, "-o", here / "few.edge")
    assert compiled.code == 0
    ops = edgecomp("inspect", here / "few.edge", "--json").json["ops"]
    assert {op["weights"] for op in ops} == {"", "palettes of 16 values"}
    shown = edgecomp("inspect", here / "few.edge").out
    assert "stored as" in shown
    assert "stored as" not in edgecomp("inspect", demo / "digits-nucleo_l4r5zi.edge").out


def test_a_huffman_coded_artifact_shows_what_that_saves(
    edgecomp: Edgecomp, here: Path, demo: Path
) -> None:
    given = ("--device", "rp2040_pico", "--huffman", "-o", here / "coded.edge")
    assert edgecomp("compile", demo / "digits_int8.onnx", *given).code == 0
    sizes = edgecomp("inspect", here / "coded.edge", "--json").json
    assert sizes["file_bytes"] == (here / "coded.edge").stat().st_size < sizes["plain_bytes"]
    assert "without Huffman codes" in edgecomp("inspect", here / "coded.edge").out
    plain = edgecomp("inspect", demo / "digits-nucleo_l4r5zi.edge", "--json").json
    assert plain["file_bytes"] == plain["plain_bytes"]
