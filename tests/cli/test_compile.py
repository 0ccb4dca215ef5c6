"""`edgecomp compress` and `edgecomp compile`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Edgecomp = Callable[..., Any]


def test_compress_writes_a_model_and_counts_before_and_after(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    answer = edgecomp(
        "compress",
        *(demo / "digits.onnx", "-p", "quantize:samples=16", "--data", demo / "train.npz"),
        *("-o", "small.onnx", "--json"),
    ).json
    assert answer["before"]["params"] == answer["after"]["params"]
    assert answer["after"]["bytes"] < answer["before"]["bytes"] / 2
    assert answer["passes"][0].startswith("quantize:")
    assert [path.name for path in here.iterdir()] == ["small.onnx"]


def test_compile_writes_model_edge_here_and_sums_it_up(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    answer = edgecomp(
        *("compile", demo / "digits.onnx", "--device", "host"),
        *("-p", "quantize:samples=16", "--data", demo / "train.npz", "--json"),
    ).json
    assert [path.name for path in here.iterdir()] == ["digits.edge"]
    assert answer["output"] == "digits.edge"
    assert answer["file_bytes"] == (here / "digits.edge").stat().st_size
    assert (answer["integer_ops"], answer["float_ops"]) == (len(answer["ops"]), 0)
    assert answer["flash_bytes"] > answer["weights_bytes"] > 0
    assert answer["seconds"] > 0


def test_the_same_model_gives_the_same_bytes(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    for name in ("one.edge", "two.edge"):
        compiled = ("compile", demo / "digits_int8.onnx", "--device", "raspberrypi_4b", "-o", name)
        assert edgecomp(*compiled).code == 0
    assert (here / "one.edge").read_bytes() == (here / "two.edge").read_bytes()


@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_the_summary_for_people_names_flash_ram_and_operators(
    edgecomp: Edgecomp, demo: Path, here: Path, optimize: str
) -> None:
    model = demo / "digits_int8.onnx"
    answer = edgecomp("compile", model, "--device", "host", "--optimize", optimize)
    assert answer.code == 0, answer.err
    assert answer.err == ""
    for word in ("flash", "RAM", "MACs", "integer, 0 float", "digits_int8.edge", "time"):
        assert word in answer.out


def test_float_at_the_edges_and_images_as_recorded(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    answer = edgecomp(
        *("compile", demo / "digits_int8.onnx", "--device", "host", "--io", "float"),
        *("--input-layout", "nhwc", "--preprocess", "scale=1/16,layout=nchw", "--json"),
    ).json
    assert answer["inputs"][0]["dtype"] == "float32"
    assert answer["inputs"][0]["shape"] == [1, 8, 8, 1]
    assert answer["preprocess"] == "scale=0.0625,layout=nhwc"
    data = np.load(demo / "test.npz")
    recorded = (data["image"] * 16).astype(np.uint8).transpose(0, 2, 3, 1)
    np.savez("recorded.npz", image=recorded, labels=data["labels"])
    found = edgecomp("evaluate", "digits_int8.edge", "--data", "recorded.npz", "--json").json
    assert found["accuracy"] > 0.97
    against = ("--against", demo / "digits_int8.onnx")
    verified = edgecomp(
        *("verify", "digits_int8.edge", *against, "--data", "recorded.npz", "--json"),
        *("--samples", 30),
    ).json
    assert verified["top1_agreement"] == 1


def test_the_ram_allowed_is_written_with_a_unit(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    compiled = ("compile", demo / "digits_int8.onnx", "--device", "host", "--ram")
    assert edgecomp(*compiled, "32K").code == 0
    (sentence,) = edgecomp(*compiled, "much", "-o", "other.edge").sentences
    assert sentence == "--ram much: this is no size; write bytes, or 32K, or 1M"
