"""`edgecomp demo`: one command from a trained model to three kinds of device."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILES = {
    "digits.onnx",
    "digits_int8.onnx",
    "train.npz",
    "test.npz",
    "digits-host.edge",
    "digits-raspberrypi_4b.edge",
    "digits-nucleo_l4r5zi.edge",
}


def test_the_demo_compiles_runs_and_compares(here: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "edgecomp", "demo"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert {path.name for path in (here / "demo-out").iterdir()} == FILES
    for word in ("host", "raspberrypi_4b", "nucleo_l4r5zi", "identical", "instructions"):
        assert word in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
    *_, first, second = answer.stdout.splitlines()
    assert "edgecomp inspect demo-out" in first
    assert "edgecomp compile MODEL.onnx" in second


def test_the_demo_as_json(edgecomp: Callable[..., Any], here: Path) -> None:
    answer = edgecomp("demo", "--output", "there", "--json").json
    assert answer["identical"] is True
    assert answer["float_accuracy"] > 0.98
    for device in answer["devices"]:
        assert abs(device["accuracy"] - answer["float_accuracy"]) <= 0.005
        assert device["samples"] == 450
        assert device["flash_bytes"] > 0
        assert device["ram_bytes"] < 8_192
        assert device["energy_kind"] in ("measured", "modelled")
    host, *emulated = answer["devices"]
    assert (host["link"], host["latency_kind"]) == ("native:", "measured")
    assert all(device["instructions"] > 100_000 for device in emulated)
