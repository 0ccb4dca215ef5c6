"""`edgecomp devices`, `targets` and `passes`; what is imported to answer them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Edgecomp = Callable[..., Any]


def test_devices_lists_every_profile_with_its_numbers(edgecomp: Edgecomp) -> None:
    devices = {device["name"]: device for device in edgecomp("devices", "--json").json}
    assert {"host", "raspberrypi_4b", "nucleo_l4r5zi", "corstone_300"} <= set(devices)
    assert devices["nucleo_l4r5zi"]["memory"]["ram_bytes"]["value"] == 640 * 1024
    assert devices["host"]["memory"]["flash_bytes"]["value"] is None, "no limit is null in JSON"
    table = edgecomp("devices").out
    assert all(name in table for name in devices)


def test_targets_lists_the_cores(edgecomp: Edgecomp) -> None:
    targets = {target["name"]: target for target in edgecomp("targets", "--json").json}
    assert {"cpu", "cortex_m"} <= set(targets)
    assert "cortex_m4" in targets["cortex_m"]["cores"]
    assert "cortex_m4" in edgecomp("targets").out


def test_passes_lists_the_options_with_their_defaults(edgecomp: Edgecomp) -> None:
    passes = {each["name"]: each for each in edgecomp("passes", "--json").json}
    options = {option["name"]: option for option in passes["quantize"]["options"]}
    assert options["estimator"]["default"] == "mse"
    assert "estimator" in edgecomp("passes").out


HEAVY = ("tvm", "onnxruntime", "onnx", "sklearn")


@pytest.mark.parametrize("command", ["devices", "targets"])
def test_listing_imports_nothing_heavy(command: str) -> None:
    script = (
        f"import sys; from edgecomp.cli import main; main([{command!r}]);"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert answer.stderr.strip() == "[]"


def test_the_public_names_are_there_and_import_nothing_heavy_by_themselves() -> None:
    script = (
        "import sys, edgecomp;"
        f"print([m for m in {(*HEAVY, 'numpy')} if m in sys.modules]);"
        "[getattr(edgecomp, name) for name in edgecomp.__all__]"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[]"
