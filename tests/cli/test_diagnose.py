"""`edgecomp diagnose`: the nodes a quantization hurts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Edgecomp = Callable[..., Any]


def test_values_findings_and_trials(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    call = (
        *("diagnose", demo / "digits.onnx", "-p", "prune:sparsity=0.25", "-p", "quantize"),
        *("--data", demo / "train.npz", "--worst", "1", "--samples", "8"),
    )
    found = edgecomp(*call, "--json").json
    assert found["spec"].startswith("quantize:")
    nodes = {row["node"] for row in found["noise"]["values"]}
    assert {"", "stem_relu", "dense"} <= nodes
    assert all(row["local_db"] > 15 for row in found["noise"]["values"])
    assert len(found["findings"]) == 1
    assert {"equalize=true", "activations=int16"} <= {row["change"] for row in found["trials"]}
    shown = edgecomp(*call)
    assert shown.code == 0
    assert found["findings"][0]["sentence"] in shown.out
    assert list(here.iterdir()) == []


def test_what_cannot_be_asked(edgecomp: Edgecomp, demo: Path) -> None:
    base = ("diagnose", demo / "digits.onnx")
    assert edgecomp(*base).sentences == [
        "quantize: calibration samples are needed; give --data FILE.npz"
    ]
    data = ("--data", demo / "train.npz")
    assert edgecomp(*base, *data, "-p", "cluster").sentences == [
        "cluster: only a quantization can be diagnosed; let -p quantize be the last pass"
    ]
