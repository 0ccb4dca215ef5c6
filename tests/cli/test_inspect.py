"""`edgecomp inspect`: models, quantized models and artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    assert {op["where"] for op in model["ops"]} == {"float"}
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
    path = save_node(here / "erf.onnx", "Erf", [1, 4])
    (op,) = edgecomp("inspect", path, "--json").json["ops"]
    assert op["why_float"] == "there is no integer Erf"
    assert "float: there is no integer Erf" in edgecomp("inspect", path).out


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
